// Times a whole SVG2 step on the shapes of real models: k-means, scores and selection, attention on
// the plan that they made. Checks the outputs that it timed.
//
//   svg2_bench [--captures DIR] [--ranking mass|mass-per-token] [--bias BIAS] [--compensate 0|1]
//              [--repeat N] SHAPE:DENSITY ...
//   BIAS none, zero, text, tokens: the key bias, see bench_data.cuh
//   --compensate 1  skipped segments add pseudo-keys; the step then makes the means of K and V
//   SHAPE wan, hunyuan, cogvideo, wan-small; DENSITY 1 is the DENSE action, otherwise the density
//   that top-p is chosen for, or with --ranking the budget.
//
// Data, bf16, [B,S,H,D]:
//   mixture    (default) 400 normal centres a head, of K and of Q, correlated by .4. Patches of 4 x
//              5 x 5 tokens share a centre, drawn with a chance of about 1/(k+1); a fifth of the
//              tokens draw their own. Plus noise of .7. Values are normal.
//   captured   Q, K and V recorded from a small trained video transformer (two heads of 2,048 tokens
//              x 64, testdata/tiny-video-dit/captures), interpolated from 8 x 16 x 16 to the shape's
//              frames, rows and columns, each head mirrored in its own way, plus noise of a tenth of
//              the value's size. Head dim 128 is both recorded heads side by side, one of them
//              weighted by 0.7 to 1.3. The recorded scale 1/8 is kept.
// Text tokens are normal.
//
// A step is warm: centroids come from a COLD plan (10 iterations) of the same data before a drift,
// which adds normal noise of .1 and gives one token in 50 another's place in the mixture. Two such
// steps of different drift take turns, each a CUDA graph; times are medians over both.
//   k-means   2 iterations of Q and K, with counting sort into orders and offsets
//   scores    scores of the centroids, selection by top-p or by a budget
//   attention schedule, gather of K and V, attention with queries gathered and outputs scattered
//   step      all of it in one graph
//   means     means of K and V (compensation), apart; in the step with --compensate 1
// overhead = planning / (step - planning), where planning is everything but the attention kernel in one
// graph: k-means, scores, means with --compensate 1, schedule and gather. top-p is found by bisection
// on the first step's plan.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "bench/bench_data.cuh"
#include "bench/graph_timing.h"
#include "bench/sampled_rows.cuh"
#include "kernels/attention_schedule.h"
#include "kernels/block_sparse_attention.h"
#include "kernels/gather_keys.h"
#include "kernels/kmeans.h"
#include "kernels/plan_scores.h"
#include "kernels/segment_means.h"
#include "test/device_array.h"

