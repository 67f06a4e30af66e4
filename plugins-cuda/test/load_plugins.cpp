// Loads the plugin library into a plugin registry and asks its plugins all that TensorRT asks them,
// short of running.
//
//   load_plugins LIBNVINFER PLUGIN_LIBRARY [LIBNVONNXPARSER]
//
// LIBNVINFER is the real one, or stub_nvinfer. With LIBNVONNXPARSER one of its parsers is deleted.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/band_plan.h"
#include "kernels/block_sparse_attention.h"
#include "kernels/plan_scores.h"
#include "kernels/segment_means.h"
#include "plugins/callbacks.h"
#include "plugins/sparsedit_plugins.h"
#include "plugins/trt_abi.h"
#include "test/check.h"

extern void* last_freed;  // traced_delete.cpp

namespace sparsedit::test {
namespace {

namespace trt = nvinfer1;

// ------------------------------------------------------------------ the builder's symbolic shapes

struct Value final : trt::apiv::VDimensionExpr {
  bool constant = false;
  std::int64_t value = 0;
  std::string text;
  bool isConstant() const override { return constant; }
  std::int64_t getConstantValue() const override { return value; }
  bool isSizeTensor() const override { return false; }
};

struct Expression final : trt::IDimensionExpr {
  Value value;
  Expression() { mImpl = &value; }
  ~Expression() noexcept override = default;
};

struct Builder final : trt::IExprBuilder {
  struct Implementation final : trt::apiv::VExprBuilder {
    std::deque<std::unique_ptr<Expression>> all;
    const trt::IDimensionExpr* Make(std::string text, std::int64_t value, bool constant) {
      all.push_back(std::make_unique<Expression>());
      all.back()->value.text = std::move(text);
      all.back()->value.value = value;
      all.back()->value.constant = constant;
      return all.back().get();
    }
    const trt::IDimensionExpr* constant(std::int64_t value) override {
      return Make(std::to_string(value), value, true);
    }
    const trt::IDimensionExpr* operation(trt::DimensionOperation operation,
                                         const trt::IDimensionExpr& first,
                                         const trt::IDimensionExpr& second) override {
      const char* symbol = operation == trt::DimensionOperation::kSUM        ? "+"
                           : operation == trt::DimensionOperation::kCEIL_DIV ? "/"
                                                                             : "?";
      return Make("(" + static_cast<const Expression&>(first).value.text + symbol +
                      static_cast<const Expression&>(second).value.text + ")",
                  -1, false);
    }
    const trt::IDimensionExpr* declareSizeTensor(std::int32_t, const trt::IDimensionExpr&,
                                                 const trt::IDimensionExpr&) override {
      return nullptr;
    }
  } implementation;
  Builder() { mImpl = &implementation; }
  ~Builder() noexcept override = default;
};

std::string TextOf(const trt::DimsExprs& dims) {
  std::string text;
  for (int i = 0; i < dims.nbDims; ++i) {
    text += (i == 0 ? "" : ",") + static_cast<const Expression*>(dims.d[i])->value.text;
  }
  return text;
}

// ----------------------------------------------------------------------------------- attributes

// Fields as the ONNX parser makes them of a node's attributes.
class Fields {
 public:
  Fields& Int(const char* name, std::int32_t value) {
    ints_.push_back(value);
    return Add(name, &ints_.back(), trt::PluginFieldType::kINT32, 1);
  }
  Fields& Float(const char* name, float value) {
    floats_.push_back(value);
    return Add(name, &floats_.back(), trt::PluginFieldType::kFLOAT32, 1);
  }
  // Without a zero at the end.
  Fields& Text(const char* name, const char* value) {
    texts_.push_back(std::vector<char>(value, value + std::strlen(value)));
    return Add(name, texts_.back().data(), trt::PluginFieldType::kCHAR,
               static_cast<std::int32_t>(texts_.back().size()));
  }
  Fields& Without(const std::string& name) {
    fields_.erase(std::remove_if(fields_.begin(), fields_.end(),
                                 [&](const trt::PluginField& f) { return name == f.name; }),
                  fields_.end());
    return *this;
  }
  const trt::PluginFieldCollection* Get() {
    collection_.nbFields = static_cast<std::int32_t>(fields_.size());
    collection_.fields = fields_.data();
    return &collection_;
  }

 private:
  Fields& Add(const char* name, const void* data, trt::PluginFieldType type, std::int32_t length) {
    Without(name);
    fields_.emplace_back(name, data, type, length);
    return *this;
  }
  std::deque<std::int32_t> ints_;
  std::deque<float> floats_;
  std::deque<std::vector<char>> texts_;
  std::vector<trt::PluginField> fields_;
  trt::PluginFieldCollection collection_;
};

// A field's value as text.
std::string TextOf(const trt::PluginField& field) {
  switch (field.type) {
    case trt::PluginFieldType::kINT32:
      return std::to_string(*static_cast<const std::int32_t*>(field.data));
    case trt::PluginFieldType::kFLOAT32:
      return std::to_string(*static_cast<const float*>(field.data));
    case trt::PluginFieldType::kCHAR:
      return std::string(static_cast<const char*>(field.data), field.length);
    default: return "?";
  }
}

std::string TextOf(const trt::PluginFieldCollection* fields) {
  std::string text;
  for (int i = 0; i < fields->nbFields; ++i) {
    text += std::string(fields->fields[i].name) + "=" + TextOf(fields->fields[i]) + " ";
  }
  return text;
}

std::string NamesOf(const trt::PluginFieldCollection* fields) {
  std::string text;
  for (int i = 0; i < fields->nbFields; ++i) {
    const trt::PluginFieldType type = fields->fields[i].type;
    text += std::string(fields->fields[i].name) +
            (type == trt::PluginFieldType::kINT32     ? ":int "
             : type == trt::PluginFieldType::kFLOAT32 ? ":float "
             : type == trt::PluginFieldType::kCHAR    ? ":string "
                                                      : ":? ");
  }
  return text;
}

// -------------------------------------------------------------------------------------- tensors

struct Described {
  std::vector<std::int64_t> dims;
  trt::DataType type;
};
using Shapes = std::vector<Described>;

trt::Dims DimsOf(const std::vector<std::int64_t>& dims) {
  trt::Dims result = {};
  result.nbDims = static_cast<std::int32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), result.d);
  return result;
}

std::vector<trt::PluginTensorDesc> Descs(const Shapes& shapes) {
  std::vector<trt::PluginTensorDesc> descs;
  for (const Described& shape : shapes) {
    descs.push_back({DimsOf(shape.dims), shape.type, trt::TensorFormat::kLINEAR, 0.f});
  }
  return descs;
}

