// What an operator takes and gives: names, element types and shapes of its tensors, from which a
// plugin derives its answers to TensorRT and its checks.
#ifndef SPARSEDIT_PLUGINS_TENSORS_H_
#define SPARSEDIT_PLUGINS_TENSORS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/plan.h"
#include "plugins/tensorrt.h"

namespace sparsedit::plugins {

// Extents that a node's shapes share.
enum class Variable {
  kOne,  // always 1
  kBatch,
  kHeads,
  kTokens,
  kHeadDim,
  kSites,
  kQuerySegments,
  kKeySegments,
  kKeepWords,
  kKeyTokens,
  kWeightLanes,
  kTableBatch,
  kRotatedTokens,
  kTableHeads,
  kRotaryLanes,
  kCount,
};

// ceil((variable + before) / divisor) + plus.
struct Extent {
  Variable variable;
  int plus = 0;
  bool or_zero = false;  // 0 is also allowed
  std::int64_t divisor = 1;
  std::int64_t before = 0;
};

constexpr Extent Constant(int value) { return {Variable::kOne, value - 1}; }

// How many blocks of `size` the tokens fill, and `plus`.
constexpr Extent Blocks(int size, int plus) { return {Variable::kTokens, plus, false, size}; }
// How many words the bits of Blocks(size, plus) fill.
constexpr Extent BlockWords(int size, int plus) {
  // The bits of `plus` count as the blocks that so many more tokens would fill.
  const std::int64_t tokens = size;
  return {Variable::kTokens, 0, false, 32 * tokens, plus * tokens};
}

// kAnyFloat: float16, bfloat16 or float32, whatever q is; of inputs only.
enum class Element { kOfQ, kInt32, kFloat32, kAnyFloat };

struct Tensor {
  std::string name;
  Element element;
  std::vector<Extent> extents;
};

// q, k, v or o.
Tensor Activation(const char* name, Layout layout, Variable tokens = Variable::kTokens);
// geometry, key_bias and action, as every operator that takes them does.
Tensor Geometry();
Tensor KeyBias(Variable tokens = Variable::kTokens);
Tensor Action();

// The extents in which plans differ.
struct PlanExtents {
  Extent query_tokens, key_tokens;  // of the orders
  Extent query_offsets, key_offsets;
  Extent query_segments, keep_words;
};
constexpr int kPlanTensors = 5;
// query_order, key_order, query_offsets, key_offsets and keep, each name after `prefix`, which is
// "" or "last_".
std::vector<Tensor> PlanTensors(const PlanExtents& extents, const std::string& prefix = "");

struct Signature {
  std::vector<Tensor> inputs;  // q is the first
  std::vector<Tensor> outputs;

  int size() const { return static_cast<int>(inputs.size() + outputs.size()); }
  // Of inputs, then outputs.
  const Tensor& at(int position) const {
    const int count = static_cast<int>(inputs.size());
    return position < count ? inputs[position] : outputs[position - count];
  }
};

// Values of the variables.
struct Extents {
  std::int64_t values[static_cast<int>(Variable::kCount)];

  Extents();
  std::int64_t operator[](Variable variable) const { return values[static_cast<int>(variable)]; }
  int Of(Variable variable) const { return static_cast<int>((*this)[variable]); }
};

bool FromTensorRt(nvinfer1::DataType from, DataType* to);
nvinfer1::DataType ToTensorRt(DataType type);

// The type that a tensor has where q's is `of_q`. Not of kAnyFloat.
nvinfer1::DataType TypeOf(Element element, nvinfer1::DataType of_q);

// Whether a tensor may have the type where q's is `of_q`.
bool IsTypeOf(Element element, nvinfer1::DataType type, nvinfer1::DataType of_q);

// For messages: "[2,8,-1,64]".
std::string Describe(const nvinfer1::Dims& dims);
const char* Describe(nvinfer1::DataType type);

// Finds the variables in a tensor's dims, or compares the dims with those found before. An empty
// result means that all fits, any other says what does not.
std::string Match(const Tensor& tensor, const nvinfer1::Dims& dims, Extents* extents);

// Raises the variables to what a tensor of these dims has of them, without comparing.
void Widen(const Tensor& tensor, const nvinfer1::Dims& dims, Extents* extents);

// What TensorRT hands over as void, typed.
template <typename T>
T* As(void* pointer) {
  return static_cast<T*>(pointer);
}
template <typename T>
const T* As(const void* pointer) {
  return static_cast<const T*>(pointer);
}

}  // namespace sparsedit::plugins

#endif  // SPARSEDIT_PLUGINS_TENSORS_H_
