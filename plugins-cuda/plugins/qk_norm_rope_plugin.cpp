#include "plugins/qk_norm_rope_plugin.h"

#include "kernels/qk_norm_rope.h"

namespace sparsedit::plugins {
namespace {

static_assert(kMaxHeadDim == 256, "kHeadDims says so");

constexpr const char* kNames[2] = {"q", "k"};
constexpr const char* kWeights[2] = {"q_weight", "k_weight"};
constexpr const char* kBiases[2] = {"q_bias", "k_bias"};
constexpr const char* kOutputs[2] = {"q_out", "k_out"};

Tensor ActivationOf(int tensor, const char* const (&names)[2], Layout layout) {
  Tensor activation = Activation(names[tensor], layout);
  for (Extent& extent : activation.extents) {
    if (tensor == 1 && extent.variable == Variable::kTokens) extent.variable = Variable::kKeyTokens;
  }
  return activation;
}

QkNormRopeProblem ProblemOf(const QkNormRopeOp::Settings& settings, const Extents& extents,
                            DataType type) {
  QkNormRopeProblem problem;
  problem.batch = extents.Of(Variable::kBatch);
  problem.heads = extents.Of(Variable::kHeads);
  problem.tokens[0] = extents.Of(Variable::kTokens);
  problem.tokens[1] = extents.Of(Variable::kKeyTokens);
  problem.head_dim = extents.Of(Variable::kHeadDim);
  problem.tensors = settings.tensors;
  problem.type = type;
  problem.layout = settings.layout;
  problem.output_layout = settings.output_layout;
  problem.norm = settings.norm;
  problem.scope = settings.scope;
  problem.epsilon = settings.epsilon;
  problem.root_epsilon = settings.root_epsilon;
  problem.root_floor = settings.root_floor;
  problem.weight_of_head = extents[Variable::kWeightLanes] == problem.head_dim;
  problem.rope = settings.rope;
  if (settings.rope != RopeForm::kNone) {
    problem.rotary_start = settings.rotary_start;
    problem.rotary_lanes = extents.Of(Variable::kRotaryLanes);
    problem.rotated = extents.Of(Variable::kRotatedTokens);
    problem.first_rotated = settings.rotated == RotatedTokens::kLast ? -1 : 0;
    problem.table_batch = extents.Of(Variable::kTableBatch);
    problem.table_heads = extents.Of(Variable::kTableHeads);
  }
  return problem;
}

}  // namespace

const char* QkNormRopeOp::Settings::Check() const {
  if (tensors != 1 && tensors != 2) return "tensors must be 1 or 2";
  if ((weight != 0 && weight != 1) || (bias != 0 && bias != 1)) {
    return "weight and bias must be 0 or 1";
  }
  if (norm == NormKind::kNone && (weight != 0 || bias != 0)) return "there is no norm to weight";
  if (norm != NormKind::kNone) {
    if (!(epsilon >= 0.0f && root_epsilon >= 0.0f && root_floor >= 0.0f)) {
      return "epsilon, root_epsilon and root_floor must not be negative";
    }
    if (epsilon == 0.0f && root_epsilon == 0.0f && root_floor == 0.0f) {
      return "one of epsilon, root_epsilon and root_floor must be positive";
    }
  }
  if (rotary_start < 0) return "rotary_start is negative";
  return nullptr;
}

bool QkNormRopeOp::MakeSignature(const Settings& settings, int inputs, Signature* signature) {
  signature->inputs.clear();
  signature->outputs.clear();
  for (int i = 0; i < settings.tensors; ++i) {
    signature->inputs.push_back(ActivationOf(i, kNames, settings.layout));
    signature->outputs.push_back(ActivationOf(i, kOutputs, settings.output_layout));
  }
  for (int i = 0; i < settings.tensors; ++i) {
    const std::vector<Extent> lanes = {{Variable::kWeightLanes}};
    if (settings.weight) signature->inputs.push_back({kWeights[i], Element::kAnyFloat, lanes});
    if (settings.bias) signature->inputs.push_back({kBiases[i], Element::kAnyFloat, lanes});
  }
  if (settings.rope != RopeForm::kNone) {
    for (const char* name : {"cos", "sin"}) {
      signature->inputs.push_back({name,
                                   Element::kFloat32,
                                   {{Variable::kTableBatch},
                                    {Variable::kRotatedTokens},
                                    {Variable::kTableHeads},
                                    {Variable::kRotaryLanes}}});
    }
  }
  return inputs == static_cast<int>(signature->inputs.size());
}

std::string QkNormRopeOp::Check(const Settings& settings, int, const Extents& extents) {
  const std::int64_t head_dim = extents[Variable::kHeadDim];
  const std::int64_t hidden = head_dim * extents[Variable::kHeads];
  const std::int64_t lanes = extents[Variable::kWeightLanes];
  if (lanes >= 0 && lanes != hidden &&
      (lanes != head_dim || settings.scope == NormScope::kHidden)) {
    return "weights have " + std::to_string(lanes) + " lanes where " + std::to_string(hidden) +
           (settings.scope == NormScope::kHidden ? "" : " or " + std::to_string(head_dim)) +
           " are expected";
  }
  if (settings.rope == RopeForm::kNone) return "";
  const std::int64_t rotated = extents[Variable::kRotatedTokens];
  const std::int64_t rotary_lanes = extents[Variable::kRotaryLanes];
  for (const Variable tokens : {Variable::kTokens, Variable::kKeyTokens}) {
    if (extents[tokens] < 0) continue;
    if (settings.rotated == RotatedTokens::kAll ? rotated != extents[tokens]
                                                : rotated > extents[tokens]) {
      return "the tables have " + std::to_string(rotated) + " tokens, and there are " +
             std::to_string(extents[tokens]);
    }
  }
  if (rotary_lanes % 2 != 0 || rotary_lanes + settings.rotary_start > head_dim) {
    return "the tables have " + std::to_string(rotary_lanes) + " lanes, from lane " +
           std::to_string(settings.rotary_start) + " of " + std::to_string(head_dim);
  }
  return "";
}

Status QkNormRopeOp::CheckSupport(const Settings& settings, const Extents& extents, DataType type) {
  return CheckQkNormRope(ProblemOf(settings, extents, type));
}

std::size_t QkNormRopeOp::WorkspaceSize(const Settings&, const Extents&, DataType) { return 0; }

Status QkNormRopeOp::Enqueue(const Settings& settings, const Call& call) {
  QkNormRopeProblem problem = ProblemOf(settings, call.extents, call.type);
  QkNormRopeBuffers buffers;
  int input = 0;
  for (int i = 0; i < settings.tensors; ++i) {
    buffers.x[i] = call.inputs[input++];
    buffers.out[i] = call.outputs[i];
  }
  for (int i = 0; i < settings.tensors; ++i) {
    if (settings.weight) {
      FromTensorRt(call.input_descs[input].type, &problem.weight_type[i]);
      buffers.weight[i] = call.inputs[input++];
    }
    if (settings.bias) {
      FromTensorRt(call.input_descs[input].type, &problem.bias_type[i]);
      buffers.bias[i] = call.inputs[input++];
    }
  }
  if (settings.rope != RopeForm::kNone) {
    buffers.cos = static_cast<const float*>(call.inputs[input++]);
    buffers.sin = static_cast<const float*>(call.inputs[input++]);
  }
  return LaunchQkNormRope(problem, buffers, call.stream);
}

}  // namespace sparsedit::plugins