// Of a profile from `low` to `high`: extents that differ are open.
std::vector<trt::DynamicPluginTensorDesc> DynamicDescs(const Shapes& low, const Shapes& high) {
  std::vector<trt::DynamicPluginTensorDesc> descs;
  for (std::size_t i = 0; i < low.size(); ++i) {
    std::vector<std::int64_t> open = low[i].dims;
    for (std::size_t axis = 0; axis < open.size(); ++axis) {
      if (open[axis] != high[i].dims[axis]) open[axis] = -1;
    }
    descs.push_back({{DimsOf(open), low[i].type, trt::TensorFormat::kLINEAR, 0.f},
                     DimsOf(low[i].dims),
                     DimsOf(high[i].dims),
                     DimsOf(low[i].dims)});
  }
  return descs;
}

// --------------------------------------------------------------------------------------- plugins

constexpr trt::DataType kI32 = trt::DataType::kINT32;
constexpr trt::DataType kF32 = trt::DataType::kFLOAT;

struct Node {
  const char* name;
  std::function<void(Fields&)> attributes;
  int inputs, outputs;
  std::function<Shapes(int tokens, trt::DataType of_q)> shapes;  // inputs, then outputs
  std::vector<std::string> output_shapes;                        // of symbols B, H, S, D
  std::function<std::size_t(int tokens, DataType type)> workspace;
  bool bshd;
  bool has_action = true;         // the last input
  std::vector<std::string> symbols = {};  // of the first inputs, where not one letter an axis of q
  int odd_head_dim = 256;         // one without kernels
};

std::vector<std::int64_t> QDims(bool bshd, int tokens, int head_dim) {
  if (bshd) return {2, tokens, 3, head_dim};
  return {2, 3, tokens, head_dim};
}

// With a budget where `ranking` is given, else with top_p.
void Svg2Attributes(Fields& fields, bool bshd, const char* text, const char* ranking) {
  fields.Int("site", 1).Text("layout", bshd ? "BSHD" : "BHSD").Float("scale", 0.125f);
  fields.Text("plugin_namespace", "sparsedit").Text("plugin_version", "1");
  fields.Int("q_clusters", 6).Int("k_clusters", 40).Float("min_kept", 0.1f);
  if (ranking == nullptr) {
    fields.Float("top_p", 0.9f);
  } else {
    fields.Float("density", 0.25f).Text("ranking", ranking);
  }
  fields.Int("iterations", 2).Int("init_iterations", 20).Text("text_position", text);
}

Shapes PlanShapes(int tokens, int text) {
  const int nq = 6 + text, nk = 40 + text;
  return {{{2, 3, tokens}, kI32},
          {{2, 3, tokens}, kI32},
          {{2, 3, nq + 1}, kI32},
          {{2, 3, nk + 1}, kI32},
          {{2, 3, nq, 2}, kI32}};
}

Node Svg2Node(bool bshd, const char* text, bool last_plan, const char* ranking = nullptr) {
  const int has_text = std::strcmp(text, "none") != 0;
  Node node;
  node.name = "Svg2Plan";
  node.attributes = [=](Fields& fields) { Svg2Attributes(fields, bshd, text, ranking); };
  node.inputs = last_plan ? 11 : 6;
  node.outputs = 7;
  node.bshd = bshd;
  node.shapes = [=](int tokens, trt::DataType of_q) {
    Shapes shapes = {{QDims(bshd, tokens, 64), of_q},
                     {QDims(bshd, tokens, 64), of_q},
                     {{3}, kI32},
                     {{2, 3, 6, 64}, kF32},
                     {{2, 3, 40, 64}, kF32}};
    const Shapes plan = PlanShapes(tokens, has_text);
    if (last_plan) shapes.insert(shapes.end(), plan.begin(), plan.end());
    shapes.push_back({{5}, kI32});
    shapes.insert(shapes.end(), plan.begin(), plan.end());
    shapes.push_back({{2, 3, 6, 64}, kF32});
    shapes.push_back({{2, 3, 40, 64}, kF32});
    return shapes;
  };
  const std::string nq = std::to_string(6 + has_text);
  node.output_shapes = {"B,H,S",
                        "B,H,S",
                        "B,H," + std::to_string(7 + has_text),
                        "B,H," + std::to_string(41 + has_text),
                        "B,H," + nq + ",2",
                        "B,H,6,D",
                        "B,H,40,D"};
  node.workspace = [=](int, DataType) {
    // K-means' size function is not host code; the scores' is a lower bound.
    PlanScoresProblem problem;
    if (ranking != nullptr && std::strcmp(ranking, "mass-per-token") == 0) {
      problem.selection = Selection::kBudgetByMassPerToken;
    }
    problem.batch = 2;
    problem.heads = 3;
    problem.query_clusters = 6;
    problem.key_clusters = 40;
    problem.head_dim = 64;
    return PlanScoresWorkspaceSize(problem);
  };
  return node;
}

// Blocks of 7 tokens.
Node SvgNode(bool bshd, const char* text, const char* sink, bool key_bias, bool plan_state) {
  const int query_more = std::strcmp(text, "none") != 0;
  const int key_more = query_more + (std::strcmp(sink, "corrected") == 0);
  Node node;
  node.name = "SvgPlan";
  node.attributes = [=](Fields& fields) {
    fields.Int("site", 1).Text("layout", bshd ? "BSHD" : "BHSD").Float("scale", 0.125f);
    fields.Text("plugin_namespace", "sparsedit").Text("plugin_version", "1");
    fields.Int("block_size", 7).Float("density", 0.3f).Int("budget", 1).Int("sampled_rows", 64);
    fields.Float("profile_frames", 1.5f).Text("frame_sink", sink).Text("text_position", text);
    fields.Int("plan_state", plan_state);
  };
  node.inputs = 5 + key_bias + plan_state;
  node.outputs = 5 + plan_state;
  node.bshd = bshd;
  node.shapes = [=](int tokens, trt::DataType of_q) {
    const Described activation = {QDims(bshd, tokens, 64), of_q};
    Shapes shapes = {activation, activation, activation, {{3}, kI32}};
    if (key_bias) shapes.push_back({{2, 1, 1, tokens}, kF32});
    if (plan_state) shapes.push_back({{2, 3}, kI32});
    shapes.push_back({{5}, kI32});
    const int nq = BlockRoom(tokens, 7) + query_more, nk = BlockRoom(tokens, 7) + key_more;
    shapes.push_back({{2, 3, tokens}, kI32});
    shapes.push_back({{2, 3, tokens}, kI32});
    shapes.push_back({{2, 3, nq + 1}, kI32});
    shapes.push_back({{2, 3, nk + 1}, kI32});
    shapes.push_back({{2, 3, nq, KeepWords(nk)}, kI32});
    if (plan_state) shapes.push_back({{2, 3}, kI32});
    return shapes;
  };
  const std::string queries = query_more == 0 ? "(S/7)" : "((S/7)+1)";
  const std::string key_bits = key_more == 0 ? "S" : "(S+" + std::to_string(7 * key_more) + ")";
  node.output_shapes = {"B,H,S", "B,H,S",
                        "B,H,((S/7)+" + std::to_string(query_more + 1) + ")",
                        "B,H,((S/7)+" + std::to_string(key_more + 1) + ")",
                        "B,H," + queries + ",(" + key_bits + "/224)"};
  if (plan_state) node.output_shapes.push_back("B,H");
  node.workspace = [=](int tokens, DataType) {
    // The classes' size function is not host code.
    BandPlanProblem problem;
    problem.batch = 2, problem.heads = 3, problem.tokens = tokens;
    problem.block_size = 7, problem.density = 0.3f;
    return BandPlanWorkspaceSize(problem) + kWorkspaceAlignment;
  };
  return node;
}

