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

Tensor Keep(const char* name, const AdaSpaPlanOp::Settings& settings) {
  return {name,
          Element::kInt32,
          {{Variable::kBatch},
           {Variable::kHeads},
           Blocks(settings.block_size, TextSegments(settings.text)),
           BlockWords(settings.block_size, TextSegments(settings.text))}};
}

AdaSpaProblem ProblemOf(const AdaSpaPlanOp::Settings& settings, const Extents& extents,
                        DataType type) {
  AdaSpaProblem problem;
  problem.batch = extents.Of(Variable::kBatch);
  problem.heads = extents.Of(Variable::kHeads);
  problem.tokens = extents.Of(Variable::kTokens);
  problem.head_dim = extents.Of(Variable::kHeadDim);
  problem.type = type;
  problem.layout = settings.layout;
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
  const Extent batch = {Variable::kBatch}, heads = {Variable::kHeads}, tokens = {Variable::kTokens};
  const Extent offsets = Blocks(settings.block_size, TextSegments(settings.text) + 1);

  signature->inputs = {Activation("q", settings.layout), Activation("k", settings.layout),
                       {"geometry", Element::kInt32, {Constant(3)}}};
  if (bias) {
    signature->inputs.push_back(
        {"key_bias", Element::kFloat32, {batch, Constant(1), Constant(1), tokens}});
  }
  signature->inputs.push_back({"lse", Element::kFloat32, {batch, heads, tokens}});
  if (last_keep) signature->inputs.push_back(Keep("last_keep", settings));
  signature->inputs.push_back({"action", Element::kInt32, {{Variable::kSites}}});
  signature->outputs = {{"query_order", Element::kInt32, {batch, heads, Constant(0)}},
                        {"key_order", Element::kInt32, {batch, heads, Constant(0)}},
                        {"query_offsets", Element::kInt32, {batch, heads, offsets}},
                        {"key_offsets", Element::kInt32, {batch, heads, offsets}},
                        Keep("keep", settings),
                        {"next_lse", Element::kFloat32, {batch, heads, tokens}}};
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
  const int action = settings.inputs - 1;
  AdaSpaBuffers buffers;
  buffers.q = call.inputs[kQ];
  buffers.k = call.inputs[kK];
  buffers.geometry = As<std::int32_t>(call.inputs[kGeometry]);
  if (bias) buffers.key_bias = As<float>(call.inputs[kNext]);
  buffers.lse_in = As<float>(call.inputs[lse]);
  if (HasLastKeep(settings)) {
    buffers.previous_keep = As<std::int32_t>(call.inputs[lse + 1]);
  }
  buffers.action = As<std::int32_t>(call.inputs[action]) + settings.site;
  buffers.plan.query_offsets = As<std::int32_t>(call.outputs[2]);
  buffers.plan.key_offsets = As<std::int32_t>(call.outputs[3]);
  buffers.plan.keep = As<std::int32_t>(call.outputs[4]);
  buffers.lse = As<float>(call.outputs[5]);
  return LaunchAdaSpaPlan(ProblemOf(settings, call.extents, call.type), buffers, call.workspace,
                          call.workspace_size, call.stream);
}

}  // namespace sparsedit::plugins
