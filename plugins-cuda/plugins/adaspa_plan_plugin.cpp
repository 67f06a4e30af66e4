#include "plugins/adaspa_plan_plugin.h"

#include <cmath>

#include "kernels/adaspa_plan.h"

namespace sparsedit::plugins {
namespace {

// Positions of the inputs; key_bias, lse and last_keep follow as far as there are, action is the last.
enum Input { kQ, kK, kGeometry, kNext };
constexpr int kInputs = kNext + 2;  // without key_bias and last_keep

bool HasLastKeep(const AdaSpaPlanOp::Settings& settings) { return settings.plan_state == 1; }
bool HasBias(const AdaSpaPlanOp::Settings& settings, int inputs) {
  return inputs == kInputs + 1 + (HasLastKeep(settings) ? 1 : 0);
}

AdaSpaProblem ProblemOf(const AdaSpaPlanOp::Settings& settings, const Extents& extents,
                        DataType type) {
  auto problem = ProblemOfSize<AdaSpaProblem>(extents, type, settings.layout);
  problem.block_size = settings.block_size;
  problem.scale = settings.scale;
  problem.density = settings.density;
  problem.recall_threshold = settings.recall_threshold;
  problem.text = settings.text;
  return problem;
}

}  // namespace

const char* AdaSpaPlanOp::Settings::Check() const {
  if (!std::isfinite(scale)) return "scale must be finite";
  if (block_size < 1) return "block_size must be at least 1";
  if (!(density > 0.0f)) return "density must be above 0";
  if (!(recall_threshold >= 0.0f)) return "recall_threshold must not be negative";
  if (plan_state != 0 && plan_state != 1) return "plan_state must be 0 or 1";
  return nullptr;
}

bool AdaSpaPlanOp::MakeSignature(const Settings& settings, int inputs, Signature* signature) {
  const bool bias = HasBias(settings, inputs), last_keep = HasLastKeep(settings);
  if (inputs != kInputs + (bias ? 1 : 0) + (last_keep ? 1 : 0)) return false;
  const int size = settings.block_size, more = TextSegments(settings.text);
  const std::vector<Extent> each_token = {
      {Variable::kBatch}, {Variable::kHeads}, {Variable::kTokens}};
  std::vector<Tensor> plan = PlanTensors({Constant(0), Constant(0), Blocks(size, more + 1),
                                          Blocks(size, more + 1), Blocks(size, more),
                                          BlockWords(size, more)});

  signature->inputs = {Activation("q", settings.layout), Activation("k", settings.layout),
                       Geometry()};
  if (bias) signature->inputs.push_back(KeyBias());
  signature->inputs.push_back({"lse", Element::kFloat32, each_token});
  if (last_keep) {
    Tensor keep = plan.back();
    keep.name = "last_keep";
    signature->inputs.push_back(std::move(keep));
  }
  signature->inputs.push_back(Action());
  signature->outputs = std::move(plan);
  signature->outputs.push_back({"next_lse", Element::kFloat32, each_token});
  return true;
}

std::string AdaSpaPlanOp::Check(const Settings&, int, const Extents&) { return ""; }

Status AdaSpaPlanOp::CheckSupport(const Settings& settings, const Extents& extents, DataType type) {
  return CheckAdaSpa(ProblemOf(settings, extents, type));
}

std::size_t AdaSpaPlanOp::WorkspaceSize(const Settings& settings, const Extents& extents,
                                        DataType type) {
  return AdaSpaWorkspaceSize(ProblemOf(settings, extents, type));
}

Status AdaSpaPlanOp::Enqueue(const Settings& settings, const Call& call) {
  const bool bias = HasBias(settings, settings.inputs);
  const int lse = kNext + (bias ? 1 : 0);
  AdaSpaBuffers buffers;
  buffers.q = call.inputs[kQ];
  buffers.k = call.inputs[kK];
  buffers.geometry = As<std::int32_t>(call.inputs[kGeometry]);
  if (bias) buffers.key_bias = As<float>(call.inputs[kNext]);
  buffers.lse_in = As<float>(call.inputs[lse]);
  if (HasLastKeep(settings)) {
    buffers.previous_keep = As<std::int32_t>(call.inputs[lse + 1]);
  }
  buffers.action = ActionOf(settings, call);
  buffers.plan = PlanOf(call.outputs);
  buffers.lse = As<float>(call.outputs[kPlanTensors]);
  return LaunchAdaSpaPlan(ProblemOf(settings, call.extents, call.type), buffers, call.workspace,
                          call.workspace_size, call.stream);
}

}  // namespace sparsedit::plugins
