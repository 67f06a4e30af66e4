// Times block-sparse attention on the shapes of real models and checks what it timed.
//
//   attention_bench [--plan PLAN] [--bias BIAS] [--keep FILE] [--repeat N] SHAPE:DENSITY ...
//   SHAPE wan, hunyuan, cogvideo, wan-small; DENSITY 1 is the DENSE action, otherwise what PLAN keeps.
//   PLAN skewed, uniform, blocks: random pairs of segments in a random token order; segments have
//        sizes with a long tail, equal sizes or 128 tokens
//        full, rests: query segments of 192 rows, or of 128 and 64 in turn, which share items
//        adaspa-random, adaspa, svg: the plans of bench/block_plans.h
//   BIAS none, zero, text, tokens: the key bias, see bench_data.cuh
//   --keep FILE  writes which blocks each plan keeps, for attention_baselines.py
//
// Inputs are random bf16, two sets in turn. Effective TFLOP/s counts 4 D flops for every kept pair
// and divides by the time of the whole launch: schedule, gather of K and V, attention.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "bench/bench_data.cuh"
#include "bench/block_plans.h"
#include "bench/sampled_rows.cuh"
#include "kernels/attention_schedule.h"
#include "kernels/block_sparse_attention.h"
#include "kernels/gather_keys.h"
#include "test/attention_reference.h"
#include "test/device_memory.h"

namespace sparsedit::bench {
namespace {

using test::CheckCuda;
using test::DeviceBuffer;
using test::HostPlan;

__global__ void FillNormal(__nv_bfloat16* to, std::int64_t count, std::uint64_t seed) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
       i < count; i += stride) {
    to[i] = __float2bfloat16_rn(Normal(seed + i));
  }
}

// Its plan's extents; text forms one more segment of each side, at the end.
PlanShape PlanShapeOf(const Shape& shape) {
  return {shape.batch, shape.heads, shape.tokens, SegmentsOf(shape.query_clusters, shape.text),
          SegmentsOf(shape.key_clusters, shape.text)};
}

// Segments of video tokens, then one of text that all keep and that keeps all.
HostPlan MakeRandomPlan(const PlanShape& shape, int text_tokens, double density,
                        const std::string& kind) {
  test::Random random(11);
  HostPlan plan;
  plan.shape = shape;
  const int heads = shape.batch * shape.heads;
  const int nq = shape.query_segments, nk = shape.key_segments;
  const int video = shape.tokens - text_tokens;
  const bool text = text_tokens > 0;
  plan.keep.assign(static_cast<std::size_t>(heads) * nq * KeepWords(nk), 0);
  auto offsets = [&](int segments, bool queries) {
    const int clusters = segments - (text ? 1 : 0);
    std::vector<std::int32_t> starts;
    if (kind == "blocks") {
      for (int i = 0; i <= clusters; ++i) starts.push_back(std::min(video, i * 128));
    } else if (kind == "uniform") {
      for (int i = 0; i <= clusters; ++i) {
        starts.push_back(
            static_cast<std::int32_t>(static_cast<std::int64_t>(video) * i / clusters));
      }
    } else if (queries && kind != "skewed") {
      starts.push_back(0);
      for (int i = 0; i < clusters; ++i) {
        const int rows = kind == "full" ? 192 : i % 2 == 0 ? 128 : 64;
        starts.push_back(std::min(video, starts.back() + rows));
      }
    } else {
      starts = test::SkewedOffsets(random, video, clusters, false);
    }
    if (text) starts.push_back(shape.tokens);
    return starts;
  };
  plan.query_order.reserve(static_cast<std::size_t>(heads) * shape.tokens);
  plan.key_order.reserve(plan.query_order.capacity());
  for (int head = 0; head < heads; ++head) {
    for (std::int32_t x : offsets(nq, true)) plan.query_offsets.push_back(x);
    for (std::int32_t x : offsets(nk, false)) plan.key_offsets.push_back(x);
    const std::vector<std::int32_t> order = test::RandomOrder(random, video);
    auto append = [&](std::vector<std::int32_t>& to, int shift) {
      for (int i = 0; i < video; ++i) to.push_back(order[(i + shift) % video]);
      for (int i = video; i < shape.tokens; ++i) to.push_back(i);
    };
    append(plan.query_order, 0);
    append(plan.key_order, video / 3);
    for (int i = 0; i < nq; ++i) {
      for (int j = 0; j < nk; ++j) {
        if (random.Uniform() < density || (text && (i == nq - 1 || j == nk - 1))) {
          plan.SetKeep(head, i, j);
        }
      }
    }
  }
  return plan;
}

