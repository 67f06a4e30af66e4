#include "kernels/plan_scores.h"

namespace sparsedit {
namespace {

struct ScoreParams {
  const float* query_centroids;
  const float* key_centroids;
  const std::int32_t* key_offsets;
  const std::int32_t* action;
  const std::int32_t* previous_keep;
  std::int32_t* keep;
  float* scores;
  int batch_heads, query_clusters, key_clusters, head_dim;
  int text;  // TextPosition
  float scale;
  bool density;
  float p;
  int minimum;
};

constexpr int kTile = 64;
constexpr int kDepth = 16;
constexpr int kScoreThreads = 256;

// S, 64 x 64 to a block, 4 x 4 to a thread.
__global__ void __launch_bounds__(kScoreThreads) Scores(const ScoreParams p) {
  if (!ActionPlans(*p.action)) return;
  __shared__ __align__(16) float query[kDepth][kTile + 4];
  __shared__ __align__(16) float key[kDepth][kTile + 4];
  const int bh = blockIdx.z, row0 = blockIdx.y * kTile, column0 = blockIdx.x * kTile;
  const float* q = p.query_centroids + static_cast<std::int64_t>(bh) * p.query_clusters * p.head_dim;
  const float* k = p.key_centroids + static_cast<std::int64_t>(bh) * p.key_clusters * p.head_dim;
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  const int load_row = threadIdx.x / 4, load_element = threadIdx.x % 4 * 4;
  float acc[4][4] = {};
  for (int d0 = 0; d0 < p.head_dim; d0 += kDepth) {
    float4 a = make_float4(0.f, 0.f, 0.f, 0.f), b = a;
    if (row0 + load_row < p.query_clusters) {
      a = *reinterpret_cast<const float4*>(q + (row0 + load_row) * p.head_dim + d0 + load_element);
    }
    if (column0 + load_row < p.key_clusters) {
      b = *reinterpret_cast<const float4*>(k + (column0 + load_row) * p.head_dim + d0 +
                                           load_element);
    }
    __syncthreads();
    query[load_element][load_row] = a.x;
    query[load_element + 1][load_row] = a.y;
    query[load_element + 2][load_row] = a.z;
    query[load_element + 3][load_row] = a.w;
    key[load_element][load_row] = b.x;
    key[load_element + 1][load_row] = b.y;
    key[load_element + 2][load_row] = b.z;
    key[load_element + 3][load_row] = b.w;
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      const float4 u = *reinterpret_cast<const float4*>(&query[d][y * 4]);
      const float4 v = *reinterpret_cast<const float4*>(&key[d][x * 4]);
      const float us[4] = {u.x, u.y, u.z, u.w}, vs[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) acc[i][j] += us[i] * vs[j];
      }
    }
  }
  float* out = p.scores + static_cast<std::int64_t>(bh) * p.query_clusters * p.key_clusters;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = row0 + y * 4 + i;
    if (row >= p.query_clusters) break;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int column = column0 + x * 4 + j;
      if (column < p.key_clusters) {
        out[static_cast<std::int64_t>(row) * p.key_clusters + column] = acc[i][j] * p.scale;
      }
    }
  }
}

// One row of P, kWarps warps, kPerLane values a lane: lane l of warp w holds segments
// (w*kPerLane + i)*32 + l, so that a ballot is a word of `keep`.
template <int kWarps, int kPerLane>
struct Row {
  std::uint32_t rank[kPerLane];    // orders as S + ln |K| does
  std::uint32_t weight[kPerLane];  // mass in 2^-30, or keys