Node AdaSpaNode(bool bshd, const char* text, bool key_bias, bool last_keep) {
  const int has_text = std::strcmp(text, "none") != 0;
  Node node;
  node.name = "AdaSpaPlan";
  node.attributes = [=](Fields& fields) {
    fields.Int("site", 1).Text("layout", bshd ? "BSHD" : "BHSD").Float("scale", 0.125f);
    fields.Text("plugin_namespace", "sparsedit").Text("plugin_version", "1");
    fields.Int("block_size", 7).Float("density", 0.2f).Float("recall_threshold", 0.8f);
    fields.Text("text_position", text).Int("plan_state", last_keep ? 1 : 0);
  };
  node.inputs = 5 + key_bias + last_keep;
  node.outputs = 6;
  node.bshd = bshd;
  node.shapes = [=](int tokens, trt::DataType of_q) {
    const int segments = (tokens + 6) / 7 + has_text;
    const Described lse = {{2, 3, tokens}, kF32}, none = {{2, 3, 0}, kI32};
    const Described offsets = {{2, 3, segments + 1}, kI32};
    const Described keep = {{2, 3, segments, (segments + 31) / 32}, kI32};
    const Described activation = {QDims(bshd, tokens, 64), of_q};
    Shapes shapes = {activation, activation, {{3}, kI32}};
    if (key_bias) shapes.push_back({{2, 1, 1, tokens}, kF32});
    shapes.push_back(lse);
    if (last_keep) shapes.push_back(keep);
    shapes.push_back({{5}, kI32});
    for (const Described& shape : {none, none, offsets, offsets, keep, lse}) shapes.push_back(shape);
    return shapes;
  };
  const std::string segments = has_text ? "((S/7)+1)" : "(S/7)";
  const std::string offsets = has_text ? "((S/7)+2)" : "((S/7)+1)";
  node.output_shapes = {"B,H,0", "B,H,0", "B,H," + offsets, "B,H," + offsets,
                        "B,H," + segments + (has_text ? ",((S+7)/224)" : ",(S/224)"), "B,H,S"};
  node.workspace = [=](int tokens, DataType) {
    const std::size_t segments = (tokens + 6) / 7 + has_text;
    return 2 * 3 * segments * segments * sizeof(float);  // W
  };
  return node;
}

// `cross`: keys are half as many as queries.
Node AttentionNode(bool bshd, bool key_bias, bool compensate, bool natural_order,
                   bool cross = false) {
  Node node;
  node.name = "BlockSparseAttention";
  node.attributes = [=](Fields& fields) {
    fields.Int("site", 4).Text("layout", bshd ? "BSHD" : "BHSD").Float("scale", 0.125f);
    fields.Int("compensate", compensate ? 1 : 0);
  };
  node.inputs = key_bias ? 10 : 9;
  node.outputs = 1;
  node.bshd = bshd;
  node.shapes = [=](int tokens, trt::DataType of_q) {
    const int keys = cross ? tokens / 2 : tokens;
    const Described activation = {QDims(bshd, tokens, 64), of_q};
    const Described of_keys = {QDims(bshd, keys, 64), of_q};
    Shapes shapes = {activation, of_keys, of_keys};
    for (const Described& shape : PlanShapes(tokens, 0)) shapes.push_back(shape);
    shapes[4].dims[2] = keys;
    if (natural_order) shapes[3].dims[2] = shapes[4].dims[2] = 0;
    if (key_bias) shapes.push_back({{2, 1, 1, keys}, kF32});
    shapes.push_back({{5}, kI32});
    shapes.push_back(activation);
    return shapes;
  };
  node.output_shapes = {bshd ? "B,S,H,D" : "B,H,S,D"};
  node.workspace = [=](int tokens, DataType type) {
    std::size_t bytes = BlockSparseAttentionWorkspaceBytes(
        {2, 3, tokens, 6, 40, cross ? tokens / 2 : tokens}, 64, type, compensate);
    if (compensate) bytes += sizeof(float) * 2 * 3 * 40 * (2 * 64 + 1);
    return bytes;
  };
  return node;
}

struct QkNormRopeKind {
  int tensors;
  const char* norm;
  const char* scope;
  bool weight, bias;
  const char* rope;
  const char* rotated;
};

void QkNormRopeAttributes(Fields& fields, const QkNormRopeKind& kind, bool from_bshd, bool to_bshd) {
  fields.Int("site", 3).Text("layout", from_bshd ? "BSHD" : "BHSD");
  fields.Text("output_layout", to_bshd ? "BSHD" : "BHSD").Int("tensors", kind.tensors);
  fields.Text("norm", kind.norm).Int("weight", kind.weight).Int("bias", kind.bias);
  fields.Text("rope", kind.rope);
  if (std::strcmp(kind.norm, "none") != 0) fields.Text("scope", kind.scope).Float("epsilon", 1e-6f);
  if (std::strcmp(kind.rope, "none") != 0) fields.Text("rotated", kind.rotated).Int("rotary_start", 8);
}

Node QkNormRopeNode(const QkNormRopeKind& kind, bool from_bshd, bool to_bshd) {
  const bool rotates = std::strcmp(kind.rope, "none") != 0;
  const bool hidden = std::strcmp(kind.scope, "hidden") == 0;
  Node node;
  node.name = "QkNormRope";
  node.attributes = [=](Fields& fields) { QkNormRopeAttributes(fields, kind, from_bshd, to_bshd); };
  node.inputs = kind.tensors * (1 + kind.weight + kind.bias) + (rotates ? 2 : 0);
  node.outputs = kind.tensors;
  node.bshd = from_bshd;
  node.has_action = false;
  node.odd_head_dim = 264;
  node.shapes = [=](int tokens, trt::DataType of_q) {
    const bool all = std::strcmp(kind.rotated, "all") == 0;
    const int counts[2] = {tokens, all || !rotates ? tokens : tokens + 20};
    Shapes shapes;
    for (int i = 0; i < kind.tensors; ++i) shapes.push_back({QDims(from_bshd, counts[i], 64), of_q});
    // Their types are their own.
    const trt::DataType types[2] = {kF32, trt::DataType::kBF16};
    for (int i = 0; i < kind.tensors; ++i) {
      for (int w = 0; w < kind.weight + kind.bias; ++w) {
        shapes.push_back({{hidden ? 3 * 64 : 64}, types[(i + w) % 2]});
      }
    }
    for (int i = 0; i < (rotates ? 2 : 0); ++i) {
      shapes.push_back({{1, all ? tokens : tokens - 10, 1, 48}, kF32});
    }
    for (int i = 0; i < kind.tensors; ++i) shapes.push_back({QDims(to_bshd, counts[i], 64), of_q});
    return shapes;
  };
  for (int i = 0; i < kind.tensors; ++i) {
    const std::string s = i == 0 ? "S" : "T";
    node.symbols.push_back(from_bshd ? "B" + s + "HD" : "BH" + s + "D");
    node.output_shapes.push_back(to_bshd ? "B," + s + ",H,D" : "B,H," + s + ",D");
  }
  node.workspace = [](int, DataType) { return std::size_t{0}; };
  return node;
}

