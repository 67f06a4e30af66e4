#include "plugins/block_sparse_attention_plugin.h"

#include <algorithm>

#include "kernels/block_sparse_attention.h"
#include "kernels/segment_means.h"
#include "plugins/plan_kernels.h"

namespace sparsedit::plugins {
namespace {

// Positions of the inputs; key_bias may follow, action is the last.
enum Input { kQ, kK, kV, kQueryOrder, kKeyOrder, kQueryOffsets, kKeyOffsets, kKeep, kKeyBias };
constexpr int kInputs = kKeep + 2;

PlanShape ShapeOf(const Extents& extents) {
  return {extents.Of(Variable::kBatch),       extents.Of(Variable::kHeads),
          extents.Of(Variable::kTokens),      extents.Of(Variable::kQuerySegments),
          extents.Of(Variable::kKeySegments), extents.Of(Variable::kKeyTokens)};
}

SegmentMeansProblem MeansOf(const BlockSparseAttentionOp::Settings& settings,
                            const Extents& extents, DataType type) {
  auto problem = ProblemOfSize<SegmentMeansProblem>(extents, type, settings.layout);
  problem.tokens = extents.Of(Variable::kKeyTokens);
  problem.segments = extents.Of(Variable::kKeySegments);
  return problem;
}

// The parts of the workspace; with a null base only `bytes` is meaningful.
struct Workspace {
  std::int32_t* action;
  float* means_k;
  float* means_v;
  float* means_bias;
  void* shared;  // by segment means and attention, one after the other
  std::size_t shared_bytes;
  std::size_t bytes;
};

Workspace Carve(const BlockSparseAttentionOp::Settings& settings, const Extents& extents,
                DataType type, void* base) {
  const bool compensate = settings.compensate != 0;
  const int head_dim = extents.Of(Variable::kHeadDim);
  const PlanShape shape = ShapeOf(extents);
  WorkspaceCarver carver(base);
  Workspace parts = {};
  parts.action = carver.Take<std::int32_t>(1);
  parts.shared_bytes = BlockSparseAttentionWorkspaceBytes(shape, head_dim, type, compensate);
  if (compensate) {
    const std::int64_t count =
        static_cast<std::int64_t>(shape.batch) * shape.heads * shape.key_segments * head_dim;
    parts.means_k = carver.Take<float>(count);
    parts.means_v = carver.Take<float>(count);
    parts.means_bias = carver.Take<float>(count / head_dim);
    parts.shared_bytes = std::max(parts.shared_bytes,
                                  SegmentMeansWorkspaceSize(MeansOf(settings, extents, type)));
  }
  parts.shared = carver.Take<char>(static_cast<std::int64_t>(parts.shared_bytes));
  parts.bytes = carver.used();
  return parts;
}

}  // namespace

const char* BlockSparseAttentionOp::Settings::Check() const {
  if (!(scale > 0.0f && scale < 1e30f)) return "scale must be positive";
  if (compensate != 0 && compensate != 1) return "compensate must be 0 or 1";
  return nullptr;
}

bool BlockSparseAttentionOp::MakeSignature(const Settings& settings, int inputs,
                                           Signature* signature) {
  if (inputs != kInputs && inputs != kInputs + 1) return false;
  constexpr Variable keys = Variable::kKeyTokens;
  signature->inputs = {Activation("q", settings.layout), Activation("k", settings.layout, keys),
                       Activation("v", settings.layout, keys)};
  for (Tensor& tensor : PlanTensors({{Variable::kTokens, 0, true},
                                     {keys, 0, true},
                                     {Variable::kQuerySegments, 1},
                                     {Variable::kKeySegments, 1},
                                     {Variable::kQuerySegments},
                                     {Variable::kKeepWords}})) {
    signature->inputs.push_back(std::move(tensor));
  }
  if (inputs != kInputs) signature->inputs.push_back(KeyBias(keys));
  signature->inputs.push_back(Action());
  signature->outputs = {Activation("o", settings.layout)};
  return true;
}

std::string BlockSparseAttentionOp::Check(const Settings&, int, const Extents& extents) {
  const int segments = extents.Of(Variable::kKeySegments);
  const int words = extents.Of(Variable::kKeepWords);
  if (words == KeepWords(segments)) return "";
  return "a row of keep has " + std::to_string(words) + " words where " +
         std::to_string(KeepWords(segments)) + " are expected for " + std::to_string(segments) +
         " key segments";
}

Status BlockSparseAttentionOp::CheckSupport(const Settings& settings, const Extents& extents,
                                            DataType type) {
  SPARSEDIT_RETURN_IF_ERROR(CheckPlanShape(ShapeOf(extents)));
  return CheckSegmentMeans(MeansOf(settings, extents, type));  // the head dims are the same
}

std::size_t BlockSparseAttentionOp::WorkspaceSize(const Settings& settings, const Extents& extents,
                                                  DataType type) {
  return Carve(settings, extents, type, nullptr).bytes;
}

Status BlockSparseAttentionOp::Enqueue(const Settings& settings, const Call& call) {
  const Workspace parts = Carve(settings, call.extents, call.type, call.workspace);
  PlanView plan = PlanOf(call.inputs + kQueryOrder);
  const auto is_natural = [&](int order) { return call.input_descs[order].dims.d[2] == 0; };
  if (is_natural(kQueryOrder)) plan.query_order = nullptr;
  if (is_natural(kKeyOrder)) plan.key_order = nullptr;

  BlockSparseAttentionArgs args;
  args.shape = ShapeOf(call.extents);
  args.head_dim = call.extents.Of(Variable::kHeadDim);
  args.type = call.type;
  args.layout = settings.layout;
  args.scale = settings.scale;
  args.q = call.inputs[kQ];
  args.k = call.inputs[kK];
  args.v = call.inputs[kV];
  args.o = call.outputs[0];
  args.plan = plan;
  if (settings.inputs != kInputs) args.key_bias = As<float>(call.inputs[kKeyBias]);
  args.action = ActionOf(settings, call);
  if (call.building) {
    SPARSEDIT_RETURN_IF_ERROR(
        LaunchSafeAction(args.shape, args.plan, args.action, parts.action, call.stream));
    args.action = parts.action;
  }

  if (settings.compensate != 0) {
    args.means_k = parts.means_k;
    args.means_v = parts.means_v;
    args.means_bias = parts.means_bias;
    SegmentMeansBuffers means;
    means.x[0] = args.k;
    means.x[1] = args.v;
    means.means[0] = parts.means_k;
    means.means[1] = parts.means_v;
    means.order = args.plan.key_order;
    means.offsets = args.plan.key_offsets;
    means.action = args.action;
    means.key_bias = args.key_bias;
    means.log_sizes = parts.means_bias;
    SPARSEDIT_RETURN_IF_ERROR(LaunchSegmentMeans(MeansOf(settings, call.extents, call.type), means,
                                                 parts.shared, parts.shared_bytes, call.stream));
  }
  return LaunchBlockSparseAttention(args, parts.shared, parts.shared_bytes, call.stream);
}

}  // namespace sparsedit::plugins
