// Times block-sparse attention on the shapes of real models and checks what it timed.
//
//   attention_bench [--plan skewed|uniform|blocks] [--repeat N] SHAPE:DENSITY ...
//   SHAPE wan, hunyuan, cogvideo, wan-small; DENSITY 1 is the DENSE action, otherwise the fraction
//   of segment pairs that a random plan keeps. Segments have sizes with a long tail (skewed), equal
//   sizes (uniform) or 128 tokens (blocks); the token order is random.
//
// Inputs are random bf16, two sets in turn. Effective TFLOP/s counts 4 D flops for every kept pair
// and divides by the time of the whole launch: schedule, gather of K and V, attention.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

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

struct Shape {
  const char* name;
  PlanShape plan;
  int head_dim;
  int text;  // tokens at the end that form one always-kept segment
};

constexpr Shape kShapes[] = {
    {"wan", {1, 40, 75600, 300, 1000}, 128, 0},
    {"hunyuan", {1, 24, 119056, 401, 1001}, 128, 256},
    {"cogvideo", {2, 48, 45106, 201, 501}, 64, 226},
    {"wan-small", {1, 12, 32760, 150, 500}, 128, 0},
};

__device__ std::uint32_t Hash(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return static_cast<std::uint32_t>(x >> 32);
}

// Normal numbers by Box and Muller.
__global__ void FillNormal(__nv_bfloat16* to, std::int64_t count, std::uint64_t seed) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
       i < count; i += stride) {
    const float u = (Hash(seed + 2 * i) + 1.0f) * 2.3283064e-10f;
    const float w = Hash(seed + 2 * i + 1) * 2.3283064e-10f;
    to[i] = __float2bfloat16_rn(sqrtf(-2.0f * logf(fminf(u, 1.0f))) * cospif(2.0f * w));
  }
}

// One block a sampled row, in float64: relative error sums against `o`.
__global__ void CheckRows(const BlockSparseAttentionArgs args, bool dense,
                          const int2* samples, double* sums, float* scores) {
  const int bh = samples[blockIdx.x].x, position = samples[blockIdx.x].y;
  const int tokens = args.shape.tokens, dim = args.head_dim;
  const __nv_bfloat16* q = static_cast<const __nv_bfloat16*>(args.q);
  const __nv_bfloat16* k = static_cast<const __nv_bfloat16*>(args.k);
  const __nv_bfloat16* v = static_cast<const __nv_bfloat16*>(args.v);
  const __nv_bfloat16* o = static_cast<const __nv_bfloat16*>(args.o);
  const std::int64_t at = static_cast<std::int64_t>(bh) * tokens;
  const int token = dense ? position : args.plan.query_order[at + position];
  float* score = scores + static_cast<std::int64_t>(blockIdx.x) * tokens;
  __shared__ double partial[256];
  __shared__ int segment;
  const std::int32_t* offsets = args.plan.key_offsets + bh * (args.shape.key_segments + 1);
  if (threadIdx.x == 0) {
    const std::int32_t* query_offsets =
        args.plan.query_offsets + bh * (args.shape.query_segments + 1);
    segment = 0;
    while (query_offsets[segment + 1] <= position) ++segment;
  }
  __syncthreads();
  const std::int32_t* keep =
      args.plan.keep + (static_cast<std::int64_t>(bh) * args.shape.query_segments + segment) *
                           KeepWords(args.shape.key_segments);
  double maximum = -1e300;
  for (int p = threadIdx.x; p < tokens; p += blockDim.x) {
    bool kept = true;
    if (!dense) {
      int low = 0, high = args.shape.key_segments;  // the last segment that starts at or before p
      while (high - low > 1) {
        const int middle = (low + high) / 2;
        (offsets[middle] <= p ? low : high) = middle;
      }
      kept = Keeps(keep, low);
    }
    float s = -INFINITY;
    if (kept) {
      const int key = dense ? p : args.plan.key_order[at + p];
      double dot = 0.0;
      for (int d = 0; d < dim; ++d) {
        dot += static_cast<double>(__bfloat162float(q[(at + token) * dim + d])) *
               static_cast<double>(__bfloat162float(k[(at + key) * dim + d]));
      }
      s = static_cast<float>(dot * args.scale);
      maximum = fmax(maximum, static_cast<double>(s));
    }
    score[p] = s;
  }
  partial[threadIdx.x] = maximum;
  __syncthreads();
  for (int i = 128; i > 0; i /= 2) {
    if (threadIdx.x < i) {
      partial[threadIdx.x] = fmax(partial[threadIdx.x], partial[threadIdx.x + i]);
    }
    __syncthreads();
  }
  maximum = partial[0];
  if (static_cast<int>(threadIdx.x) >= dim) return;
  const int d = threadIdx.x;
  double sum = 0.0, out = 0.0;
  for (int p = 0; p < tokens; ++p) {
    if (score[p] == -INFINITY) continue;
    const int key = dense ? p : args.plan.key_order[at + p];
    const double weight = exp(score[p] - maximum);
    sum += weight;
    out += weight * static_cast<double>(__bfloat162float(v[(at + key) * dim + d]));
  }
  out = sum > 0.0 ? out / sum : 0.0;
  const double got = static_cast<double>(__bfloat162float(o[(at + token) * dim + d]));
  atomicAdd(&sums[0], isfinite(got) ? fabs(got - out) : 1e30);
  atomicAdd(&sums[1], fabs(out));
}