template <typename Facet>
Facet* FacetOf(trt::IPluginV3* plugin, trt::PluginCapabilityType type) {
  return static_cast<Facet*>(plugin->getCapabilityInterface(type));
}
trt::IPluginV3OneBuild* BuildOf(trt::IPluginV3* plugin) {
  return FacetOf<trt::IPluginV3OneBuild>(plugin, trt::PluginCapabilityType::kBUILD);
}
trt::IPluginV3OneRuntime* RuntimeOf(trt::IPluginV3* plugin) {
  return FacetOf<trt::IPluginV3OneRuntime>(plugin, trt::PluginCapabilityType::kRUNTIME);
}

using Plugin = std::unique_ptr<trt::IPluginV3>;

struct Host {
  std::function<trt::IPluginCreatorInterface*(const char*, const char*, const char*)> get_creator;
  std::function<std::string()> take_messages;  // empty function: the host keeps them

  trt::IPluginCreatorV3One* Creator(const char* name) const {
    return dynamic_cast<trt::IPluginCreatorV3One*>(get_creator(name, "1", "sparsedit"));
  }
  Plugin Make(const Node& node, const std::function<void(Fields&)>& change = nullptr) const {
    Fields fields;
    node.attributes(fields);
    if (change) change(fields);
    return Plugin(
        Creator(node.name)->createPlugin("node", fields.Get(), trt::TensorRTPhase::kBUILD));
  }
  // Whether the error logged since the last call has `text`.
  bool Said(const char* text) const {
    if (!take_messages) return true;
    const std::string messages = take_messages();
    const bool found = messages.find(text) != std::string::npos;
    if (!found) std::printf("expected \"%s\", logged: %s\n", text, messages.c_str());
    return found;
  }
};

void CheckIdentity(const Node& node, trt::IPluginV3* plugin) {
  auto* core = FacetOf<trt::IPluginV3OneCore>(plugin, trt::PluginCapabilityType::kCORE);
  CHECK(std::string(core->getPluginName()) == node.name);
  CHECK(std::string(core->getPluginVersion()) == "1");
  CHECK(std::string(core->getPluginNamespace()) == "sparsedit");
  CHECK(BuildOf(plugin)->getNbOutputs() == node.outputs);
  CHECK(BuildOf(plugin)->getNbTactics() == 0);
  CHECK(!std::string(BuildOf(plugin)->getTimingCacheID()).empty());
}

std::vector<trt::DataType> TypesOf(const Shapes& shapes, int count) {
  std::vector<trt::DataType> types;
  for (int i = 0; i < count; ++i) types.push_back(shapes[i].type);
  return types;
}

// Types, shapes, formats, workspace, storing, cloning, changing shapes.
void TestNode(const Host& host, const Node& node) {
  Plugin plugin = host.Make(node);
  CHECK(plugin != nullptr);
  if (plugin == nullptr) return;
  CheckIdentity(node, plugin.get());
  trt::IPluginV3OneBuild* build = BuildOf(plugin.get());
  const int inputs = node.inputs, outputs = node.outputs;

  const struct { trt::DataType trt; DataType type; } types[] = {
      {trt::DataType::kHALF, DataType::kFloat16},
      {trt::DataType::kBF16, DataType::kBFloat16},
      {trt::DataType::kFLOAT, DataType::kFloat32}};
  for (const auto& type : types) {
    const Shapes low = node.shapes(100, type.trt), high = node.shapes(300, type.trt);
    const std::vector<trt::DataType> all = TypesOf(low, inputs + outputs);
    std::vector<trt::DataType> given(outputs);
    CHECK(build->getOutputDataTypes(given.data(), outputs, all.data(), inputs) == 0);
    CHECK(std::equal(given.begin(), given.end(), all.begin() + inputs));

    std::vector<trt::DynamicPluginTensorDesc> descs = DynamicDescs(low, high);
    for (int i = 0; i < inputs + outputs; ++i) {
      CHECK(build->supportsFormatCombination(i, descs.data(), inputs, outputs));
      std::vector<trt::DynamicPluginTensorDesc> other = descs;
      other[i].desc.format = trt::TensorFormat::kCHW4;
      CHECK(!build->supportsFormatCombination(i, other.data(), inputs, outputs));
      other = descs;
      other[i].desc.type = trt::DataType::kINT8;
      CHECK(!build->supportsFormatCombination(i, other.data(), inputs, outputs));
    }
    CHECK(build->configurePlugin(descs.data(), inputs, descs.data() + inputs, outputs) == 0);
    const std::size_t bytes =
        build->getWorkspaceSize(descs.data(), inputs, descs.data() + inputs, outputs);
    const std::size_t needed = node.workspace(300, type.type);
    CHECK(bytes > 0 && bytes >= needed);
    // What the smaller shapes need is no more.
    const std::vector<trt::DynamicPluginTensorDesc> small = DynamicDescs(low, low);
    CHECK(build->getWorkspaceSize(small.data(), inputs, small.data() + inputs, outputs) <= bytes);
  }

  Builder builder;
  std::vector<std::string> symbols = node.symbols;
  if (symbols.empty()) symbols = {node.bshd ? "BSHD" : "BHSD"};
  std::vector<trt::DimsExprs> symbolic(inputs), results(outputs);
  for (std::size_t input = 0; input < symbols.size(); ++input) {
    symbolic[input].nbDims = 4;
    for (int i = 0; i < 4; ++i) {
      symbolic[input].d[i] =
          builder.implementation.Make(std::string(1, symbols[input][i]), -1, false);
    }
  }
  CHECK(build->getOutputShapes(symbolic.data(), inputs, nullptr, 0, results.data(), outputs,
                               builder) == 0);
  for (int i = 0; i < outputs; ++i) CHECK(TextOf(results[i]) == node.output_shapes[i]);

  // Stored in an engine and made again; clones; a plugin for one context.
  const trt::PluginFieldCollection* stored = RuntimeOf(plugin.get())->getFieldsToSerialize();
  const std::string text = TextOf(stored);
  CHECK(text.find("inputs=" + std::to_string(inputs) + " ") != std::string::npos);
  Plugin again(
      host.Creator(node.name)->createPlugin("node", stored, trt::TensorRTPhase::kRUNTIME));
  CHECK(again != nullptr);
  if (again == nullptr) return;
  Plugin copy(again->clone()), attached(RuntimeOf(again.get())->attachToContext(nullptr));
  for (trt::IPluginV3* p : {again.get(), copy.get(), attached.get()}) {
    CheckIdentity(node, p);
    CHECK(TextOf(RuntimeOf(p)->getFieldsToSerialize()) == text);
  }

  // Runtime shapes; null tensors must be refused, not launched.
  trt::IPluginV3OneRuntime* runtime = RuntimeOf(attached.get());
  const std::vector<void*> nulls(inputs + outputs, nullptr);
  for (const int tokens : {100, 300}) {
    const auto descs = Descs(node.shapes(tokens, trt::DataType::kBF16));
    CHECK(runtime->onShapeChange(descs.data(), inputs, descs.data() + inputs, outputs) == 0);
    CHECK(runtime->enqueue(descs.data(), descs.data() + inputs, nulls.data(),
                           nulls.data() + inputs, nullptr, nullptr) != 0);
    CHECK(host.Said("has no workspace"));
    alignas(1024) static char memory[4096];
    CHECK(runtime->enqueue(descs.data(), descs.data() + inputs, nulls.data(),
                           nulls.data() + inputs, memory, nullptr) != 0);
    CHECK(host.Said("could not be launched: invalid argument ("));
  }

  // Each tensor with another extent, another rank, another type.
  const Shapes good = node.shapes(100, trt::DataType::kBF16);
  for (int i = 0; i < inputs + outputs; ++i) {
    Shapes shapes = good;
    shapes[i].dims.push_back(1);
    auto descs = Descs(shapes);
    CHECK(runtime->onShapeChange(descs.data(), inputs, descs.data() + inputs, outputs) != 0);
    CHECK(host.Said("dimensions are expected"));
    // Any number of sites is as good, and 41 key segments are as good as 40 for attention.
    if (!node.has_action || (i != inputs - 1 && !(outputs == 1 && i == 6))) {
      shapes = good;
      shapes[i].dims.back() += 1;
      descs = Descs(shapes);
      CHECK(runtime->onShapeChange(descs.data(), inputs, descs.data() + inputs, outputs) != 0);
      CHECK(host.Said(" of site "));
    }
    if (i == 0 || i >= inputs) continue;
    std::vector<trt::DataType> wrong = TypesOf(good, inputs), given(outputs);
    wrong[i] = trt::DataType::kINT64;
    CHECK(build->getOutputDataTypes(given.data(), outputs, wrong.data(), inputs) != 0);
    CHECK(host.Said(" is int64, not "));
  }
  auto descs = Descs(good);
  if (node.has_action) {
    Shapes few_sites = good;
    few_sites[inputs - 1].dims[0] = 1;
    descs = Descs(few_sites);
    CHECK(runtime->onShapeChange(descs.data(), inputs, descs.data() + inputs, outputs) != 0);
    CHECK(host.Said("action has 1 sites"));
  }
  const int few = inputs == 3 ? 2 : 3;
  CHECK(runtime->onShapeChange(descs.data(), few, descs.data() + inputs, outputs) != 0);
  CHECK(host.Said(few == 3 ? "has 3 inputs" : "has 2 inputs"));

  // A head dim without a kernel.
  std::vector<trt::DynamicPluginTensorDesc> odd = DynamicDescs(good, good);
  for (auto& desc : odd) {
    for (trt::Dims* dims : {&desc.desc.dims, &desc.min, &desc.max, &desc.opt}) {
      for (int axis = 0; axis < dims->nbDims; ++axis) {
        if (dims->d[axis] == 64) dims->d[axis] = node.odd_head_dim;
        if (dims->d[axis] == 3 * 64) dims->d[axis] = 3 * node.odd_head_dim;
      }
    }
  }
  CHECK(build->configurePlugin(odd.data(), inputs, odd.data() + inputs, outputs) != 0);
  CHECK(host.Said(("unsupported: batch 2, heads 3, tokens 100, head dim " +
                   std::to_string(node.odd_head_dim)).c_str()));
}

