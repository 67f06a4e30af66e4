// Runs the plugins on the GPU as an engine would: planner and attention, with every kind of step, and
// what prepares Q and K.
//
//   plugin_run_test [--quick [PART]]
//
// --quick: every plugin on a reduced grid, for compute-sanitizer; of it rope, svg2, svg2-f32, svg or adaspa
// alone.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/adaspa_plan.h"
#include "kernels/kmeans.h"
#include "plugins/trt_abi.h"
#include "test/attention_reference.h"
#include "test/check.h"
#include "test/device_memory.h"
#include "test/qk_norm_rope_reference.h"
#include "test/svg_reference.h"

extern "C" nvinfer1::IPluginCreatorInterface* const* getCreators(std::int32_t& count);

namespace sparsedit::test {
namespace {

namespace trt = nvinfer1;

constexpr int kBatch = 2, kHeads = 3, kDim = 64, kQueryClusters = 6, kKeyClusters = 40;
constexpr int kFrames = 5, kHeight = 10, kWidth = 13;
constexpr int kSites = 3, kSite = 1;
constexpr float kScale = 0.125f;
constexpr float kDensity = 0.3f;

trt::DataType TypeOf(DataType type) {
  return type == DataType::kFloat32   ? trt::DataType::kFLOAT
         : type == DataType::kFloat16 ? trt::DataType::kHALF
                                      : trt::DataType::kBF16;
}

// A tensor in device memory; of no elements it has no memory.
struct Tensor {
  trt::PluginTensorDesc desc = {};
  std::shared_ptr<DeviceBuffer> memory;

  Tensor() = default;
  Tensor(std::vector<std::int64_t> dims, trt::DataType type, int size) {
    desc.dims.nbDims = static_cast<std::int32_t>(dims.size());
    std::copy(dims.begin(), dims.end(), desc.dims.d);
    desc.type = type;
    desc.format = trt::TensorFormat::kLINEAR;
    const std::int64_t count =
        std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>());
    memory = std::make_shared<DeviceBuffer>(static_cast<std::size_t>(count) * size);
    if (count > 0) memory->Fill(0x7b);  // something that no kernel writes
  }
  template <typename T>
  std::vector<T> Read() const {
    const std::vector<char> bytes = memory->Read();
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  void Write(const void* from) {
    CheckCuda(cudaMemcpy(memory->data(), from, memory->bytes(), cudaMemcpyHostToDevice), "copy");
  }
};

Tensor Ints(std::vector<std::int64_t> dims) { return {std::move(dims), trt::DataType::kINT32, 4}; }
Tensor Floats(std::vector<std::int64_t> dims) {
  return {std::move(dims), trt::DataType::kFLOAT, 4};
}

// A plugin, its tensors' types and shapes settled and its workspace allocated.
class Node {
 public:
  Node(const char* name, const std::vector<trt::PluginField>& fields, trt::TensorRTPhase phase) {
    std::int32_t count = 0;
    trt::IPluginCreatorInterface* const* creators = getCreators(count);
    for (int i = 0; i < count; ++i) {
      auto* creator = static_cast<trt::IPluginCreatorV3One*>(creators[i]);
      if (std::strcmp(creator->getPluginName(), name) != 0) continue;
      const trt::PluginFieldCollection given = {static_cast<std::int32_t>(fields.size()),
                                                fields.data()};
      plugin_.reset(creator->createPlugin("node", &given, phase));
    }
    CHECK(plugin_ != nullptr);
  }

  // Returns what enqueue does: 0 for success.
  int Enqueue(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
              cudaStream_t stream = nullptr) {
    std::vector<trt::PluginTensorDesc> in, out;
    std::vector<trt::DynamicPluginTensorDesc> dynamic_in, dynamic_out;
    std::vector<const void*> from;
    std::vector<void*> to;
    for (const Tensor& t : inputs) {
      in.push_back(t.desc);
      dynamic_in.push_back({t.desc, t.desc.dims, t.desc.dims, t.desc.dims});
      from.push_back(t.memory->data());
    }
    for (const Tensor& t : outputs) {
      out.push_back(t.desc);
      dynamic_out.push_back({t.desc, t.desc.dims, t.desc.dims, t.desc.dims});
      to.push_back(t.memory->data());
    }
    const int in_count = static_cast<int>(in.size()), out_count = static_cast<int>(out.size());
    auto* build = static_cast<trt::IPluginV3OneBuild*>(
        plugin_->getCapabilityInterface(trt::PluginCapabilityType::kBUILD));
    auto* runtime = static_cast<trt::IPluginV3OneRuntime*>(
        plugin_->getCapabilityInterface(trt::PluginCapabilityType::kRUNTIME));
    CHECK(build->configurePlugin(dynamic_in.data(), in_count, dynamic_out.data(), out_count) == 0);
    const std::size_t bytes =
        build->getWorkspaceSize(dynamic_in.data(), in_count, dynamic_out.data(), out_count);
    if (workspace_ == nullptr || workspace_->bytes() != bytes) {
      workspace_ = std::make_unique<DeviceBuffer>(bytes);
      workspace_->Fill(0x7b);
    }
    CHECK(runtime->onShapeChange(in.data(), in_count, out.data(), out_count) == 0);
    return runtime->enqueue(in.data(), out.data(), from.data(), to.data(), workspace_->data(),
                            stream);
  }