  static __device__ std::uint32_t Sum(std::uint32_t mine, std::uint32_t* shared) {
    mine = __reduce_add_sync(0xffffffffu, mine);
    if (kWarps == 1) return mine;
    __syncthreads();
    if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = mine;
    __syncthreads();
    std::uint32_t all = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) all += shared[w];
    return all;
  }

  static __device__ int Segment(int i) {
    return ((threadIdx.x >> 5) * kPerLane + i) * 32 + (threadIdx.x & 31);
  }

  // The shortest prefix, by descending rank and ascending segment, whose weight (kCount: whose
  // length) exceeds `limit`: all of rank above `top`, and of rank `top` segments up to `until`.
  struct Prefix {
    std::uint32_t top;
    int until;
  };
  template <bool kCount>
  __device__ Prefix Exceeding(std::uint32_t limit, std::uint32_t* shared) const {
    std::uint32_t top = 0;
#pragma unroll 1
    for (int bit = 31; bit >= 0; --bit) {
      const std::uint32_t candidate = top | 1u << bit;
      std::uint32_t sum = 0;
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) {
        sum += rank[i] >= candidate ? (kCount ? 1u : weight[i]) : 0u;
      }
      if (Sum(sum, shared) > limit) top = candidate;
    }
    std::uint32_t above = 0, equal = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      above += rank[i] > top ? (kCount ? 1u : weight[i]) : 0u;
      equal += rank[i] == top;
    }
    above = Sum(above, shared);
    equal = Sum(equal, shared);
    int until = kWarps * kPerLane * 32;
    if (equal > 1) {
      until = 0;
#pragma unroll 1
      for (int bit = 12; bit >= 0; --bit) {
        const int candidate = until | 1 << bit;
        std::uint32_t sum = above;
        std::uint32_t mine = 0;
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) {
          mine += rank[i] == top && Segment(i) < candidate ? (kCount ? 1u : weight[i]) : 0u;
        }
        sum += Sum(mine, shared);
        if (sum <= limit) until = candidate;
      }
    }
    return {top, until};
  }
};

template <int kWarps, int kPerLane>
__global__ void __launch_bounds__(kWarps * 32) Select(const ScoreParams p) {
  using ThisRow = Row<kWarps, kPerLane>;
  __shared__ std::uint32_t shared[kWarps];
  const bool text = p.text != static_cast<int>(TextPosition::kNone);
  const bool leading = p.text == static_cast<int>(TextPosition::kFirst);
  const int shift = leading ? 1 : 0;
  const int query_segments = p.query_clusters + text, key_segments = p.key_clusters + text;
  const int words = KeepWords(key_segments);
  const int bh = blockIdx.y, segment = blockIdx.x;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const std::int64_t row = static_cast<std::int64_t>(bh) * query_segments + segment;
  std::int32_t* keep = p.keep + row * words;
  if (!ActionPlans(*p.action)) {
    if (p.previous_keep != nullptr && p.previous_keep != p.keep) {
      for (int i = threadIdx.x; i < words; i += kWarps * 32) keep[i] = p.previous_keep[row * words + i];
    }
    return;
  }
  const int cluster = segment - shift;
  const bool text_row = cluster < 0 || cluster >= p.query_clusters;
  const std::int32_t* offsets =
      p.key_offsets + static_cast<std::int64_t>(bh) * (key_segments + 1);

  ThisRow r;
  bool everything = text_row;
  typename ThisRow::Prefix kept = {0, 0}, least = {0xffffffffu, -1};
  if (!text_row) {
    const float* scores =
        p.scores + (static_cast<std::int64_t>(bh) * p.query_clusters + cluster) * p.key_clusters;
    float logit[kPerLane];
    std::uint32_t keys[kPerLane];
    float largest = -INFINITY;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int j = ThisRow::Segment(i) - shift;
      keys[i] = 0;
      logit[i] = -INFINITY;
      if (j >= 0 && j < p.key_clusters) {
        keys[i] = offsets[j + shift + 1] - offsets[j + shift];
        if (keys[i] > 0) logit[i] = scores[j] + logf(static_cast<float>(keys[i]));
      }
      largest = fmaxf(largest, logit[i]);
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance >>= 1) {
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    }
    if (kWarps > 1) {
      __syncthreads();
      if (lane == 0) shared[warp] = __float_as_uint(largest);
      __syncthreads();
#pragma unroll
      for (int w = 0; w < kWarps; ++w) largest = fmaxf(largest, __uint_as_float(shared[w]));
      __syncthreads();
    }
    // Summed in an order that the shapes fix: a lane's, then the butterfly's, then the warps'.
    float total = 0.f;
    float mass[kPerLane];
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      mass[i] = logit[i] == -INFINITY ? 0.f : expf(logit[i] - largest);
      total += mass[i];
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance >>= 1) {
      total += __shfl_xor_sync(0xffffffffu, total, distance);
    }
    if (kWarps > 1) {
      __syncthreads();
      if (lane == 0) shared[warp] = __float_as_uint(total);
      __syncthreads();
      total = 0.f;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) total += __uint_as_float(shared[w]);
      __syncthreads();
    }
    // In f64, that equal masses which make up p exactly do not exceed it.
    const double unit = total > 0.f ? 1073741824. / total : 0.;
    std::uint32_t all_keys = 0, all = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int j = ThisRow::Segment(i) - shift;
      const bool exists = j >= 0 && j < p.key_clusters;
      const std::uint32_t bits = __float_as_uint(logit[i]);
      // Every cluster ranks above 0, which stands for "no cluster".
      r.rank[i] = exists ? bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u) : 0u;
      r.weight[i] = p.density ? keys[i] : __double2uint_rn(mass[i] * unit);
      all_keys += keys[i];
      all += r.weight[i];
    }
    all_keys = ThisRow::Sum(all_keys, shared);
    all = ThisRow::Sum(all, shared);
    const double share = p.p < 1.f ? p.p : 1.;
    const std::uint32_t limit =
        static_cast<std::uint32_t>(share * (p.density ? static_cast<double>(all_keys) : 1073741824.));
    everything = p.p >= 1.f || all <= limit;
    if (!everything) {
      kept = r.template Exceeding<false>(limit, shared);
      std::uint32_t count = 0;
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) {
        count += r.rank[i] > kept.top || (r.rank[i] == kept.top && ThisRow::Segment(i) <= kept.until);
      }
      if (ThisRow::Sum(count, shared) < static_cast<std::uint32_t>(p.minimum)) {
        least = r.template Exceeding<true>(p.minimum - 1, shared);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    const int j = ThisRow::Segment(i);
    bool bit = j < key_segments;
    if (bit && !everything) {
      const bool text_column = j < shift || j >= p.key_clusters + shift;
      bit = text_column || r.rank[i] > kept.top ||
            (r.rank[i] == kept.top && j <= kept.until) || r.rank[i] > least.top ||
            (r.rank[i] == least.top && j <= least.until);
    }
    const std::uint32_t word = __ballot_sync(0xffffffffu, bit);
    const int index = warp * kPerLane + i;
    if (lane == 0 && index < words) keep[index] = static_cast<std::int32_t>(word);
  }
}

}  // namespace