// What attributes and shapes say together.
void TestQkNormRopeShapes(const Host& host) {
  const struct {
    QkNormRopeKind kind;
    int input, axis;
    std::int64_t extent;
    const char* message;
  } cases[] = {
      {{1, "rms", "hidden", true, false, "none", "all"}, 1, 0, 64, "weights have 64 lanes where 192"},
      {{1, "rms", "head", true, false, "none", "all"}, 1, 0, 65, "lanes where 192 or 64 are"},
      {{1, "rms", "head", true, false, "half", "all"}, 2, 1, 99, "have 99 tokens, and there are 100"},
      {{1, "rms", "head", true, false, "half", "last"}, 2, 1, 101, "have 101 tokens, and there are"},
      {{1, "rms", "head", true, false, "half", "all"}, 2, 3, 58, "have 58 lanes, from lane 8 of 64"},
      {{1, "rms", "head", true, false, "half", "all"}, 2, 2, 2, "invalid argument"},
  };
  for (const auto& c : cases) {
    const Node node = QkNormRopeNode(c.kind, true, true);
    Plugin plugin = host.Make(node);
    CHECK(plugin != nullptr);
    if (plugin == nullptr) continue;
    Shapes shapes = node.shapes(100, trt::DataType::kHALF);
    shapes[c.input].dims[c.axis] = c.extent;
    if (c.input == 2) shapes[3].dims[c.axis] = c.extent;  // sin with cos
    const auto descs = Descs(shapes);
    CHECK(RuntimeOf(plugin.get())->onShapeChange(descs.data(), node.inputs,
                                                 descs.data() + node.inputs, node.outputs) != 0);
    CHECK(host.Said(c.message));
  }
}

// TensorRT bounds the extents of each tensor on its own: a table that is cut where the text ends is
// at least what is left of the shortest behind the longest text, and fits nowhere but at true sizes.
void TestBoundsThatDoNotFit(const Host& host) {
  const Node node = QkNormRopeNode({1, "rms", "head", true, false, "half", "all"}, true, true);
  Plugin plugin = host.Make(node);
  CHECK(plugin != nullptr);
  if (plugin == nullptr) return;
  trt::IPluginV3OneBuild* build = BuildOf(plugin.get());
  std::vector<trt::DynamicPluginTensorDesc> descs = DynamicDescs(
      node.shapes(100, trt::DataType::kHALF), node.shapes(300, trt::DataType::kHALF));
  for (int table : {2, 3}) {
    descs[table].min.d[1] = 76;
    descs[table].max.d[1] = 324;
  }
  trt::DynamicPluginTensorDesc* outputs = descs.data() + node.inputs;
  CHECK(build->configurePlugin(descs.data(), node.inputs, outputs, node.outputs) == 0);
  CHECK(build->getWorkspaceSize(descs.data(), node.inputs, outputs, node.outputs) > 0);
  for (int table : {2, 3}) descs[table].opt.d[1] = 99;
  CHECK(build->configurePlugin(descs.data(), node.inputs, outputs, node.outputs) != 0);
  CHECK(host.Said("have 99 tokens, and there are 100"));
}