 private:
  std::unique_ptr<trt::IPluginV3> plugin_;
  std::unique_ptr<DeviceBuffer> workspace_;
};

trt::PluginField Field(const char* name, const int* value) {
  return {name, value, trt::PluginFieldType::kINT32, 1};
}
trt::PluginField Field(const char* name, const float* value) {
  return {name, value, trt::PluginFieldType::kFLOAT32, 1};
}
trt::PluginField Field(const char* name, const char* value) {
  return {name, value, trt::PluginFieldType::kCHAR, static_cast<std::int32_t>(std::strlen(value))};
}

struct Case {
  DataType type;
  Layout layout;
  TextPosition text;
  const char* ranking;  // of a budget; null: top-p
  int frames = kFrames;
  int video() const { return frames * kHeight * kWidth; }
  int tokens() const { return video() + (text == TextPosition::kNone ? 0 : 50); }
  int nq() const { return SegmentsOf(kQueryClusters, text); }
  int nk() const { return SegmentsOf(kKeyClusters, text); }
};

Node MakePlanner(const Case& c) {
  static const int site = kSite, cq = kQueryClusters, ck = kKeyClusters, warm = 2, cold = 8;
  static const float scale = kScale, top_p = 0.6f, density = kDensity, min_kept = 0.1f;
  std::vector<trt::PluginField> fields = {
      Field("site", &site), Field("scale", &scale), Field("q_clusters", &cq),
      Field("k_clusters", &ck), Field("min_kept", &min_kept), Field("iterations", &warm),
      Field("init_iterations", &cold),
      Field("layout", c.layout == Layout::kBhsd ? "BHSD" : "BSHD"),
      Field("text_position", c.text == TextPosition::kNone    ? "none"
                             : c.text == TextPosition::kFirst ? "first"
                                                              : "last")};
  if (c.ranking == nullptr) {
    fields.push_back(Field("top_p", &top_p));
  } else {
    fields.push_back(Field("density", &density));
    fields.push_back(Field("ranking", c.ranking));
  }
  return Node("Svg2Plan", fields, trt::TensorRTPhase::kRUNTIME);
}

Node MakeAttention(const Case& c, bool compensate,
                   trt::TensorRTPhase phase = trt::TensorRTPhase::kRUNTIME) {
  static const int site = kSite, no = 0, yes = 1;
  static const float scale = kScale;
  return Node("BlockSparseAttention",
              {Field("site", &site), Field("scale", &scale),
               Field("compensate", compensate ? &yes : &no),
               Field("layout", c.layout == Layout::kBhsd ? "BHSD" : "BSHD")},
              phase);
}

std::vector<Tensor> PlanTensors(const Case& c) {
  return {Ints({kBatch, kHeads, c.tokens()}), Ints({kBatch, kHeads, c.tokens()}),
          Ints({kBatch, kHeads, c.nq() + 1}), Ints({kBatch, kHeads, c.nk() + 1}),
          Ints({kBatch, kHeads, c.nq(), KeepWords(c.nk())})};
}

HostPlan ReadPlan(const Case& c, const std::vector<Tensor>& plan) {
  HostPlan host;
  host.shape = {kBatch, kHeads, c.tokens(), c.nq(), c.nk()};
  host.query_order = plan[0].Read<std::int32_t>();
  host.key_order = plan[1].Read<std::int32_t>();
  host.query_offsets = plan[2].Read<std::int32_t>();
  host.key_offsets = plan[3].Read<std::int32_t>();
  host.keep = plan[4].Read<std::int32_t>();
  return host;
}

bool IsPermutation(const std::int32_t* order, int count) {
  std::vector<int> seen(count, 0);
  for (int i = 0; i < count; ++i) {
    if (order[i] < 0 || order[i] >= count || seen[order[i]]++ != 0) return false;
  }
  return true;
}

bool Ascend(const std::int32_t* offsets, int segments, int tokens) {
  for (int i = 0; i < segments; ++i) {
    if (offsets[i] > offsets[i + 1]) return false;
  }
  return offsets[0] == 0 && offsets[segments] == tokens;
}

struct Problem {
  Case c;
  HostAttention host;
  Tensor q, k, v, o, geometry, key_bias, action;

  explicit Problem(const Case& c) : c(c) {
    Random random(42);
    host.head_dim = kDim;
    host.layout = c.layout;
    host.scale = kScale;
    host.plan.shape = {kBatch, kHeads, c.tokens(), c.nq(), c.nk()};
    const bool head_major = c.layout == Layout::kBhsd;
    const std::vector<std::int64_t> dims = {kBatch, head_major ? kHeads : c.tokens(),
                                            head_major ? c.tokens() : kHeads, kDim};
    struct { std::vector<float>* values; Tensor* tensor; } const all[] = {
        {&host.q, &q}, {&host.k, &k}, {&host.v, &v}};
    for (const auto& each : all) {
      each.values->resize(static_cast<std::size_t>(kBatch) * kHeads * c.tokens() * kDim);
      for (float& x : *each.values) x = RoundTo(c.type, static_cast<float>(random.Normal()));
      *each.tensor = Tensor(dims, TypeOf(c.type), SizeOf(c.type));
      each.tensor->Write(Encode(c.type, *each.values).data());
    }
    o = Tensor(dims, TypeOf(c.type), SizeOf(c.type));
    geometry = Ints({3});
    const std::int32_t extents[] = {c.frames, kHeight, kWidth};
    geometry.Write(extents);
    host.key_bias.resize(static_cast<std::size_t>(kBatch) * c.tokens());
    for (float& bias : host.key_bias) {
      bias = random.Below(9) == 0 ? -std::numeric_limits<float>::infinity()
                                  : static_cast<float>(random.Below(3) - 1);
    }
    key_bias = Floats({kBatch, 1, 1, c.tokens()});
    key_bias.Write(host.key_bias.data());
    action = Ints({kSites});
  }