Status LaunchPlanScores(const PlanScoresProblem& problem, const PlanScoresBuffers& b,
                        void* workspace, std::size_t workspace_size, CUstream_st* stream) {
  SPARSEDIT_RETURN_IF_ERROR(CheckPlanScores(problem));
  SPARSEDIT_REQUIRE(IsAligned(b.query_centroids, 16) && IsAligned(b.key_centroids, 16) &&
                        IsAligned(b.key_offsets, 4) && IsAligned(b.action, 4) &&
                        IsAligned(b.keep, 4) && IsAligned(workspace, 16),
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(workspace_size >= PlanScoresWorkspaceSize(problem), Status::kWorkspaceTooSmall);
  ScoreParams p;
  p.query_centroids = b.query_centroids;
  p.key_centroids = b.key_centroids;
  p.key_offsets = b.key_offsets;
  p.action = b.action;
  p.previous_keep = b.previous_keep;
  p.keep = b.keep;
  p.scores = static_cast<float*>(workspace);
  p.batch_heads = problem.batch * problem.heads;
  p.query_clusters = problem.query_clusters;
  p.key_clusters = problem.key_clusters;
  p.head_dim = problem.head_dim;
  p.text = static_cast<int>(problem.text);
  p.scale = problem.scale;
  p.density = problem.selection == Selection::kDensity;
  p.p = problem.p;
  p.minimum = MinimumKept(problem.min_kept, problem.key_clusters);

  const dim3 tiles(static_cast<unsigned>(CeilDiv(p.key_clusters, kTile)),
                   static_cast<unsigned>(CeilDiv(p.query_clusters, kTile)), p.batch_heads);
  Scores<<<tiles, kScoreThreads, 0, stream>>>(p);
  SPARSEDIT_RETURN_IF_ERROR(LaunchStatus());
  const int segments = SegmentsOf(problem.key_clusters, problem.text);
  const dim3 rows(SegmentsOf(problem.query_clusters, problem.text), p.batch_heads);
  if (segments <= 256) {
    Select<1, 8><<<rows, 32, 0, stream>>>(p);
  } else if (segments <= 1024) {
    Select<1, 32><<<rows, 32, 0, stream>>>(p);
  } else if (segments <= 2048) {
    Select<2, 32><<<rows, 64, 0, stream>>>(p);
  } else {
    Select<5, 32><<<rows, 160, 0, stream>>>(p);
  }
  return LaunchStatus();
}

}  // namespace sparsedit