HostPlan MakePlan(const Shape& shape, double density, const std::string& kind) {
  if (kind == "adaspa-random") return MakeAdaSpaPlan(shape, density, 0.0);
  if (kind == "adaspa") return MakeAdaSpaPlan(shape, density, 0.95);
  if (kind == "svg") return MakeSvgPlan(shape, density);
  PlanShape s = PlanShapeOf(shape);
  if (kind == "blocks") {
    s.query_segments = s.key_segments =
        (shape.tokens - shape.text_tokens + 127) / 128 + (shape.text_tokens > 0 ? 1 : 0);
  }
  const int video = shape.tokens - shape.text_tokens, text = shape.text_tokens > 0 ? 1 : 0;
  if (kind == "full") s.query_segments = (video + 191) / 192 + text;
  if (kind == "rests") s.query_segments = (video + 191) / 192 * 2 + text;
  return MakeRandomPlan(s, shape.text_tokens, density, kind);
}

// Heads, query segments, key segments and words of a row; then keep.
void WriteKeep(const HostPlan& plan, const std::string& file) {
  std::ofstream out(file, std::ios::binary);
  const std::int32_t extents[] = {plan.shape.batch * plan.shape.heads, plan.shape.query_segments,
                                  plan.shape.key_segments, KeepWords(plan.shape.key_segments)};
  out.write(reinterpret_cast<const char*>(extents), sizeof extents);
  out.write(reinterpret_cast<const char*>(plan.keep.data()),
            static_cast<std::streamsize>(plan.keep.size() * sizeof plan.keep[0]));
}