  void SetAction(int code) {
    std::int32_t codes[kSites] = {0, 0, 0};
    codes[kSite] = code;
    action.Write(codes);
  }

  std::vector<Tensor> AttentionInputs(const std::vector<Tensor>& plan, bool bias) const {
    std::vector<Tensor> inputs = {q, k, v};
    inputs.insert(inputs.end(), plan.begin(), plan.begin() + 5);
    if (bias) inputs.push_back(key_bias);
    inputs.push_back(action);
    return inputs;
  }

  // Compares o with the reference over the plan.
  void CheckOutput(const HostPlan& plan, bool dense, bool bias, bool compensate,
                   const char* what, int step = 7) const {
    HostAttention a = host;
    a.plan = plan;
    a.dense = dense;
    if (!bias) a.key_bias.clear();
    if (compensate && !dense) FillMeans(a);
    const std::vector<float> out = Decode(c.type, o.memory->Read());
    const int rows = (c.tokens() + step - 1) / step;
    std::vector<double> errors(kBatch * kHeads * rows), sizes(errors.size());
    ParallelFor(static_cast<int>(errors.size()), [&](int i) {
      const int bh = i / rows;
      double row[kDim], lse;
      const int token = AttentionRow(a, bh, i % rows * step, row, &lse);
      const std::int64_t at = a.At(bh / kHeads, bh % kHeads, token);
      for (int d = 0; d < kDim; ++d) {
        const double error = std::fabs(out[at + d] - row[d]);
        if (!std::isnan(errors[i]) && !(error <= errors[i])) errors[i] = error;  // a NaN stays
        sizes[i] = std::max(sizes[i], std::fabs(row[d]));
      }
    });
    double worst = 0.0, largest = 1.0;
    for (std::size_t i = 0; i < errors.size(); ++i) {
      if (!std::isnan(worst) && !(errors[i] <= worst)) worst = errors[i];
      largest = std::max(largest, sizes[i]);
    }
    const double limit = c.type == DataType::kFloat32 ? 1e-4 : 2e-2;
    CHECK(worst / largest < limit);
    if (!(worst / largest < limit)) std::printf("%s: error %g\n", what, worst / largest);
  }
};

// Each centroid is the mean of its segment's tokens: q, k, layout, text and outputs are in place.
void CheckCentroids(const Problem& p, const std::vector<float>& x,
                    const std::vector<std::int32_t>& order,
                    const std::vector<std::int32_t>& offsets, int clusters,
                    const std::vector<float>& centroids) {
  const int shift = p.c.text == TextPosition::kFirst ? 1 : 0;
  const int segments = SegmentsOf(clusters, p.c.text), tokens = p.c.tokens();
  double worst = 0.0;
  for (int bh = 0; bh < kBatch * kHeads; ++bh) {
    CHECK(IsPermutation(order.data() + bh * tokens, tokens));
    const std::int32_t* starts = offsets.data() + bh * (segments + 1);
    CHECK(Ascend(starts, segments, tokens));
    for (int j = 0; j < clusters; ++j) {
      const int first = starts[j + shift], last = starts[j + shift + 1];
      for (int d = 0; d < kDim && last > first; ++d) {
        double sum = 0.0;
        for (int i = first; i < last; ++i) {
          sum += x[p.host.At(bh / kHeads, bh % kHeads, order[bh * tokens + i]) + d];
        }
        const double mean = sum / (last - first);
        worst = std::max(worst, std::fabs(mean - centroids[(bh * clusters + j) * kDim + d]));
      }
    }
  }
  CHECK(worst < 1e-4);
}

// Video pairs of each head meet the budget, and exceed it by less than a cluster of keys a row, or a
// pair of clusters.
void CheckBudget(const Case& c, const HostPlan& plan) {
  const int shift = c.text == TextPosition::kFirst ? 1 : 0;
  const double budget = std::floor((kDensity + 1e-6) * c.video());
  for (int bh = 0; bh < kBatch * kHeads; ++bh) {
    const std::int32_t* queries = &plan.query_offsets[bh * (c.nq() + 1) + shift];
    const std::int32_t* keys = &plan.key_offsets[bh * (c.nk() + 1) + shift];
    double all = 0.0, largest = 0.0;
    for (int i = 0; i < kQueryClusters; ++i) {
      const double rows = queries[i + 1] - queries[i];
      double row = 0.0, largest_kept = 0.0;
      for (int j = 0; j < kKeyClusters; ++j) {
        if (!Keeps(plan.KeepRow(bh, i + shift), j + shift)) continue;
        row += keys[j + 1] - keys[j];
        largest_kept = std::max(largest_kept, static_cast<double>(keys[j + 1] - keys[j]));
      }
      if (std::strcmp(c.ranking, "mass") == 0) CHECK(row >= budget && row - largest_kept < budget);
      all += row * rows;
      largest = std::max(largest, largest_kept * rows);
    }
    if (std::strcmp(c.ranking, "mass-per-token") == 0) {
      const double pairs = std::floor((kDensity + 1e-6) * c.video() * c.video());
      CHECK(all >= pairs && all - largest < pairs);
    }
  }
}

void CheckNatural(const HostPlan& plan) {
  const PlanShape& s = plan.shape;
  bool same = true;
  for (int bh = 0; bh < s.batch * s.heads; ++bh) {
    for (int i = 0; i < s.tokens; ++i) {
      same = same && plan.query_order[bh * s.tokens + i] == i &&
             plan.key_order[bh * s.tokens + i] == i;
    }
    same = same && Ascend(&plan.query_offsets[bh * (s.query_segments + 1)], s.query_segments,
                          s.tokens) &&
           Ascend(&plan.key_offsets[bh * (s.key_segments + 1)], s.key_segments, s.tokens);
    for (int i = 0; i < s.query_segments; ++i) {
      for (int j = 0; j < KeepWords(s.key_segments) * 32; ++j) {
        same = same && Keeps(plan.KeepRow(bh, i), j) == (j < s.key_segments);
      }
    }
  }
  CHECK(same);
}

void TestCase(const Case& c) {
  Problem p(c);
  Node planner = MakePlanner(c);
  Tensor q_centroids = Floats({kBatch, kHeads, kQueryClusters, kDim});
  Tensor k_centroids = Floats({kBatch, kHeads, kKeyClusters, kDim});
  const auto outputs_of = [&] {
    std::vector<Tensor> outputs = PlanTensors(c);
    outputs.push_back(Floats({kBatch, kHeads, kQueryClusters, kDim}));
    outputs.push_back(Floats({kBatch, kHeads, kKeyClusters, kDim}));
    return outputs;
  };
  const std::vector<Tensor> inputs = {p.q, p.k, p.geometry, q_centroids, k_centroids, p.action};

  // A cold plan, and attention over it in every variant.
  p.SetAction(6);
  const std::vector<Tensor> cold = outputs_of();
  CHECK(planner.Enqueue(inputs, cold) == 0);
  CheckCuda(cudaDeviceSynchronize(), "planner");
  const HostPlan plan = ReadPlan(c, cold);
  CheckCentroids(p, p.host.q, plan.query_order, plan.query_offsets, kQueryClusters,
                 cold[5].Read<float>());
  CheckCentroids(p, p.host.k, plan.key_order, plan.key_offsets, kKeyClusters,
                 cold[6].Read<float>());
  CHECK(plan.Density(0) > 0.1 && plan.Density(0) < 1.0);
  if (c.ranking != nullptr) CheckBudget(c, plan);
  for (const bool bias : {false, true}) {
    for (const bool compensate : {false, true}) {
      Node attention = MakeAttention(c, compensate);
      for (const int action : {2, 1}) {
        p.SetAction(action);
        CHECK(attention.Enqueue(p.AttentionInputs(cold, bias), {p.o}) == 0);
        CheckCuda(cudaDeviceSynchronize(), "attention");
        p.CheckOutput(plan, action == 1, bias, compensate, "attention");
      }
    }
  }

  // Steps that do not plan. Without the last plan as an input everything is kept.
  const std::vector<Tensor> warm_inputs = {p.q, p.k, p.geometry, cold[5], cold[6], p.action};
  for (const int action : {0, 3}) {
    p.SetAction(action);
    const std::vector<Tensor> natural = outputs_of();
    CHECK(planner.Enqueue(warm_inputs, natural) == 0);
    CheckCuda(cudaDeviceSynchronize(), "planner");
    CheckNatural(ReadPlan(c, natural));
    CHECK(natural[5].memory->Read() == cold[5].memory->Read());
    CHECK(natural[6].memory->Read() == cold[6].memory->Read());
    CHECK(MakeAttention(c, true).Enqueue(p.AttentionInputs(natural, false), {p.o}) == 0);
    CheckCuda(cudaDeviceSynchronize(), "attention");
    p.CheckOutput(plan, true, false, false, "everything kept");
  }
  // With it, it is passed on.
  std::vector<Tensor> reuse_inputs = {p.q, p.k, p.geometry, cold[5], cold[6]};
  reuse_inputs.insert(reuse_inputs.end(), cold.begin(), cold.begin() + 5);
  reuse_inputs.push_back(p.action);
  const std::vector<Tensor> reused = outputs_of();
  Node reuser = MakePlanner(c);
  CHECK(reuser.Enqueue(reuse_inputs, reused) == 0);
  CheckCuda(cudaDeviceSynchronize(), "planner");
  for (int i = 0; i < 7; ++i) CHECK(reused[i].memory->Read() == cold[i].memory->Read());

  // A natural order given as no elements.
  HostPlan segments = plan;
  segments.query_order.clear();
  segments.key_order.clear();
  std::vector<Tensor> unordered = cold;
  unordered[0] = unordered[1] = Ints({kBatch, kHeads, 0});
  p.SetAction(2);
  CHECK(MakeAttention(c, true).Enqueue(p.AttentionInputs(unordered, false), {p.o}) == 0);
  CheckCuda(cudaDeviceSynchronize(), "attention");
  p.CheckOutput(segments, false, false, true, "natural order");

  // While an engine is built, a plan of arbitrary contents must do no harm.
  const std::vector<Tensor> arbitrary = PlanTensors(c);
  Node building = MakeAttention(c, true, trt::TensorRTPhase::kBUILD);
  CHECK(building.Enqueue(p.AttentionInputs(arbitrary, false), {p.o}) == 0);
  CheckCuda(cudaDeviceSynchronize(), "attention on an arbitrary plan");
  p.CheckOutput(plan, true, false, false, "arbitrary plan");
  CHECK(building.Enqueue(p.AttentionInputs(cold, false), {p.o}) == 0);
  CheckCuda(cudaDeviceSynchronize(), "attention");
  p.CheckOutput(plan, false, false, true, "a good plan while building");

  // One captured step, replayed with other actions.
  cudaStream_t stream;
  CheckCuda(cudaStreamCreate(&stream), "cudaStreamCreate");
  Node attention = MakeAttention(c, true);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t step = nullptr;
  // Once outside, which allocates this test's workspace.
  CHECK(attention.Enqueue(p.AttentionInputs(reused, false), {p.o}) == 0);
  CheckCuda(cudaDeviceSynchronize(), "attention");
  CheckCuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  CHECK(reuser.Enqueue(reuse_inputs, reused, stream) == 0);
  CHECK(attention.Enqueue(p.AttentionInputs(reused, false), {p.o}, stream) == 0);
  CheckCuda(cudaStreamEndCapture(stream, &graph), "capture");
  CheckCuda(cudaGraphInstantiate(&step, graph, 0), "cudaGraphInstantiate");
  for (const int action : {6, 3, 2, 0, 5}) {
    p.SetAction(action);
    CheckCuda(cudaDeviceSynchronize(), "before a replay");
    CheckCuda(cudaGraphLaunch(step, stream), "cudaGraphLaunch");
    CheckCuda(cudaStreamSynchronize(stream), "a replay");
    p.CheckOutput(ReadPlan(c, reused), action == 0 || action == 5, false, true, "replay");
  }
  CheckCuda(cudaGraphExecDestroy(step), "cudaGraphExecDestroy");
  CheckCuda(cudaGraphDestroy(graph), "cudaGraphDestroy");
  CheckCuda(cudaStreamDestroy(stream), "cudaStreamDestroy");
}

// ------------------------------------------------------------------------------------------ SVG

struct SvgCase {
  FrameSink sink;
  bool budget, bias, state;
};

constexpr int kBlock = 32, kRows = 20;
constexpr float kBandDensity = 0.4f, kProfileFrames = 1.0f;

BandPlanProblem BandOf(const Case& c, const SvgCase& s) {
  BandPlanProblem p;
  p.batch = kBatch, p.heads = kHeads, p.tokens = c.tokens(), p.text = c.text;
  p.sink = s.sink, p.block_size = kBlock, p.density = kBandDensity, p.budget = s.budget;
  return p;
}

Node MakeSvg(const Case& c, const SvgCase& s) {
  static const int site = kSite, block = kBlock, rows = kRows, no = 0, yes = 1;
  static const float scale = kScale, density = kBandDensity, frames = kProfileFrames;
  return Node("SvgPlan",
              {Field("site", &site), Field("scale", &scale), Field("block_size", &block),
               Field("density", &density), Field("budget", s.budget ? &yes : &no),
               Field("sampled_rows", &rows), Field("profile_frames", &frames),
               Field("plan_state", s.state ? &yes : &no),
               Field("frame_sink", s.sink == FrameSink::kNone        ? "none"
                                   : s.sink == FrameSink::kPublished ? "published"
                                                                     : "corrected"),
               Field("layout", c.layout == Layout::kBhsd ? "BHSD" : "BSHD"),
               Field("text_position", c.text == TextPosition::kNone    ? "none"
                                      : c.text == TextPosition::kFirst ? "first"
                                                                       : "last")},
              trt::TensorRTPhase::kRUNTIME);
}

HostPlan ReadPlan(const BandPlanProblem& band, const std::vector<Tensor>& plan) {
  HostPlan host;
  host.shape = {band.batch, band.heads, band.tokens, QuerySegments(band), KeySegments(band)};
  host.query_order = plan[0].Read<std::int32_t>();
  host.key_order = plan[1].Read<std::int32_t>();
  host.query_offsets = plan[2].Read<std::int32_t>();
  host.key_offsets = plan[3].Read<std::int32_t>();
  host.keep = plan[4].Read<std::int32_t>();
  return host;
}

// Whether each head's plan is that of its class: 0, 1, or 2 for everything.
void CheckBands(const HostPlan& plan, const BandPlanProblem& band, const Clip& clip,
                const std::vector<std::int32_t>& classes) {
  bool same = true;
  for (int bh = 0; bh < kBatch * kHeads; ++bh) {
    const ReferencePlan expected =
        PlanOfClass(band, clip, classes[bh] == 1, classes[bh] == kNoHeadClass);
    const auto equal = [&](const std::vector<std::int32_t>& all, const std::vector<int>& one) {
      return std::equal(one.begin(), one.end(), all.begin() + bh * one.size());
    };
    same = same && equal(plan.query_order, expected.query_order) &&
           equal(plan.key_order, expected.key_order) &&
           equal(plan.query_offsets, expected.query_offsets) &&
           equal(plan.key_offsets, expected.key_offsets);
    for (int i = 0; i < plan.shape.query_segments; ++i) {
      for (int j = 0; j < KeepWords(plan.shape.key_segments) * 32; ++j) {
        same = same && Keeps(plan.KeepRow(bh, i), j) ==
                           (j < plan.shape.key_segments && expected.keep[i][j]);
      }
    }
  }
  CHECK(same);
}

void TestSvg(const Case& c, const SvgCase& s) {
  Problem p(c);
  const Clip clip = {c.frames, kHeight, kWidth, c.tokens() - c.video(), c.text};
  const BandPlanProblem band = BandOf(c, s);
  HostSite site;
  site.p.batch = kBatch, site.p.heads = kHeads, site.p.tokens = c.tokens(), site.p.head_dim = kDim;
  site.p.type = c.type, site.p.layout = c.layout, site.p.scale = kScale, site.p.text = c.text;
  site.p.sink = s.sink, site.p.block_size = kBlock, site.p.profile_frames = kProfileFrames;
  site.p.sampled_rows = kRows;
  site.clip = clip;
  site.q = p.host.q, site.k = p.host.k, site.v = p.host.v;
  if (s.bias) site.key_bias = p.host.key_bias;

  Node planner = MakeSvg(c, s);
  Tensor last = Ints({kBatch, kHeads});
  const std::vector<std::int32_t> last_classes = {1, 0, 1, 1, 9, 0};
  last.Write(last_classes.data());
  std::vector<Tensor> inputs = {p.q, p.k, p.v, p.geometry};
  if (s.bias) inputs.push_back(p.key_bias);
  if (s.state) inputs.push_back(last);
  inputs.push_back(p.action);
  std::vector<Tensor> outputs = {
      Ints({kBatch, kHeads, c.tokens()}), Ints({kBatch, kHeads, c.tokens()}),
      Ints({kBatch, kHeads, QuerySegments(band) + 1}), Ints({kBatch, kHeads, KeySegments(band) + 1}),
      Ints({kBatch, kHeads, QuerySegments(band), KeepWords(KeySegments(band))})};
  if (s.state) outputs.push_back(Ints({kBatch, kHeads}));

  for (const int action : {6, 2, 1, 3, 0}) {
    p.SetAction(action);
    CHECK(planner.Enqueue(inputs, outputs) == 0);
    CheckCuda(cudaDeviceSynchronize(), "planner");
    const HostPlan plan = ReadPlan(band, outputs);
    std::vector<std::int32_t> classes(kBatch * kHeads, kNoHeadClass);
    const bool plans = ActionPlans(action);
    if (plans || s.state) {
      for (int bh = 0; bh < kBatch * kHeads; ++bh) {
        // A temporal order is the one that does not go from token to token.
        const int start = bh * c.tokens() + clip.start();
        classes[bh] = plan.query_order[start + 1] == plan.query_order[start] + 1 ? 0 : 1;
        const int of_last = last_classes[bh] == 1 ? 1 : 0;
        if (!plans) CHECK(classes[bh] == of_last);
        if (!plans) continue;
        const ProfileErrors e = ErrorsOf(site, bh / kHeads, bh % kHeads);
        const bool clear = std::fabs(e.temporal - e.spatial) > 0.05 * (e.temporal + e.spatial);
        if (clear) CHECK(classes[bh] == (e.IsTemporal() ? 1 : 0));
      }
      if (s.state) CHECK(outputs[5].Read<std::int32_t>() == classes);
    }
    CheckBands(plan, band, clip, classes);
    const bool compensate = action == 2;
    CHECK(MakeAttention(c, compensate).Enqueue(p.AttentionInputs(outputs, s.bias), {p.o}) == 0);
    CheckCuda(cudaDeviceSynchronize(), "attention");
    p.CheckOutput(plan, !ActionIsSparse(action), s.bias, compensate, "attention over bands", 23);
  }
}

// AdaSpa's planner gives what its kernels give, by every set of inputs; attention follows its plan.
void TestAdaSpa(const Case& c, int block_size, bool bias, bool last_keep) {
  Problem p(c);
  static const int site = kSite;
  const int plan_state = last_keep ? 1 : 0;
  static const float scale = kScale, density = 0.25f, threshold = 0.3f;
  Node planner("AdaSpaPlan",
               {Field("site", &site), Field("scale", &scale), Field("block_size", &block_size),
                Field("plan_state", &plan_state),
                Field("density", &density), Field("recall_threshold", &threshold),
                Field("layout", c.layout == Layout::kBhsd ? "BHSD" : "BSHD"),
                Field("text_position", c.text == TextPosition::kNone    ? "none"
                                       : c.text == TextPosition::kFirst ? "first"
                                                                        : "last")},
               trt::TensorRTPhase::kRUNTIME);
  const int tokens = c.tokens(), n = AdaSpaSegments(tokens, block_size, c.text);
  const auto outputs_of = [&] {
    return std::vector<Tensor>{Ints({kBatch, kHeads, 0}),
                               Ints({kBatch, kHeads, 0}),
                               Ints({kBatch, kHeads, n + 1}),
                               Ints({kBatch, kHeads, n + 1}),
                               Ints({kBatch, kHeads, n, KeepWords(n)}),
                               Floats({kBatch, kHeads, tokens})};
  };
  AdaSpaProblem problem;
  problem.batch = kBatch, problem.heads = kHeads, problem.tokens = tokens;
  problem.head_dim = kDim, problem.type = c.type, problem.layout = c.layout;
  problem.block_size = block_size, problem.scale = scale, problem.density = density;
  problem.recall_threshold = threshold, problem.text = c.text;
  DeviceBuffer workspace(AdaSpaWorkspaceSize(problem));

  Tensor lse = Floats({kBatch, kHeads, tokens}), keep = Ints({kBatch, kHeads, n, KeepWords(n)});
  for (const int action : {6, 2, 5, 1, 0, 3, 4}) {
    p.SetAction(action);
    std::vector<Tensor> inputs = {p.q, p.k, p.geometry};
    if (bias) inputs.push_back(p.key_bias);
    inputs.push_back(lse);
    if (last_keep) inputs.push_back(keep);
    inputs.push_back(p.action);
    const std::vector<Tensor> outputs = outputs_of(), expected = outputs_of();
    CHECK(planner.Enqueue(inputs, outputs) == 0);
    AdaSpaBuffers b;
    b.q = p.q.memory->data(), b.k = p.k.memory->data();
    b.action = p.action.memory->As<std::int32_t>() + site;
    b.geometry = p.geometry.memory->As<std::int32_t>();
    if (bias) b.key_bias = p.key_bias.memory->As<float>();
    b.lse_in = lse.memory->As<float>();
    if (last_keep) b.previous_keep = keep.memory->As<std::int32_t>();
    b.plan.query_offsets = expected[2].memory->As<std::int32_t>();
    b.plan.key_offsets = expected[3].memory->As<std::int32_t>();
    b.plan.keep = expected[4].memory->As<std::int32_t>();
    b.lse = expected[5].memory->As<float>();
    CHECK(LaunchAdaSpaPlan(problem, b, workspace.data(), workspace.bytes(), nullptr) == Status::kOk);
    CheckCuda(cudaDeviceSynchronize(), "planner");
    for (int i = 2; i < 6; ++i) CHECK(outputs[i].memory->Read() == expected[i].memory->Read());

    HostPlan plan;
    plan.shape = {kBatch, kHeads, tokens, n, n};
    plan.query_offsets = outputs[2].Read<std::int32_t>();
    plan.key_offsets = outputs[3].Read<std::int32_t>();
    plan.keep = outputs[4].Read<std::int32_t>();
    const bool plans = ActionPlans(action);
    CHECK(Ascend(plan.query_offsets.data(), n, tokens));
    CHECK(plans || last_keep ? plan.Density(0) < 0.9 : plan.Density(0) == 1.0);
    p.SetAction(3);
    CHECK(MakeAttention(c, false).Enqueue(p.AttentionInputs(outputs, bias), {p.o}) == 0);
    CheckCuda(cudaDeviceSynchronize(), "attention");
    p.CheckOutput(plan, false, bias, false, "AdaSpa");
    if (action == 6) {  // the state of the steps that follow
      lse = outputs[5];
      keep = outputs[4];
    }
  }
}

// A node of QkNormRope; `rotated` is "all", "first" or "last", and fits the problem.
void TestQkNormRope(const QkNormRopeProblem& p, const char* rotated, bool weight, bool bias) {
  Random random(7);
  QkNormRopeTensors host;
  const auto make = [&](std::vector<float>& values, std::vector<std::int64_t> dims, DataType type) {
    std::int64_t count = 1;
    for (const std::int64_t extent : dims) count *= extent;
    for (std::int64_t i = 0; i < count; ++i) {
      values.push_back(RoundTo(type, static_cast<float>(random.Normal()) + .2f));
    }
    Tensor tensor(dims, TypeOf(type), SizeOf(type));
    tensor.Write(Encode(type, values).data());
    return tensor;
  };
  const auto dims = [&](Layout layout, int tensor) {
    return layout == Layout::kBhsd
               ? std::vector<std::int64_t>{p.batch, p.heads, p.tokens[tensor], p.head_dim}
               : std::vector<std::int64_t>{p.batch, p.tokens[tensor], p.heads, p.head_dim};
  };
  std::vector<Tensor> inputs, outputs;
  for (int i = 0; i < p.tensors; ++i) {
    inputs.push_back(make(host.x[i], dims(p.layout, i), p.type));
    outputs.emplace_back(dims(p.output_layout, i), TypeOf(p.type), SizeOf(p.type));
  }
  const std::int64_t lanes = p.head_dim * (p.weight_of_head ? 1 : p.heads);
  for (int i = 0; i < p.tensors; ++i) {
    if (weight) inputs.push_back(make(host.weight[i], {lanes}, p.weight_type[i]));
    if (bias) inputs.push_back(make(host.bias[i], {lanes}, p.bias_type[i]));
  }
  if (p.rope != RopeForm::kNone) {
    const std::vector<std::int64_t> table = {p.table_batch, p.rotated, p.table_heads, p.rotary_lanes};
    inputs.push_back(make(host.cos, table, DataType::kFloat32));
    inputs.push_back(make(host.sin, table, DataType::kFloat32));
  }
  const int site = 2, has_weight = weight, has_bias = bias;
  const auto name = [](Layout layout) { return layout == Layout::kBhsd ? "BHSD" : "BSHD"; };
  Node node("QkNormRope",
            {Field("site", &site), Field("layout", name(p.layout)),
             Field("output_layout", name(p.output_layout)), Field("tensors", &p.tensors),
             Field("norm", p.norm == NormKind::kNone  ? "none"
                           : p.norm == NormKind::kRms ? "rms"
                                                      : "layer"),
             Field("scope", p.scope == NormScope::kHead ? "head" : "hidden"),
             Field("epsilon", &p.epsilon), Field("root_epsilon", &p.root_epsilon),
             Field("root_floor", &p.root_floor), Field("weight", &has_weight),
             Field("bias", &has_bias),
             Field("rope", p.rope == RopeForm::kNone          ? "none"
                           : p.rope == RopeForm::kInterleaved ? "interleaved"
                                                              : "half"),
             Field("rotated", rotated), Field("rotary_start", &p.rotary_start)},
            trt::TensorRTPhase::kRUNTIME);
  CHECK(node.Enqueue(inputs, outputs) == 0);
  CheckCuda(cudaDeviceSynchronize(), "QkNormRope");
  for (int i = 0; i < p.tensors; ++i) {
    CHECK(QkNormRopeError(p, host, i, Decode(p.type, outputs[i].memory->Read())) <= 1);
  }
}

void TestQkNormRopes() {
  QkNormRopeProblem wan;  // RMS over the hidden size, every token rotated
  wan.batch = 2, wan.heads = 6, wan.tokens[0] = wan.tokens[1] = 50, wan.head_dim = 64;
  wan.norm = NormKind::kRms, wan.scope = NormScope::kHidden, wan.epsilon = 1e-6f;
  wan.weight_of_head = false;
  wan.weight_type[1] = DataType::kBFloat16;
  wan.rope = RopeForm::kInterleaved, wan.rotary_lanes = 64, wan.rotated = 50;
  for (const DataType type : {DataType::kBFloat16, DataType::kFloat16, DataType::kFloat32}) {
    wan.type = type;
    for (const Layout layout : {Layout::kBshd, Layout::kBhsd}) {
      wan.layout = layout;
      TestQkNormRope(wan, "all", true, false);
    }
  }
  QkNormRopeProblem cog = wan;  // LayerNorm of heads, video tokens after text
  cog.norm = NormKind::kLayer, cog.scope = NormScope::kHead, cog.weight_of_head = true;
  cog.type = DataType::kFloat16, cog.bias_type[0] = DataType::kFloat16;
  cog.output_layout = Layout::kBhsd;
  cog.epsilon = 0, cog.root_epsilon = 0.1f, cog.root_floor = 1.1f;
  cog.rope = RopeForm::kHalf, cog.rotated = 40, cog.first_rotated = -1, cog.tokens[1] = 45;
  TestQkNormRope(cog, "last", true, true);
  QkNormRopeProblem one = wan;  // one tensor; partial lanes; tables of batch and heads
  one.tensors = 1, one.rotary_start = 16, one.rotary_lanes = 32, one.rotated = 30;
  one.first_rotated = 0, one.table_batch = 2, one.table_heads = 6;
  TestQkNormRope(one, "first", true, false);
  QkNormRopeProblem bare = wan;  // no norm, and no rope
  bare.norm = NormKind::kNone;
  TestQkNormRope(bare, "all", false, false);
  bare.norm = NormKind::kLayer, bare.rope = RopeForm::kNone;
  TestQkNormRope(bare, "all", true, true);
}

// Every plugin with few cases, or the named part of that.
int TestReduced(const std::string& part) {
  int parts = 0;
  const auto wanted = [&](const char* name) {
    const bool runs = part.empty() || part == name;
    parts += runs;
    return runs;
  };
  // f32 takes the portable kernels, which compute-sanitizer follows slowly.
  constexpr int kFewFrames = 2;
  if (wanted("rope")) TestQkNormRopes();
  if (wanted("svg2")) {
    TestCase({DataType::kBFloat16, Layout::kBshd, TextPosition::kFirst, "mass-per-token"});
  }
  if (wanted("svg2-f32")) {
    TestCase({DataType::kFloat32, Layout::kBhsd, TextPosition::kLast, nullptr, kFewFrames});
  }
  if (wanted("svg")) {
    TestSvg({DataType::kBFloat16, Layout::kBshd, TextPosition::kFirst, nullptr},
            {FrameSink::kCorrected, true, true, true});
    TestSvg({DataType::kFloat32, Layout::kBhsd, TextPosition::kNone, nullptr, kFewFrames},
            {FrameSink::kPublished, false, false, false});
  }
  if (wanted("adaspa")) {
    TestAdaSpa({DataType::kBFloat16, Layout::kBshd, TextPosition::kFirst, nullptr}, 64, true, true);
  }
  if (parts == 0) {
    std::printf("plugin_run_test --quick has no part %s\n", part.c_str());
    return 2;
  }
  return Report("plugin_run_test");
}

}  // namespace
}  // namespace sparsedit::test