// Segments of video tokens, then one of text that all keep and that keeps all.
HostPlan MakePlan(const Shape& shape, double density, const std::string& kind) {
  test::Random random(11);
  HostPlan plan;
  plan.shape = shape.plan;
  const int heads = shape.plan.batch * shape.plan.heads;
  const int nq = shape.plan.query_segments, nk = shape.plan.key_segments;
  const int video = shape.plan.tokens - shape.text;
  const bool text = shape.text > 0;
  plan.keep.assign(static_cast<std::size_t>(heads) * nq * KeepWords(nk), 0);
  auto offsets = [&](int segments) {
    const int clusters = segments - (text ? 1 : 0);
    std::vector<std::int32_t> starts;
    if (kind == "blocks") {
      for (int i = 0; i <= clusters; ++i) starts.push_back(std::min(video, i * 128));
    } else if (kind == "uniform") {
      for (int i = 0; i <= clusters; ++i) {
        starts.push_back(
            static_cast<std::int32_t>(static_cast<std::int64_t>(video) * i / clusters));
      }
    } else {
      starts = test::SkewedOffsets(random, video, clusters, false);
    }
    if (text) starts.push_back(shape.plan.tokens);
    return starts;
  };
  plan.query_order.reserve(static_cast<std::size_t>(heads) * shape.plan.tokens);
  plan.key_order.reserve(plan.query_order.capacity());
  for (int head = 0; head < heads; ++head) {
    for (std::int32_t x : offsets(nq)) plan.query_offsets.push_back(x);
    for (std::int32_t x : offsets(nk)) plan.key_offsets.push_back(x);
    const std::vector<std::int32_t> order = test::RandomOrder(random, video);
    auto append = [&](std::vector<std::int32_t>& to, int shift) {
      for (int i = 0; i < video; ++i) to.push_back(order[(i + shift) % video]);
      for (int i = video; i < shape.plan.tokens; ++i) to.push_back(i);
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
bool Measure(Shape shape, double density, const std::string& kind, int repeat) {
  if (kind == "blocks") {
    const int segments = (shape.plan.tokens - shape.text + 127) / 128 + (shape.text > 0 ? 1 : 0);
    shape.plan.query_segments = shape.plan.key_segments = segments;
  }
  const bool dense = density >= 1.0;
  const PlanShape& s = shape.plan;
  const int heads = s.batch * s.heads;
  const std::int64_t count = static_cast<std::int64_t>(heads) * s.tokens * shape.head_dim;
  const HostPlan plan = MakePlan(shape, dense ? 0.0 : density, kind);
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
  DeviceBuffer query_order(plan.query_order), key_order(plan.key_order);
  DeviceBuffer query_offsets(plan.query_offsets), key_offsets(plan.key_offsets), keep(plan.keep);
  DeviceBuffer action(std::vector<std::int32_t>{dense ? 0 : 3});
  BlockSparseAttentionArgs args;
  args.shape = s;
  args.head_dim = shape.head_dim;
  args.scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
  args.o = o.data();
  args.plan = {query_order.As<std::int32_t>(), key_order.As<std::int32_t>(),
               query_offsets.As<std::int32_t>(), key_offsets.As<std::int32_t>(),
               keep.As<std::int32_t>()};
  args.action = action.As<std::int32_t>();
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

  constexpr int kSamples = 96;
  std::vector<int2> samples;
  test::Random random(3);
  for (int i = 0; i < kSamples; ++i) {
    samples.push_back({random.Below(heads), random.Below(s.tokens)});
  }
  DeviceBuffer device_samples(samples), sums(16);
  DeviceBuffer scores(static_cast<std::size_t>(kSamples) * s.tokens * 4);
  sums.Fill(0);
  CheckRows<<<kSamples, 256>>>(args, dense, device_samples.As<int2>(), sums.As<double>(),
                               scores.As<float>());
  CheckCuda(cudaDeviceSynchronize(), "check");
  const std::vector<char> sums_bytes = sums.Read();
  double error[2];
  std::memcpy(error, sums_bytes.data(), 16);

  double gather = 0.0, schedule = 0.0;
  if (!dense) {
    gather = MedianMilliseconds(5, [&](int i) {
      use(i % 2);
      check(LaunchGatherKeys(args, parts.keys, parts.values, nullptr));
    });
    schedule = MedianMilliseconds(5, [&](int) {
      check(LaunchAttentionSchedule(args, 64, 3, parts, nullptr));
    });
  }
  const double flops = 4.0 * s.tokens * s.tokens * kept * shape.head_dim * heads;
  std::printf("%-10s %-8s density %.3f  %8.2f ms  %6.1f TFLOP/s  (gather %.2f, schedule %.3f ms)"
              "  rel L1 %.1e %s\n",
              shape.name, dense ? "dense" : kind.c_str(), kept, total, flops / total / 1e9, gather, schedule,
              error[0] / error[1], error[0] <= 1e-2 * error[1] ? "ok" : "WRONG");
  std::fflush(stdout);
  return error[0] <= 1e-2 * error[1];
}

int Main(int argc, char** argv) {
  std::string kind = "skewed";
  int repeat = 5;
  bool right = true;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--plan" && i + 1 < argc) {
      kind = argv[++i];
    } else if (argument == "--repeat" && i + 1 < argc) {
      repeat = std::atoi(argv[++i]);
    } else {
      const std::size_t colon = argument.find(':');
      const double density = std::atof(argument.substr(colon + 1).c_str());
      for (const Shape& shape : kShapes) {
        if (argument.substr(0, colon) == shape.name) {
          right = Measure(shape, density, kind, repeat) && right;
        }
      }
    }
  }
  return right ? 0 : 1;
}

}  // namespace
}  // namespace sparsedit::bench

int main(int argc, char** argv) { return sparsedit::bench::Main(argc, argv); }