void TestCreators(const Host& host) {
  const std::string svg2 = NamesOf(host.Creator("Svg2Plan")->getFieldNames());
  CHECK(svg2 ==
        "site:int layout:string scale:float q_clusters:int k_clusters:int top_p:float "
        "density:float ranking:string min_kept:float iterations:int init_iterations:int text_position:string inputs:int ");
  const std::string attention = NamesOf(host.Creator("BlockSparseAttention")->getFieldNames());
  CHECK(attention == "site:int layout:string scale:float compensate:int inputs:int ");
  const std::string svg = NamesOf(host.Creator("SvgPlan")->getFieldNames());
  CHECK(svg ==
        "site:int layout:string scale:float block_size:int density:float budget:int "
        "sampled_rows:int profile_frames:float frame_sink:string text_position:string "
        "plan_state:int inputs:int ");
  const std::string adaspa = NamesOf(host.Creator("AdaSpaPlan")->getFieldNames());
  CHECK(adaspa ==
        "site:int layout:string scale:float block_size:int density:float recall_threshold:float "
        "text_position:string plan_state:int inputs:int ");
  const std::string norm_rope = NamesOf(host.Creator("QkNormRope")->getFieldNames());
  CHECK(norm_rope ==
        "site:int layout:string output_layout:string tensors:int norm:string scope:string "
        "epsilon:float root_epsilon:float root_floor:float weight:int bias:int rope:string "
        "rotated:string rotary_start:int inputs:int ");
  for (const char* name :
       {"Svg2Plan", "SvgPlan", "AdaSpaPlan", "BlockSparseAttention", "QkNormRope"}) {
    std::printf("%s, namespace %s, version %s: %s\n", name,
                host.Creator(name)->getPluginNamespace(), host.Creator(name)->getPluginVersion(),
                NamesOf(host.Creator(name)->getFieldNames()).c_str());
  }
  CHECK(host.get_creator("Svg2Plan", "2", "sparsedit") == nullptr);
  CHECK(host.get_creator("Svg2Plan", "1", "") == nullptr);
}

void TestFaultyAttributes(const Host& host) {
  const Node svg2 = Svg2Node(false, "none", false);
  const Node budget = Svg2Node(false, "none", false, "mass-per-token");
  const Node attention = AttentionNode(false, false, false, false);
  const Node svg = SvgNode(false, "none", "none", false, false);
  const Node adaspa = AdaSpaNode(false, "none", false, false);
  const Node norm_rope =
      QkNormRopeNode({2, "rms", "head", true, false, "half", "last"}, true, true);
  const struct {
    const Node& node;
    std::function<void(Fields&)> change;
    const char* message;
  } cases[] = {
      {svg2, [](Fields& f) { f.Without("top_p"); }, "either top_p, or density and ranking"},
      {svg2, [](Fields& f) { f.Float("density", 0.25f); }, "either top_p, or density and ranking"},
      {svg2, [](Fields& f) { f.Text("ranking", "mass"); }, "either top_p, or density and ranking"},
      {budget, [](Fields& f) { f.Without("ranking"); }, "either top_p, or density and ranking"},
      {budget, [](Fields& f) { f.Without("density"); }, "either top_p, or density and ranking"},
      {budget, [](Fields& f) { f.Text("ranking", "tokens"); },
       "attribute ranking must be \"mass\" or \"mass-per-token\""},
      {budget, [](Fields& f) { f.Float("density", 0); }, "density must be above 0"},
      {budget, [](Fields& f) { f.Float("density", NAN); }, "density must be above 0"},
      {budget, [](Fields& f) { f.Text("density", "all"); }, "attribute density must be one number"},
      {svg2, [](Fields& f) { f.Int("top_p", 1); }, "attribute top_p must be one number"},
      {svg2, [](Fields& f) { f.Float("site", 1); }, "attribute site must be one integer"},
      {svg2, [](Fields& f) { f.Int("site", -1); }, "site is negative"},
      {svg2, [](Fields& f) { f.Text("layout", "bhsd"); }, "layout must be \"BHSD\" or \"BSHD\""},
      {svg2, [](Fields& f) { f.Text("text_position", "end"); }, "text_position must be \"none\""},
      {svg2, [](Fields& f) { f.Int("q_clusters", 0); }, "q_clusters and k_clusters must be"},
      {svg2, [](Fields& f) { f.Int("k_clusters", 5000); }, "q_clusters and k_clusters must be"},
      {svg2, [](Fields& f) { f.Float("top_p", -1); }, "top_p must not be negative"},
      {svg2, [](Fields& f) { f.Float("min_kept", 2); }, "min_kept must be from 0 to 1"},
      {svg2, [](Fields& f) { f.Int("iterations", 0); }, "iterations must be at least 1"},
      {svg2, [](Fields& f) { f.Float("scale", INFINITY); }, "scale must be finite"},
      {svg2, [](Fields& f) { f.Int("compensate", 1); }, "there is no attribute compensate"},
      {svg, [](Fields& f) { f.Without("plan_state"); }, "attribute plan_state is missing"},
      {svg, [](Fields& f) { f.Int("plan_state", 2); }, "plan_state must be 0 or 1"},
      {svg, [](Fields& f) { f.Int("budget", -1); }, "budget must be 0 or 1"},
      {svg, [](Fields& f) { f.Text("frame_sink", "first"); }, "frame_sink must be \"none\", \"publ"},
      {svg, [](Fields& f) { f.Float("scale", 0); }, "scale must be positive"},
      {svg, [](Fields& f) { f.Float("density", NAN); }, "density must be positive"},
      {svg, [](Fields& f) { f.Float("profile_frames", 0); }, "profile_frames must be positive"},
      {svg, [](Fields& f) { f.Int("block_size", 0); }, "block_size must be at least 1"},
      {svg, [](Fields& f) { f.Int("sampled_rows", 0); }, "sampled_rows must be from 1"},
      {adaspa, [](Fields& f) { f.Float("scale", NAN); }, "scale must be finite"},
      {adaspa, [](Fields& f) { f.Int("block_size", 0); }, "block_size must be at least 1"},
      {adaspa, [](Fields& f) { f.Float("density", 0); }, "density must be above 0"},
      {adaspa, [](Fields& f) { f.Float("recall_threshold", -1); }, "recall_threshold must not"},
      {adaspa, [](Fields& f) { f.Int("plan_state", 2); }, "plan_state must be 0 or 1"},
      {adaspa, [](Fields& f) { f.Float("top_p", 1); }, "there is no attribute top_p"},
      {attention, [](Fields& f) { f.Float("scale", 0); }, "scale must be positive"},
      {attention, [](Fields& f) { f.Int("compensate", 2); }, "compensate must be 0 or 1"},
      {attention, [](Fields& f) { f.Without("layout"); }, "attribute layout is missing"},
      {norm_rope, [](Fields& f) { f.Text("norm", "l2"); }, "norm must be \"none\", \"rms\""},
      {norm_rope, [](Fields& f) { f.Text("scope", "all"); }, "scope must be \"head\" or"},
      {norm_rope, [](Fields& f) { f.Text("rope", "yes"); }, "rope must be \"none\", \"inter"},
      {norm_rope, [](Fields& f) { f.Text("rotated", "none"); }, "rotated must be \"all\","},
      {norm_rope, [](Fields& f) { f.Text("norm", "none"); }, "there is no norm to weight"},
      {norm_rope, [](Fields& f) { f.Float("epsilon", 0); }, "one of epsilon, root_epsilon and"},
      {norm_rope, [](Fields& f) { f.Float("root_floor", -1); }, "must not be negative"},
      {norm_rope, [](Fields& f) { f.Int("tensors", 3); }, "tensors must be 1 or 2"},
      {norm_rope, [](Fields& f) { f.Int("weight", 2); }, "weight and bias must be 0 or 1"},
      {norm_rope, [](Fields& f) { f.Int("rotary_start", -2); }, "rotary_start is negative"},
      {norm_rope, [](Fields& f) { f.Without("tensors"); }, "attribute tensors is missing"},
  };
  for (const auto& c : cases) {
    CHECK(host.Make(c.node, c.change) == nullptr);
    CHECK(host.Said(c.message));
  }
  CHECK(host.Creator("Svg2Plan")->createPlugin("", nullptr, trt::TensorRTPhase::kBUILD) == nullptr);
  CHECK(host.Said("attributes are missing"));
}

