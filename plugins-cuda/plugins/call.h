// One enqueue, and what several operators read from it.
#ifndef SPARSEDIT_PLUGINS_CALL_H_
#define SPARSEDIT_PLUGINS_CALL_H_

#include "kernels/plan.h"
#include "plugins/tensors.h"

namespace sparsedit::plugins {

struct Call {
  Extents extents;
  DataType type;
  const nvinfer1::PluginTensorDesc* input_descs;
  const void* const* inputs;
  void* const* outputs;
  void* workspace;  // aligned to kWorkspaceAlignment
  std::size_t workspace_size;
  cudaStream_t stream;
  // Whether TensorRT is building an engine. It times plugins on buffers of arbitrary contents then.
  bool building;
};

// The site's entry of action, which is the last input.
template <typename Settings>
const std::int32_t* ActionOf(const Settings& settings, const Call& call) {
  return As<std::int32_t>(call.inputs[settings.inputs - 1]) + settings.site;
}

// The plan that a planner gives: its first outputs.
inline MutablePlanView PlanOf(void* const* outputs) {
  return {As<std::int32_t>(outputs[0]), As<std::int32_t>(outputs[1]), As<std::int32_t>(outputs[2]),
          As<std::int32_t>(outputs[3]), As<std::int32_t>(outputs[4])};
}

// A plan among the inputs, from its first tensor on.
inline PlanView PlanOf(const void* const* inputs) {
  return {As<std::int32_t>(inputs[0]), As<std::int32_t>(inputs[1]), As<std::int32_t>(inputs[2]),
          As<std::int32_t>(inputs[3]), As<std::int32_t>(inputs[4])};
}

// A kernel's problem of q's size, type and layout; the rest of it as it is by default.
template <typename Problem>
Problem ProblemOfSize(const Extents& extents, DataType type, Layout layout) {
  Problem problem;
  problem.batch = extents.Of(Variable::kBatch);
  problem.heads = extents.Of(Variable::kHeads);
  problem.tokens = extents.Of(Variable::kTokens);
  problem.head_dim = extents.Of(Variable::kHeadDim);
  problem.type = type;
  problem.layout = layout;
  return problem;
}

}  // namespace sparsedit::plugins

#endif  // SPARSEDIT_PLUGINS_CALL_H_