// Median milliseconds of `run` over `repeat` calls; the argument is the number of the call.
template <typename Run>
double MedianMilliseconds(int repeat, Run run) {
  cudaEvent_t start, stop;
  cudaEventCreate(&start);
  cudaEventCreate(&stop);
  std::vector<float> times;
  run(0);
  for (int i = 0; i < repeat; ++i) {
    cudaEventRecord(start);
    run(i + 1);
    cudaEventRecord(stop);
    CheckCuda(cudaEventSynchronize(stop), "timed run");
    float time = 0.0f;
    cudaEventElapsedTime(&time, start, stop);
    times.push_back(time);
  }
  cudaEventDestroy(start);
  cudaEventDestroy(stop);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// True if the output was right.
bool Measure(const Shape& shape, double density, const std::string& kind,
             const std::string& bias_kind, const std::string& keep_file, int repeat) {
  const bool dense = density >= 1.0;
  const HostPlan plan = MakePlan(shape, dense ? 0.0 : density, dense ? "uniform" : kind);
  if (!keep_file.empty()) WriteKeep(plan, keep_file);
  const PlanShape s = plan.shape;
  const int heads = s.batch * s.heads;
  const std::int64_t count = static_cast<std::int64_t>(heads) * s.tokens * shape.head_dim;
  double kept = 0.0;
  for (int head = 0; head < heads; ++head) kept += dense ? 1.0 : plan.Density(head);
  kept /= heads;

  std::vector<std::unique_ptr<DeviceBuffer>> inputs;
  for (int i = 0; i < 6; ++i) {
    inputs.push_back(std::make_unique<DeviceBuffer>(static_cast<std::size_t>(count) * 2));
    FillNormal<<<1024, 256>>>(inputs.back()->As<__nv_bfloat16>(), count,
                              1000003ull * (i + 1) << 20);
  }
  DeviceBuffer o(static_cast<std::size_t>(count) * 2);
  o.Fill(0xff);
  // Buffers of no elements have no memory: the natural order.
  DeviceBuffer query_order(plan.query_order), key_order(plan.key_order);
  DeviceBuffer query_offsets(plan.query_offsets), key_offsets(plan.key_offsets), keep(plan.keep);
  DeviceBuffer action(std::vector<std::int32_t>{dense ? 0 : 3});
  DeviceBuffer key_bias(KeyBias(shape, bias_kind));
  BlockSparseAttentionArgs args;
  args.shape = s;
  args.head_dim = shape.head_dim;
  args.scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
  args.o = o.data();
  args.plan = {query_order.As<std::int32_t>(), key_order.As<std::int32_t>(),
               query_offsets.As<std::int32_t>(), key_offsets.As<std::int32_t>(),
               keep.As<std::int32_t>()};
  args.action = action.As<std::int32_t>();
  args.key_bias = key_bias.As<float>();
  const std::size_t bytes =
      BlockSparseAttentionWorkspaceBytes(s, shape.head_dim, args.type, false);
  DeviceBuffer workspace(bytes);
  const BlockSparseAttentionWorkspace parts =
      CarveBlockSparseAttentionWorkspace(s, shape.head_dim, args.type, false, workspace.data());
  auto use = [&](int set) {
    args.q = inputs[set * 3]->data();
    args.k = inputs[set * 3 + 1]->data();
    args.v = inputs[set * 3 + 2]->data();
  };
  auto check = [](Status status) {
    if (status == Status::kOk) return;
    std::printf("launch: %s\n", StatusName(status));
    std::exit(1);
  };
  const double total = MedianMilliseconds(repeat, [&](int i) {
    use(i % 2);
    check(LaunchBlockSparseAttention(args, workspace.data(), bytes, nullptr));
  });
  const int last_set = repeat % 2;
  use(last_set);

  const SampledRows rows = CompareSampledRows(args, dense);

  double gather = 0.0, schedule = 0.0;
  if (!dense) {
    gather = MedianMilliseconds(5, [&](int i) {
      use(i % 2);
      check(LaunchGatherKeys(args, parts, nullptr));
    });
    schedule = MedianMilliseconds(5, [&](int) {
      check(LaunchAttentionSchedule(args, true, parts, nullptr));
    });
  }
  const double flops = 4.0 * s.tokens * s.tokens * kept * shape.head_dim * heads;
  std::printf("%-10s %-8s bias %-6s density %.3f  %8.2f ms  %6.1f TFLOP/s  "
              "(gather %.2f, schedule %.3f ms)  rel L1 %.1e %s\n",
              shape.name, dense ? "dense" : kind.c_str(), bias_kind.c_str(), kept, total,
              flops / total / 1e9, gather, schedule, rows.relative_error,
              rows.ok() ? "ok" : "WRONG");
  std::fflush(stdout);
  return rows.ok();
}

int Main(int argc, char** argv) {
  std::string kind = "skewed", bias_kind = "none", keep_file;
  int repeat = 5;
  bool right = true;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--plan" && i + 1 < argc) {
      kind = argv[++i];
    } else if (argument == "--bias" && i + 1 < argc) {
      bias_kind = argv[++i];
    } else if (argument == "--keep" && i + 1 < argc) {
      keep_file = argv[++i];
    } else if (argument == "--repeat" && i + 1 < argc) {
      repeat = std::atoi(argv[++i]);
    } else {
      const std::size_t colon = argument.find(':');
      const double density = std::atof(argument.substr(colon + 1).c_str());
      for (const Shape& shape : kShapes) {
        if (argument.substr(0, colon) == shape.name) {
          right = Measure(shape, density, kind, bias_kind, keep_file, repeat) && right;
        }
      }
    }
  }
  return right ? 0 : 1;
}

}  // namespace
}  // namespace sparsedit::bench

int main(int argc, char** argv) { return sparsedit::bench::Main(argc, argv); }