using Function = void (*)(void*);

void TestVersion(Function get) {
  sparsedit_plugin_version_t version;
  std::memset(&version, 0xff, sizeof version);
  version.bytes = sizeof version;
  get(&version);
  CHECK(version.bytes == sizeof version && version.plugin_version == 1);
  CHECK(version.cuda_runtime >= 12000 && version.cuda_needed <= version.cuda_runtime);
  CHECK(version.cuda_needed % 1000 == 0 && version.cuda_driver >= 0);
  CHECK(std::strcmp(version.targets, SPARSEDIT_EXPECTED_TARGETS) == 0);
  CHECK(std::string(version.nodes) == "Svg2Plan SvgPlan AdaSpaPlan BlockSparseAttention QkNormRope");
  std::printf("CUDA runtime %d, driver needed %d, present %d; targets %s\n", version.cuda_runtime,
              version.cuda_needed, version.cuda_driver, version.targets);
  // An older caller's shorter memory.
  sparsedit_plugin_version_t partial;
  std::memset(&partial, 0x7f, sizeof partial);
  partial.bytes = 8;
  get(&partial);
  CHECK(partial.bytes == 8 && partial.plugin_version == 1 && partial.cuda_runtime == 0x7f7f7f7f);
  get(nullptr);
}

// ------------------------------------------------------------------------- what serves a host

Function Find(void* library, const char* name) {
  const auto function = reinterpret_cast<Function>(dlsym(library, name));
  CHECK(function != nullptr);
  return function;
}

void TestGpu(void* library) {
  sparsedit_gpu_t gpu;
  std::memset(&gpu, 0xff, sizeof gpu);
  Find(library, "sparsedit_gpu")(&gpu);
  if (gpu.count > 0) {
    CHECK(gpu.capability >= 50 && gpu.memory > 0 && gpu.name[0] != 0 && gpu.message[0] == 0);
  } else {
    CHECK(gpu.count == 0 && gpu.capability == 0 && gpu.memory == 0 && gpu.name[0] == 0);
  }
  Find(library, "sparsedit_gpu")(nullptr);
}

void TestOpen(void* library) {
  const Function open = Find(library, "sparsedit_open");
  sparsedit_open_t request = {};
  std::strcpy(request.library, "libabsent.so.7");
  open(&request);
  CHECK(std::strstr(request.message, "libabsent.so.7") != nullptr);
  std::strcpy(request.library, "libc.so.6");
  open(&request);
  CHECK(request.message[0] == 0);
  open(nullptr);
}

void TestMap(void* library, const char* path) {
  const Function map = Find(library, "sparsedit_map"), unmap = Find(library, "sparsedit_unmap");
  sparsedit_map_t file = {};
  std::strcpy(file.file, path);
  map(&file);
  CHECK(file.message[0] == 0 && file.bytes > 1000);
  CHECK(file.data != nullptr && std::memcmp(file.data, "\x7f" "ELF", 4) == 0);
  unmap(&file);
  CHECK(file.data == nullptr && file.bytes == 0);
  unmap(&file);
  std::strcpy(file.file, "/absent");
  map(&file);
  CHECK(file.data == nullptr && std::strstr(file.message, "No such file") != nullptr);
  std::strcpy(file.file, "/dev/null");
  map(&file);
  CHECK(file.data == nullptr && std::strstr(file.message, "empty") != nullptr);
  map(nullptr);
  unmap(nullptr);
}

void TestProgress(void* library) {
  sparsedit_object_t made = {};
  Find(library, "sparsedit_new_progress")(&made);
  CHECK(made.object != nullptr);
  auto& monitor = *static_cast<trt::v_1_0::IProgressMonitor*>(made.object);
  CHECK(std::string(monitor.getInterfaceInfo().kind) == "IProgressMonitor");
  const Function read = Find(library, "sparsedit_read_progress");
  sparsedit_progress_t now = {};
  now.object = made.object;
  read(&now);
  CHECK(now.phase[0] == 0 && now.steps == 0);
  monitor.phaseStart("whole", nullptr, 1);
  monitor.phaseStart("build", "whole", 7);
  CHECK(monitor.stepComplete("build", 2));
  read(&now);
  CHECK(std::string(now.phase) == "build" && now.done == 3 && now.steps == 7);
  Find(library, "sparsedit_cancel_progress")(made.object);
  CHECK(!monitor.stepComplete("build", 3));
  monitor.phaseFinish("build");
  read(&now);
  CHECK(std::string(now.phase) == "whole");
  monitor.phaseStart(std::string(1000, 'x').c_str(), nullptr, 2);
  read(&now);
  CHECK(std::string(now.phase) == std::string(sizeof now.phase - 1, 'x'));
  Find(library, "sparsedit_delete_progress")(made.object);
  Find(library, "sparsedit_delete_progress")(nullptr);
}

void TestLayerTimes(void* library) {
  sparsedit_object_t made = {};
  Find(library, "sparsedit_new_layer_times")(&made);
  CHECK(made.object != nullptr);
  auto& profiler = *static_cast<trt::v_1_0::IProfiler*>(made.object);
  profiler.reportLayerTime("first", 1.5f);
  profiler.reportLayerTime("second", 0.25f);
  const Function take = Find(library, "sparsedit_take_layer_times");
  struct {
    sparsedit_layer_times_t header;
    char text[64];
  } times = {{made.object, 5}, {}};
  const std::string lines = "1.5000\tfirst\n0.2500\tsecond\n";
  take(&times);
  CHECK(times.header.bytes == static_cast<std::int64_t>(lines.size()) && times.text[0] == 0);
  times.header.bytes = sizeof times.text;
  take(&times);
  CHECK(std::string(times.text, static_cast<std::size_t>(times.header.bytes)) == lines);
  times.header.bytes = sizeof times.text;
  take(&times);
  CHECK(times.header.bytes == 0);
  Find(library, "sparsedit_delete_layer_times")(made.object);
  Find(library, "sparsedit_delete_layer_times")(nullptr);
}

