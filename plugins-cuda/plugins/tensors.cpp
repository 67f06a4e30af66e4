#include "plugins/tensors.h"

#include <algorithm>
#include <limits>

namespace sparsedit::plugins {
namespace {

const char* NameOf(Variable variable) {
  switch (variable) {
    case Variable::kOne: return "1";
    case Variable::kBatch: return "batch";
    case Variable::kHeads: return "heads";
    case Variable::kTokens: return "tokens";
    case Variable::kHeadDim: return "head dim";
    case Variable::kSites: return "sites";
    case Variable::kQuerySegments: return "query segments";
    case Variable::kKeySegments: return "key segments";
    case Variable::kKeepWords: return "words of a row of keep";
    case Variable::kKeyTokens: return "tokens of k";
    case Variable::kWeightLanes: return "lanes of weights and biases";
    case Variable::kTableBatch: return "batch of the tables";
    case Variable::kRotatedTokens: return "rotated tokens";
    case Variable::kTableHeads: return "heads of the tables";
    case Variable::kRotaryLanes: return "rotated lanes";
    case Variable::kCount: break;
  }
  return "";
}

}  // namespace

Tensor Activation(const char* name, Layout layout, Variable tokens) {
  if (layout == Layout::kBhsd) {
    return {name,
            Element::kOfQ,
            {{Variable::kBatch}, {Variable::kHeads}, {tokens}, {Variable::kHeadDim}}};
  }
  return {name,
          Element::kOfQ,
          {{Variable::kBatch}, {tokens}, {Variable::kHeads}, {Variable::kHeadDim}}};
}

Tensor Geometry() { return {"geometry", Element::kInt32, {Constant(3)}}; }

Tensor KeyBias(Variable tokens) {
  return {"key_bias",
          Element::kFloat32,
          {{Variable::kBatch}, Constant(1), Constant(1), {tokens}}};
}

Tensor Action() { return {"action", Element::kInt32, {{Variable::kSites}}}; }

std::vector<Tensor> PlanTensors(const PlanExtents& extents, const std::string& prefix) {
  const Extent batch = {Variable::kBatch}, heads = {Variable::kHeads};
  return {
      {prefix + "query_order", Element::kInt32, {batch, heads, extents.query_tokens}},
      {prefix + "key_order", Element::kInt32, {batch, heads, extents.key_tokens}},
      {prefix + "query_offsets", Element::kInt32, {batch, heads, extents.query_offsets}},
      {prefix + "key_offsets", Element::kInt32, {batch, heads, extents.key_offsets}},
      {prefix + "keep", Element::kInt32, {batch, heads, extents.query_segments, extents.keep_words}},
  };
}

Extents::Extents() {
  for (std::int64_t& value : values) value = -1;
  values[static_cast<int>(Variable::kOne)] = 1;
}

bool FromTensorRt(nvinfer1::DataType from, DataType* to) {
  switch (from) {
    case nvinfer1::DataType::kFLOAT: *to = DataType::kFloat32; return true;
    case nvinfer1::DataType::kHALF: *to = DataType::kFloat16; return true;
    case nvinfer1::DataType::kBF16: *to = DataType::kBFloat16; return true;
    default: return false;
  }
}

nvinfer1::DataType ToTensorRt(DataType type) {
  switch (type) {
    case DataType::kFloat16: return nvinfer1::DataType::kHALF;
    case DataType::kBFloat16: return nvinfer1::DataType::kBF16;
    case DataType::kFloat32: break;
  }
  return nvinfer1::DataType::kFLOAT;
}

nvinfer1::DataType TypeOf(Element element, nvinfer1::DataType of_q) {
  switch (element) {
    case Element::kOfQ: return of_q;
    case Element::kInt32: return nvinfer1::DataType::kINT32;
    case Element::kFloat32:
    case Element::kAnyFloat: break;
  }
  return nvinfer1::DataType::kFLOAT;
}

bool IsTypeOf(Element element, nvinfer1::DataType type, nvinfer1::DataType of_q) {
  DataType known;
  return element == Element::kAnyFloat ? FromTensorRt(type, &known) : type == TypeOf(element, of_q);
}

std::string Describe(const nvinfer1::Dims& dims) {
  std::string text = "[";
  for (int i = 0; i < dims.nbDims; ++i) {
    text += (i == 0 ? "" : ",") + std::to_string(dims.d[i]);
  }
  return text + "]";
}

const char* Describe(nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kFLOAT: return "float32";
    case nvinfer1::DataType::kHALF: return "float16";
    case nvinfer1::DataType::kBF16: return "bfloat16";
    case nvinfer1::DataType::kINT8: return "int8";
    case nvinfer1::DataType::kINT32: return "int32";
    case nvinfer1::DataType::kINT64: return "int64";
    case nvinfer1::DataType::kBOOL: return "bool";
    case nvinfer1::DataType::kUINT8: return "uint8";
    default: return "a type of fewer than 16 bits";
  }
}

std::string Match(const Tensor& tensor, const nvinfer1::Dims& dims, Extents* extents) {
  const std::string prefix = tensor.name + " has the shape " + Describe(dims);
  const int rank = static_cast<int>(tensor.extents.size());
  if (dims.nbDims != rank) {
    return prefix + " where " + std::to_string(rank) + " dimensions are expected";
  }
  for (int axis = 0; axis < rank; ++axis) {
    const Extent& extent = tensor.extents[axis];
    if (extent.or_zero && dims.d[axis] == 0) continue;
    std::int64_t& value = extents->values[static_cast<int>(extent.variable)];
    if (extent.divisor != 1) {
      // q, which gives the variable, comes first.
      const std::int64_t expected = CeilDiv(value + extent.before, extent.divisor) + extent.plus;
      if (dims.d[axis] == expected) continue;
      return prefix + " where dimension " + std::to_string(axis) + " is expected to be " +
             std::to_string(expected) + " for " + std::to_string(value) + " " +
             NameOf(extent.variable);
    }
    const std::int64_t here = dims.d[axis] - extent.plus;
    if (here < 0 || here > std::numeric_limits<std::int32_t>::max()) {
      return prefix + ": dimension " + std::to_string(axis) + " is out of range";
    }
    if (value < 0) value = here;
    if (value != here) {
      return prefix + " where dimension " + std::to_string(axis) + " is expected to be " +
             std::to_string(value + extent.plus) +
             (extent.variable == Variable::kOne
                  ? std::string()
                  : std::string(" (") + NameOf(extent.variable) +
                        (extent.plus == 0 ? "" : " + " + std::to_string(extent.plus)) + ")");
    }
  }
  return "";
}

void Widen(const Tensor& tensor, const nvinfer1::Dims& dims, Extents* extents) {
  const int rank = static_cast<int>(tensor.extents.size());
  for (int axis = 0; axis < rank && axis < dims.nbDims; ++axis) {
    const Extent& extent = tensor.extents[axis];
    if (extent.divisor != 1) continue;
    std::int64_t& value = extents->values[static_cast<int>(extent.variable)];
    value = std::max<std::int64_t>(value, dims.d[axis] - extent.plus);
  }
}

}  // namespace sparsedit::plugins
