#include "plugins/svg_plan_plugin.h"

#include <algorithm>

#include "kernels/band_plan.h"
#include "kernels/head_classes.h"

namespace sparsedit::plugins {
namespace {

// Positions of the inputs; key_bias and head_classes may follow, action is the last.
enum Input { kQ, kK, kV, kGeometry, kOptional };
constexpr int kInputs = kOptional + 1;
constexpr int kNextHeadClasses = kPlanTensors;  // of the outputs

bool HasPlanState(const SvgPlanOp::Settings& settings) { return settings.plan_state == 1; }

HeadClassesProblem ClassesOf(const SvgPlanOp::Settings& settings, const Extents& extents,
                             DataType type) {
  auto problem = ProblemOfSize<HeadClassesProblem>(extents, type, settings.layout);
  problem.scale = settings.scale;
  problem.text = settings.text;
  problem.sink = settings.sink;
  problem.block_size = settings.block_size;
  problem.profile_frames = settings.profile_frames;
  problem.sampled_rows = settings.sampled_rows;
  return problem;
}

BandPlanProblem BandOf(const SvgPlanOp::Settings& settings, const Extents& extents) {
  BandPlanProblem problem;
  problem.batch = extents.Of(Variable::kBatch);
  problem.heads = extents.Of(Variable::kHeads);
  problem.tokens = extents.Of(Variable::kTokens);
  problem.text = settings.text;
  problem.sink = settings.sink;
  problem.block_size = settings.block_size;
  problem.density = settings.density;
  problem.budget = settings.budget == 1;
  return problem;
}

// The parts of the workspace; with a null base only `bytes` and `shared_bytes` are meaningful.
struct Workspace {
  std::int32_t* classes;
  void* shared;  // by classes and plan, one after the other
  std::size_t shared_bytes;
  std::size_t bytes;
};

Workspace Carve(const SvgPlanOp::Settings& settings, const Extents& extents, DataType type,
                void* base) {
  WorkspaceCarver carver(base);
  Workspace parts = {};
  parts.classes =
      carver.Take<std::int32_t>(extents[Variable::kBatch] * extents[Variable::kHeads]);
  parts.shared_bytes = std::max(HeadClassesWorkspaceSize(ClassesOf(settings, extents, type)),
                                BandPlanWorkspaceSize(BandOf(settings, extents)));
  parts.shared = carver.Take<char>(static_cast<std::int64_t>(parts.shared_bytes));
  parts.bytes = carver.used();
  return parts;
}

}  // namespace

const char* SvgPlanOp::Settings::Check() const {
  if (!(scale > 0.0f && scale < 1e30f)) return "scale must be positive";
  if (block_size < 1) return "block_size must be at least 1";
  if (!(density > 0.0f)) return "density must be positive";
  if (budget != 0 && budget != 1) return "budget must be 0 or 1";
  if (sampled_rows < 1 || sampled_rows > kMaxSampledRows) {
    return "sampled_rows must be from 1 to 65536";
  }
  if (!(profile_frames > 0.0f)) return "profile_frames must be positive";
  if (plan_state != 0 && plan_state != 1) return "plan_state must be 0 or 1";
  return nullptr;
}

bool SvgPlanOp::MakeSignature(const Settings& settings, int inputs, Signature* signature) {
  const int least = kInputs + (HasPlanState(settings) ? 1 : 0);
  if (inputs != least && inputs != least + 1) return false;
  const Extent batch = {Variable::kBatch}, heads = {Variable::kHeads};
  signature->inputs = {Activation("q", settings.layout), Activation("k", settings.layout),
                       Activation("v", settings.layout), Geometry()};
  if (inputs != least) signature->inputs.push_back(KeyBias());
  if (HasPlanState(settings)) {
    signature->inputs.push_back({"head_classes", Element::kInt32, {batch, heads}});
  }
  signature->inputs.push_back(Action());
  const int size = settings.block_size, query_more = TextSegments(settings.text);
  const int key_more = query_more + (settings.sink == FrameSink::kCorrected ? 1 : 0);
  signature->outputs =
      PlanTensors({{Variable::kTokens},
                   {Variable::kTokens},
                   Blocks(size, query_more + 1),
                   Blocks(size, key_more + 1),
                   Blocks(size, query_more),
                   BlockWords(size, key_more)});
  if (HasPlanState(settings)) {
    signature->outputs.push_back({"next_head_classes", Element::kInt32, {batch, heads}});
  }
  return true;
}

std::string SvgPlanOp::Check(const Settings&, int, const Extents&) { return ""; }

Status SvgPlanOp::CheckSupport(const Settings& settings, const Extents& extents, DataType type) {
  SPARSEDIT_RETURN_IF_ERROR(CheckHeadClasses(ClassesOf(settings, extents, type)));
  return CheckBandPlan(BandOf(settings, extents));
}

std::size_t SvgPlanOp::WorkspaceSize(const Settings& settings, const Extents& extents,
                                     DataType type) {
  return Carve(settings, extents, type, nullptr).bytes;
}

Status SvgPlanOp::Enqueue(const Settings& settings, const Call& call) {
  const Workspace parts = Carve(settings, call.extents, call.type, call.workspace);
  const bool has_state = HasPlanState(settings);
  const bool has_bias = settings.inputs == kInputs + (has_state ? 2 : 1);
  HeadClassesBuffers classes;
  classes.q = call.inputs[kQ];
  classes.k = call.inputs[kK];
  classes.v = call.inputs[kV];
  classes.geometry = As<std::int32_t>(call.inputs[kGeometry]);
  if (has_bias) classes.key_bias = As<float>(call.inputs[kOptional]);
  if (has_state) classes.last_classes = As<std::int32_t>(call.inputs[settings.inputs - 2]);
  classes.action = ActionOf(settings, call);
  classes.classes =
      has_state ? As<std::int32_t>(call.outputs[kNextHeadClasses]) : parts.classes;
  SPARSEDIT_RETURN_IF_ERROR(LaunchHeadClasses(ClassesOf(settings, call.extents, call.type),
                                              classes, parts.shared, parts.shared_bytes,
                                              call.stream));
  BandPlanBuffers plan;
  plan.geometry = classes.geometry;
  plan.classes = classes.classes;
  plan.plan = PlanOf(call.outputs);
  return LaunchBandPlan(BandOf(settings, call.extents), plan, parts.shared, parts.shared_bytes,
                        call.stream);
}

}  // namespace sparsedit::plugins