namespace sparsedit::bench {
namespace {

using test::DeviceArray;

constexpr int kRecordedTokens = 2048, kRecordedDim = 64;  // 8 frames x 16 rows x 16 columns

// Where a token lies.
struct Place {
  int batch, head, t, y, x;
  bool text;
};

__device__ Place PlaceOf(const Shape& s, std::int64_t row) {
  const int batch_head = static_cast<int>(row / s.tokens);  // rows are counted head-major
  const int token = static_cast<int>(row % s.tokens);
  const int video = token - (s.text == TextPosition::kFirst ? s.text_tokens : 0);
  Place p = {batch_head / s.heads, batch_head % s.heads, 0, 0, 0, false};
  p.text = video < 0 || video >= s.frames * s.height * s.width;
  if (!p.text) {
    p.x = video % s.width;
    p.y = video / s.width % s.height;
    p.t = video / s.width / s.height;
  }
  return p;
}

__device__ std::int64_t OffsetOf(const Shape& s, std::int64_t row) {
  const std::int64_t batch_head = row / s.tokens, token = row % s.tokens;
  return ((batch_head / s.heads * s.tokens + token) * s.heads + batch_head % s.heads) * s.head_dim;
}

// Which of Q, K and V; `drift` 0 is the data of the COLD plan.
struct Filling {
  Shape shape;
  int tensor;  // 0 Q, 1 K, 2 V
  int drift;
  const __half* recorded;  // [2][3][2048][64], or null for the mixture
};

__device__ float Mixture(const Filling& f, const Place& p, std::int64_t row, int d) {
  constexpr int kCentres = 400;
  const int head = p.batch * f.shape.heads + p.head;
  const std::uint64_t token = row * 16;
  std::uint64_t cell = ((static_cast<std::uint64_t>(head) * 64 + p.t / 4) * 64 + p.y / 5) * 64 + p.x / 5;
  if (Uniform(token + 3) < .2f) cell = token + (1ull << 40);
  if (f.drift > 0 && Uniform(token + 4 + f.drift) < .02f) cell = token + (2ull << 40) + f.drift;
  const int centre =
      static_cast<int>(expf(Uniform(cell * 7 + 1) * logf(kCentres + 1.f))) - 1;
  const std::uint64_t at = ((static_cast<std::uint64_t>(head) * kCentres + centre) << 8) + d;
  const float key = Normal((3ull << 50) + at);
  const float value = f.tensor == 1 ? key : .4f * key + .917f * Normal((5ull << 50) + at);
  return value + .7f * Normal(((7ull + f.tensor) << 44) + row * 128 + d);
}

__device__ float Recorded(const Filling& f, const Place& p, std::int64_t row, int d) {
  const Shape& s = f.shape;
  const int head = p.batch * s.heads + p.head;
  const int which = s.head_dim == 128 ? d / 64 : head % 2;
  const __half* from = f.recorded + (which * 3 + f.tensor) * kRecordedTokens * kRecordedDim;
  const auto at = [&](int i, int count, int recorded, bool mirrored, int* low, float* share) {
    float x = (i + .5f) * recorded / count - .5f;
    if (mirrored) x = recorded - 1 - x;
    x = fminf(fmaxf(x, 0.f), recorded - 1.001f);
    *low = static_cast<int>(x);
    *share = x - *low;
  };
  int t, y, x;
  float ft, fy, fx;
  at(p.t, s.frames, 8, head & 1, &t, &ft);
  at(p.y, s.height, 16, head & 2, &y, &fy);
  at(p.x, s.width, 16, head & 4, &x, &fx);
  float value = 0.f;
  for (int corner = 0; corner < 8; ++corner) {
    const int dt = corner >> 2, dy = corner >> 1 & 1, dx = corner & 1;
    const float weight = (dt ? ft : 1 - ft) * (dy ? fy : 1 - fy) * (dx ? fx : 1 - fx);
    value += weight *
             __half2float(from[(((t + dt) * 16 + y + dy) * 16 + x + dx) * kRecordedDim + d % 64]);
  }
  const float gain = s.head_dim == 128 && which == 1 ? .7f + .6f * (head % 8) / 7.f : 1.f;
  return gain * value * (1.f + .1f * Normal(((7ull + f.tensor) << 44) + row * 128 + d));
}

__global__ void Fill(__nv_bfloat16* to, const Filling f) {
  const std::int64_t count =
      static_cast<std::int64_t>(f.shape.batch) * f.shape.heads * f.shape.tokens * f.shape.head_dim;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
       i < count; i += stride) {
    const std::int64_t row = i / f.shape.head_dim;
    const int d = static_cast<int>(i % f.shape.head_dim);
    const Place p = PlaceOf(f.shape, row);
    const float noise = Normal(((11ull + f.tensor) << 44) + i);
    float value = p.text || (f.tensor == 2 && f.recorded == nullptr) ? noise
                  : f.recorded == nullptr                            ? Mixture(f, p, row, d)
                                                                     : Recorded(f, p, row, d);
    if (f.drift > 0) value += .1f * Normal(((17ull + f.tensor + 4 * f.drift) << 44) + i);
    to[OffsetOf(f.shape, row) + d] = __float2bfloat16_rn(value);
  }
}

// The six files of a folder of captures, [2][3][2048][64].
std::vector<char> ReadCaptures(const std::string& folder) {
  std::vector<char> all;
  for (const char* head : {"step06-layer4-head0-", "step14-layer5-head0-"}) {
    for (const char* tensor : {"q", "k", "v"}) {
      const std::string path = folder + "/" + head + tensor + ".npy";
      std::ifstream file(path, std::ios::binary);
      const std::vector<char> bytes((std::istreambuf_iterator<char>(file)),
                                    std::istreambuf_iterator<char>());
      constexpr std::size_t kBytes = std::size_t{kRecordedTokens} * kRecordedDim * 2;
      if (bytes.size() < kBytes + 10) {
        std::printf("%s: not a recorded head of %zu bytes\n", path.c_str(), kBytes);
        std::exit(1);
      }
      all.insert(all.end(), bytes.end() - kBytes, bytes.end());
    }
  }
  return all;
}

// One step: its data and everything that it makes.
struct Step {
  DeviceArray<__nv_bfloat16> q, k, v, o;
  DeviceArray<float> query_centroids, key_centroids;
  DeviceArray<std::int32_t> query_order, key_order, query_offsets, key_offsets, keep;
  BlockSparseAttentionArgs attention;
};

test::HostPlan PlanOf(const PlanShape& s, const Step& step) {
  test::HostPlan plan;
  plan.shape = s;
  plan.query_offsets = step.query_offsets.Get();
  plan.key_offsets = step.key_offsets.Get();
  plan.keep = step.keep.Get();
  return plan;
}

// Kept pairs over all pairs, text included, mean over heads.
double DensityOf(const PlanShape& s, const Step& step) {
  const test::HostPlan plan = PlanOf(s, step);
  double sum = 0;
  for (int head = 0; head < s.batch * s.heads; ++head) sum += plan.Density(head);
  return sum / s.batch / s.heads;
}

// Pairs that the fast path multiplies, rows of query segments being padded to groups, over kept pairs.
double PaddingOf(const PlanShape& s, const Step& step) {
  const test::HostPlan plan = PlanOf(s, step);
  double kept = 0, multiplied = 0;
  for (int head = 0; head < s.batch * s.heads; ++head) {
    const std::int32_t* rows = plan.query_offsets.data() + head * (s.query_segments + 1);
    const std::int32_t* keys = plan.key_offsets.data() + head * (s.key_segments + 1);
    for (int i = 0; i < s.query_segments; ++i) {
      double attended = 0;
      for (int j = 0; j < s.key_segments; ++j) {
        if (Keeps(plan.KeepRow(head, i), j)) attended += keys[j + 1] - keys[j];
      }
      kept += attended * (rows[i + 1] - rows[i]);
      multiplied += attended * RoundUpTo(rows[i + 1] - rows[i], kAttentionGroupRows);
    }
  }
  return multiplied / kept;
}

const char* NameOf(Selection selection) {
  switch (selection) {
    case Selection::kTopP: return "top-p";
    case Selection::kBudgetByMass: return "by mass";
    case Selection::kBudgetByMassPerToken: return "by mass per token";
  }
  return "";
}

struct Options {
  std::vector<char> captures;
  Selection selection = Selection::kTopP;
  std::string bias = "none";
  bool compensate = false;
  int repeat = 5;
};

bool Measure(const Shape& shape, double target, const Options& options) {
  const std::vector<char>& captures = options.captures;
  const Selection selection = options.selection;
  const int repeat = options.repeat;
  const bool dense = target >= 1.0;
  const bool compensate = options.compensate && !dense;
  const PlanShape s = {shape.batch, shape.heads, shape.tokens,
                       SegmentsOf(shape.query_clusters, shape.text),
                       SegmentsOf(shape.key_clusters, shape.text)};
  const std::size_t heads = static_cast<std::size_t>(s.batch) * s.heads;
  const std::size_t count = heads * s.tokens * shape.head_dim;
  const float scale = captures.empty() ? 1.f / std::sqrt(static_cast<float>(shape.head_dim)) : .125f;
  cudaStream_t stream;
  CUDA_OK(cudaStreamCreate(&stream));
  DeviceArray<char> recorded(captures);
  const __half* from =
      captures.empty() ? nullptr : reinterpret_cast<const __half*>(recorded.get());
  const auto fill = [&](const DeviceArray<__nv_bfloat16>& to, int tensor, int drift) {
    Fill<<<4096, 256, 0, stream>>>(to.get(), {shape, tensor, drift, from});
    CUDA_OK(cudaGetLastError());
  };

  KmeansProblem kmeans{shape.batch, shape.heads, shape.tokens, shape.head_dim,
                       DataType::kBFloat16, Layout::kBshd, shape.query_clusters,
                       shape.key_clusters, shape.text, shape.text_tokens, 2, 10};
  PlanScoresProblem scores;
  scores.batch = shape.batch;
  scores.heads = shape.heads;
  scores.query_clusters = shape.query_clusters;
  scores.key_clusters = shape.key_clusters;
  scores.head_dim = shape.head_dim;
  scores.text = shape.text;
  scores.scale = scale;
  scores.min_kept = target >= .2 ? .1f : .02f;
  scores.selection = selection;
  if (selection != Selection::kTopP) {
    scores.p = static_cast<float>(target);
    scores.min_kept = 0.f;
  }
  DeviceArray<char> kmeans_workspace(KmeansWorkspaceSize(kmeans));
  DeviceArray<char> scores_workspace(PlanScoresWorkspaceSize(scores));
  const std::size_t attention_bytes =
      BlockSparseAttentionWorkspaceBytes(s, shape.head_dim, DataType::kBFloat16, compensate);
  DeviceArray<char> attention_workspace(attention_bytes);
  const BlockSparseAttentionWorkspace parts = CarveBlockSparseAttentionWorkspace(
      s, shape.head_dim, DataType::kBFloat16, compensate, attention_workspace.get());
  DeviceArray<float> key_bias(KeyBias(shape, options.bias));
  SegmentMeansProblem means{shape.batch, shape.heads, shape.tokens, shape.head_dim, s.key_segments,
                            2, DataType::kBFloat16, Layout::kBshd};
  DeviceArray<char> means_workspace(SegmentMeansWorkspaceSize(means));
  DeviceArray<float> means_of[2] = {DeviceArray<float>(heads * s.key_segments * shape.head_dim),
                                    DeviceArray<float>(heads * s.key_segments * shape.head_dim)};
  DeviceArray<float> log_sizes(heads * s.key_segments);
  DeviceArray<std::int32_t> cold(std::vector<std::int32_t>{6});
  DeviceArray<std::int32_t> warm(std::vector<std::int32_t>{dense ? 0 : 2});
  DeviceArray<float> start[2] = {DeviceArray<float>(heads * shape.query_clusters * shape.head_dim),
                                 DeviceArray<float>(heads * shape.key_clusters * shape.head_dim)};

  Step steps[2];
  for (int i = 0; i < 2; ++i) {
    Step& step = steps[i];
    for (DeviceArray<__nv_bfloat16>* x : {&step.q, &step.k, &step.v, &step.o}) {
      *x = DeviceArray<__nv_bfloat16>(count);
    }
    step.o.Poison();
    step.query_centroids = DeviceArray<float>(start[0].size());
    step.key_centroids = DeviceArray<float>(start[1].size());
    step.query_order = DeviceArray<std::int32_t>(heads * s.tokens);
    step.key_order = DeviceArray<std::int32_t>(heads * s.tokens);
    step.query_offsets = DeviceArray<std::int32_t>(heads * (s.query_segments + 1));
    step.key_offsets = DeviceArray<std::int32_t>(heads * (s.key_segments + 1));
    step.keep = DeviceArray<std::int32_t>(heads * s.query_segments * KeepWords(s.key_segments));
    for (DeviceArray<std::int32_t>* x : {&step.query_order, &step.key_order, &step.query_offsets,
                                         &step.key_offsets, &step.keep}) {
      x->Poison();
    }
    step.attention.shape = s;
    step.attention.head_dim = shape.head_dim;
    step.attention.layout = Layout::kBshd;
    step.attention.scale = scale;
    step.attention.q = step.q.get();
    step.attention.k = step.k.get();
    step.attention.v = step.v.get();
    step.attention.o = step.o.get();
    step.attention.plan = {step.query_order.get(), step.key_order.get(), step.query_offsets.get(),
                           step.key_offsets.get(), step.keep.get()};
    step.attention.action = warm.get();
    if (key_bias.size() > 0) step.attention.key_bias = key_bias.get();
    if (compensate) {
      step.attention.means_k = means_of[0].get();
      step.attention.means_v = means_of[1].get();
      step.attention.means_bias = log_sizes.get();
    }
  }
  const auto launch_kmeans = [&](Step& step, bool is_cold) {
    KmeansBuffers b;
    b.q = step.q.get();
    b.k = step.k.get();
    b.action = (is_cold ? cold : warm).get();
    b.query_centroids_in = start[0].get();
    b.key_centroids_in = start[1].get();
    b.query_centroids = is_cold ? start[0].get() : step.query_centroids.get();
    b.key_centroids = is_cold ? start[1].get() : step.key_centroids.get();
    b.plan.query_order = step.query_order.get();
    b.plan.key_order = step.key_order.get();
    b.plan.query_offsets = step.query_offsets.get();
    b.plan.key_offsets = step.key_offsets.get();
    Require(LaunchKmeans(kmeans, b, kmeans_workspace.get(), kmeans_workspace.size(), stream));
  };
  const auto launch_scores = [&](Step& step) {
    PlanScoresBuffers b;
    b.query_centroids = step.query_centroids.get();
    b.key_centroids = step.key_centroids.get();
    b.key_offsets = step.key_offsets.get();
    b.query_offsets = step.query_offsets.get();
    b.action = warm.get();
    b.keep = step.keep.get();
    Require(LaunchPlanScores(scores, b, scores_workspace.get(), scores_workspace.size(), stream));
  };
  const auto launch_attention = [&](Step& step) {
    Require(LaunchBlockSparseAttention(step.attention, attention_workspace.get(), attention_bytes,
                                       stream));
  };
  const auto launch_means = [&](Step& step) {
    SegmentMeansBuffers b;
    b.x[0] = step.k.get();
    b.x[1] = step.v.get();
    b.means[0] = means_of[0].get();
    b.means[1] = means_of[1].get();
    b.order = step.key_order.get();
    b.offsets = step.key_offsets.get();
    b.action = warm.get();
    b.key_bias = step.attention.key_bias;
    b.log_sizes = log_sizes.get();
    Require(LaunchSegmentMeans(means, b, means_workspace.get(), means_workspace.size(), stream));
  };
  // Compares the output of `step` with the means of its own K and V.
  const auto compare = [&](Step& step) {
    if (compensate) {
      launch_means(step);
      CUDA_OK(cudaStreamSynchronize(stream));
    }
    return CompareSampledRows(step.attention, dense);
  };
  // Median over both steps of a graph of `run`.
  const auto time = [&](auto run) {
    return TimeInTurn(stream, repeat, {[&] { run(steps[0]); }, [&] { run(steps[1]); }});
  };

  fill(steps[0].q, 0, 0);
  fill(steps[0].k, 1, 0);
  cudaEvent_t begin, end;
  CUDA_OK(cudaEventCreate(&begin));
  CUDA_OK(cudaEventCreate(&end));
  CUDA_OK(cudaEventRecord(begin, stream));
  launch_kmeans(steps[0], true);
  CUDA_OK(cudaEventRecord(end, stream));
  CUDA_OK(cudaEventSynchronize(end));
  float cold_ms = 0;
  CUDA_OK(cudaEventElapsedTime(&cold_ms, begin, end));
  for (int i = 0; i < 2; ++i) {
    fill(steps[i].q, 0, i + 1);
    fill(steps[i].k, 1, i + 1);
    fill(steps[i].v, 2, i + 1);
  }
  const double flops = 4.0 * s.tokens * static_cast<double>(s.tokens) * shape.head_dim * heads;
  const char* data = captures.empty() ? "mixture" : "captured";

  if (dense) {
    const double ms = time(launch_attention);
    bool right = true;
    for (Step& step : steps) {
      // The comparison reads no plan.
      right = compare(step).ok() && right;
    }
    std::printf("%-9s %-8s bias %-6s dense     attention %7.2f ms %6.1f TFLOP/s  %s\n",
                shape.name, data, options.bias.c_str(), ms, flops / ms * 1e-9,
                right ? "ok" : "WRONG");
    std::fflush(stdout);
    CUDA_OK(cudaStreamDestroy(stream));
    return right;
  }

  for (Step& step : steps) launch_kmeans(step, false);
  double low = 0, high = 1;
  for (int i = 0; i < 14 && selection == Selection::kTopP; ++i) {
    scores.p = static_cast<float>((low + high) / 2);
    launch_scores(steps[0]);
    CUDA_OK(cudaStreamSynchronize(stream));
    (DensityOf(s, steps[0]) < target ? low : high) = scores.p;
  }
  for (Step& step : steps) {
    for (DeviceArray<std::int32_t>* x : {&step.query_order, &step.key_order, &step.query_offsets,
                                         &step.key_offsets, &step.keep}) {
      x->Poison();
    }
  }
  const double step_ms = time([&](Step& step) {
    launch_kmeans(step, false);
    launch_scores(step);
    if (compensate) launch_means(step);
    launch_attention(step);
  });
  double density = 0, worst = 0, mass = 0;
  for (Step& step : steps) {
    density += DensityOf(s, step) / 2;
    const SampledRows rows = compare(step);
    worst = std::isnan(rows.relative_error) ? INFINITY : std::fmax(worst, rows.relative_error);
    mass += rows.kept_mass / 2;
    step.o.Poison();
  }
  const double attention_ms = time(launch_attention);
  for (Step& step : steps) {
    if (compensate) {  // the means were those of another step
      launch_means(step);
      launch_attention(step);
    }
    const double error = compare(step).relative_error;
    worst = std::isnan(error) ? INFINITY : std::fmax(worst, error);
  }
  const double kmeans_ms = time([&](Step& step) { launch_kmeans(step, false); });
  const double scores_ms = time(launch_scores);
  const double gather_ms = time([&](Step& step) {
    Require(LaunchGatherKeys(step.attention, parts, stream));
  });
  const double schedule_ms = time([&](Step& step) {
    Require(LaunchAttentionSchedule(step.attention, true, parts, stream));
  });
  const double means_ms = time(launch_means);
  // How skewed the plan is: the largest clusters over the mean.
  double largest[2] = {0, 0};
  for (int side = 0; side < 2; ++side) {
    const std::vector<std::int32_t> offsets =
        (side == 0 ? steps[0].query_offsets : steps[0].key_offsets).Get();
    const int segments = side == 0 ? s.query_segments : s.key_segments;
    for (std::size_t i = 0; i < heads * (segments + 1); ++i) {
      if (i % (segments + 1) == 0) continue;
      largest[side] = std::fmax(largest[side], offsets[i] - offsets[i - 1]);
    }
  }
  const double planning_ms = time([&](Step& step) {
    launch_kmeans(step, false);
    launch_scores(step);
    if (compensate) launch_means(step);
    Require(LaunchAttentionSchedule(step.attention, true, parts, stream));
    Require(LaunchGatherKeys(step.attention, parts, stream));
  });
  const bool right = worst <= 1e-2;
  std::printf(
      "%-9s %-8s bias %-6s%s %s %.4f density %.3f attention %7.2f ms %6.1f TFLOP/s  k-means %6.3f  scores %.3f  "
      "schedule %.3f  gather %.3f  (means %.3f)  step %7.3f ms  planning %.3f  overhead %4.1f %%  | cold k-means %.1f ms, "
      "largest clusters %.0f %.0f, rows padded x%.3f, mass kept %.3f, rel L1 %.1e %s\n",
      shape.name, data, options.bias.c_str(), compensate ? " compensated" : "", NameOf(selection),
      scores.p, density, attention_ms, flops * density / attention_ms * 1e-9, kmeans_ms, scores_ms,
      schedule_ms, gather_ms, means_ms, step_ms, planning_ms,
      planning_ms / (step_ms - planning_ms) * 100, cold_ms, largest[0], largest[1],
      PaddingOf(s, steps[0]), mass, worst,
      right ? "ok" : "WRONG");
  std::fflush(stdout);
  CUDA_OK(cudaEventDestroy(begin));
  CUDA_OK(cudaEventDestroy(end));
  CUDA_OK(cudaStreamDestroy(stream));
  return right;
}

int Main(int argc, char** argv) {
  Options options;
  bool right = true;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::size_t colon = argument.find(':');
    if (argument == "--captures" && i + 1 < argc) {
      options.captures = ReadCaptures(argv[++i]);
    } else if (argument == "--ranking" && i + 1 < argc) {
      options.selection = std::strcmp(argv[++i], "mass") == 0 ? Selection::kBudgetByMass
                                                              : Selection::kBudgetByMassPerToken;
    } else if (argument == "--bias" && i + 1 < argc) {
      options.bias = argv[++i];
    } else if (argument == "--compensate" && i + 1 < argc) {
      options.compensate = std::atoi(argv[++i]) != 0;
    } else if (argument == "--repeat" && i + 1 < argc) {
      options.repeat = std::atoi(argv[++i]);
    } else {
      bool known = false;
      for (const Shape& shape : kShapes) {
        if (colon == std::string::npos || argument.substr(0, colon) != shape.name) continue;
        const double density = std::atof(argument.substr(colon + 1).c_str());
        right = Measure(shape, density, options) && right;
        known = true;
      }
      if (!known) {
        std::printf("unknown argument %s\n", argv[i]);
        return 2;
      }
    }
  }
  return right ? 0 : 1;
}

}  // namespace
}  // namespace sparsedit::bench

int main(int argc, char** argv) { return sparsedit::bench::Main(argc, argv); }