void TestDelete(void* library, void* stub) {
  const char* const names[] = {"builder",          "network", "builder_config", "timing_cache",
                               "host_memory",      "runtime", "engine",         "execution_context",
                               "engine_inspector", "onnx_parser"};
  const auto make_handle =
      reinterpret_cast<void* (*)(int*)>(stub ? dlsym(stub, "stubMakeHandle") : nullptr);
  const auto make_parser =
      reinterpret_cast<void* (*)(int*)>(stub ? dlsym(stub, "stubMakeParser") : nullptr);
  for (const std::string name : names) {
    const auto free =
        reinterpret_cast<Function>(dlsym(library, ("sparsedit_delete_" + name).c_str()));
    CHECK(free != nullptr);
    if (free == nullptr) continue;
    free(nullptr);
    if (make_handle == nullptr) continue;
    int deleted = 0;
    free(name == "onnx_parser" ? make_parser(&deleted) : make_handle(&deleted));
    CHECK(deleted == 1);
  }
}

// A parser keeps its network and logger but does not use them before it parses; in their place
// stands an object whose every function returns the object itself.
void TestDeleteRealParser(void* library, void* parsers) {
  static void* network[64];
  static void* functions[512];
  for (void*& function : functions) {
    function = reinterpret_cast<void*>(+[]() -> void* { return network; });
  }
  network[0] = functions;
  network[1] = network;  // its implementation
  const auto make = reinterpret_cast<void* (*)(void*, void*, int)>(
      dlsym(parsers, "createNvOnnxParser_INTERNAL"));
  const auto free =
      reinterpret_cast<Function>(dlsym(library, "sparsedit_delete_onnx_parser"));
  CHECK(make != nullptr && free != nullptr);
  if (make == nullptr || free == nullptr) return;
  void* parser = make(network, network, 0);
  CHECK(parser != nullptr);
  last_freed = nullptr;
  free(parser);
  CHECK(last_freed == parser);
  std::printf("a real ONNX parser was deleted\n");
}

template <typename Registry>
void TestLibrary(void* nvinfer, const char* path, void* parsers) {
  auto* registry =
      static_cast<Registry*>(reinterpret_cast<void* (*)()>(dlsym(nvinfer, "getPluginRegistry"))());
  const auto take =
      reinterpret_cast<const char* (*)()>(dlsym(nvinfer, "stubTakeMessages"));
  std::int32_t before = 0, after = 0;
  registry->getAllCreators(&before);
  void* handle = registry->loadLibrary(path);
  CHECK(handle != nullptr);
  if (handle == nullptr) return;
  registry->getAllCreators(&after);
  CHECK(after == before + 5);

  Host host;
  host.get_creator = [&](const char* name, const char* version, const char* name_space) {
    return registry->getCreator(name, version, name_space);
  };
  if (take != nullptr) host.take_messages = [take] { return std::string(take()); };
  CHECK(host.Creator("Svg2Plan") != nullptr && host.Creator("BlockSparseAttention") != nullptr);
  if (Failures() > 0) return;
  TestCreators(host);
  for (const bool bshd : {false, true}) {
    for (const char* text : {"none", "first", "last"}) {
      for (const bool last_plan : {false, true}) {
        for (const char* ranking : {static_cast<const char*>(nullptr), "mass", "mass-per-token"}) {
          TestNode(host, Svg2Node(bshd, text, last_plan, ranking));
        }
      }
      for (const bool key_bias : {false, true}) {
        for (const bool state : {false, true}) {
          TestNode(host, AdaSpaNode(bshd, text, key_bias, state));
        }
      }
      for (const char* sink : {"none", "published", "corrected"}) {
        for (const bool key_bias : {false, true}) {
          for (const bool state : {false, true}) {
            TestNode(host, SvgNode(bshd, text, sink, key_bias, state));
          }
        }
      }
    }
    for (const bool natural_order : {false, true}) {
      TestNode(host, AttentionNode(bshd, false, false, natural_order));
      TestNode(host, AttentionNode(bshd, true, false, natural_order));
      TestNode(host, AttentionNode(bshd, false, true, natural_order));
      TestNode(host, AttentionNode(bshd, true, true, natural_order));
      TestNode(host, AttentionNode(bshd, true, true, natural_order, true));
    }
  }
  const QkNormRopeKind kinds[] = {
      {2, "rms", "hidden", true, false, "interleaved", "all"},
      {2, "layer", "head", true, true, "half", "last"},
      {1, "rms", "head", true, false, "interleaved", "first"},
      {2, "none", "head", false, false, "half", "all"},
      {1, "layer", "hidden", true, true, "none", "all"},
  };
  for (const QkNormRopeKind& kind : kinds) {
    TestNode(host, QkNormRopeNode(kind, true, true));
    TestNode(host, QkNormRopeNode(kind, false, true));
    TestNode(host, QkNormRopeNode(kind, true, false));
  }
  TestQkNormRopeShapes(host);
  TestBoundsThatDoNotFit(host);
  TestFaultyAttributes(host);

  void* library = dlopen(path, RTLD_NOW);
  CHECK(library != nullptr);
  TestVersion(reinterpret_cast<Function>(dlsym(library, "sparsedit_plugin_version")));
  TestGpu(library);
  TestOpen(library);
  TestMap(library, path);
  TestProgress(library);
  TestLayerTimes(library);
  TestDelete(library, take == nullptr ? nullptr : nvinfer);
  if (parsers != nullptr) TestDeleteRealParser(library, parsers);
  dlclose(library);

  registry->deregisterLibrary(handle);
  registry->getAllCreators(&after);
  CHECK(after == before && registry->getCreator("Svg2Plan", "1", "sparsedit") == nullptr);
}

}  // namespace
}  // namespace sparsedit::test

int main(int argc, char** argv) {
  using namespace sparsedit::test;
  if (argc != 3 && argc != 4) {
    std::printf("usage: load_plugins LIBNVINFER PLUGIN_LIBRARY [LIBNVONNXPARSER]\n");
    return 2;
  }
  void* nvinfer = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  void* parsers = argc == 4 ? dlopen(argv[3], RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (nvinfer == nullptr || (argc == 4 && parsers == nullptr)) {
    std::printf("%s\n", dlerror());
    return 2;
  }
  const int version = reinterpret_cast<std::int32_t (*)()>(dlsym(nvinfer, "getInferLibVersion"))();
  std::printf("TensorRT %d.%d.%d (%s)\n", version / 10000, version / 100 % 100, version % 100,
              argv[1]);
  std::fflush(stdout);
  if (version < 110000) {
    TestLibrary<trt::trt10::IPluginRegistry>(nvinfer, argv[2], parsers);
  } else {
    TestLibrary<trt::trt11::IPluginRegistry>(nvinfer, argv[2], parsers);
  }
  return Report("load_plugins");
}