int main(int argc, char** argv) {
  using namespace sparsedit;
  using namespace sparsedit::test;
  const bool quick = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("no GPU: skipped\n");
    return kSkipped;
  }
  if (quick) return TestReduced(argc > 2 ? argv[2] : "");
  TestQkNormRopes();
  const char* const rankings[] = {nullptr, "mass", "mass-per-token"};
  int cases = 0;
  for (const Layout layout : {Layout::kBhsd, Layout::kBshd}) {
    for (const TextPosition text :
         {TextPosition::kNone, TextPosition::kFirst, TextPosition::kLast}) {
      for (const DataType type : {DataType::kBFloat16, DataType::kFloat16, DataType::kFloat32}) {
        const int turn = cases++;
        TestCase({type, layout, text, nullptr});
        TestCase({type, layout, text, rankings[1 + turn % 2]});
        // Each sink with and without a budget, key bias and state, over the types and positions.
        const FrameSink sinks[] = {FrameSink::kNone, FrameSink::kPublished, FrameSink::kCorrected};
        TestSvg({type, layout, text, nullptr},
                {sinks[(turn + turn / 3) % 3], turn % 2 == 0, turn / 2 % 2 == 0, turn % 4 < 2});
        for (const int block_size : {64, 16}) {
          TestAdaSpa({type, layout, text, nullptr}, block_size, turn % 2 == 0,
                     (turn / 2 + block_size / 64) % 2 == 0);
        }
      }
    }
  }
  return Report("plugin_run_test");
}
