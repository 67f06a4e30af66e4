#include "kernels/plan_scores.h"

#include <climits>

namespace sparsedit {
namespace {

struct ScoreParams {
  const float* query_centroids;
  const float* key_centroids;
  const std::int32_t* key_offsets;
  const std::int32_t* query_offsets;
  const std::int32_t* action;
  const std::int32_t* previous_keep;
  std::int32_t* keep;
  PlanScoresWorkspace work;
  int batch_heads, query_clusters, key_clusters, head_dim;
  int text;  // TextPosition
  float scale;
  Selection selection;
  float p;
  int minimum;

  // Segments beside the clusters, and how many of them come first.
  __device__ int Text() const { return text != static_cast<int>(TextPosition::kNone) ? 1 : 0; }
  __device__ int Shift() const { return text == static_cast<int>(TextPosition::kFirst) ? 1 : 0; }
  // Of a head: offset j is where cluster j begins.
  __device__ const std::int32_t* KeyOffsets(int bh) const {
    return key_offsets + static_cast<std::int64_t>(bh) * (key_clusters + Text() + 1) + Shift();
  }
  __device__ const std::int32_t* QueryOffsets(int bh) const {
    return query_offsets + static_cast<std::int64_t>(bh) * (query_clusters + Text() + 1) + Shift();
  }
};

// Orders as the numbers do; -inf is kNoKeys.
constexpr std::uint32_t kNoKeys = 0x007fffffu;
__device__ std::uint32_t Ordered(float x) {
  const std::uint32_t bits = __float_as_uint(x + 0.f);  // -0 becomes 0
  return bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u);
}

// Rounded as written wherever they are inlined: every kernel must rank alike.
__device__ float LogMass(float score, float log_keys) { return __fadd_rn(score, log_keys); }
__device__ std::uint32_t RankPerToken(float log_mass, float lse, float log_keys) {
  return Ordered(__fsub_rn(__fsub_rn(log_mass, lse), log_keys));
}

// Sizes of 128 key clusters, and the head's state of the search by mass per token.
__device__ void Start(const ScoreParams& p, int bh, int first) {
  const std::int32_t* offsets = p.KeyOffsets(bh);
  const int j = first + threadIdx.x;
  if (threadIdx.x < 128 && j < p.key_clusters) {
    const int keys = offsets[j + 1] - offsets[j];
    p.work.sizes[static_cast<std::int64_t>(bh) * p.key_clusters + j] = {
        keys > 0 ? logf(static_cast<float>(keys)) : -INFINITY, keys};
  }
  if (first == 0 && p.selection == Selection::kBudgetByMassPerToken) {
    RankedHead& head = p.work.heads[bh];
    constexpr int kSums = RankedHead::kRounds * RankedHead::kCuts;
    for (int i = threadIdx.x; i < kSums; i += blockDim.x) {
      head.above[i / RankedHead::kCuts][i % RankedHead::kCuts] = 0;
    }
    if (threadIdx.x == 0) {
      head.first = 0;
      head.lowest = 0xffffffffu;
      head.highest = 0;
      head.candidates = 0;
    }
  }
}

constexpr int kTileRows = 64, kTileColumns = 128;
constexpr int kDepth = 16;
constexpr int kScoreThreads = 256;

// S, 64 x 128 to a block, 4 x 8 to a thread.
__global__ void __launch_bounds__(kScoreThreads) Scores(const ScoreParams p) {
  if (!ActionPlans(*p.action)) return;
  __shared__ __align__(16) float query[kDepth][kTileRows + 4];
  __shared__ __align__(16) float key[kDepth][kTileColumns + 4];
  const int bh = blockIdx.z, row0 = blockIdx.y * kTileRows, column0 = blockIdx.x * kTileColumns;
  const float* q = p.query_centroids + static_cast<std::int64_t>(bh) * p.query_clusters * p.head_dim;
  const float* k = p.key_centroids + static_cast<std::int64_t>(bh) * p.key_clusters * p.head_dim;
  if (blockIdx.y == 0) Start(p, bh, column0);
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  const int load_row = threadIdx.x / 4, load_element = threadIdx.x % 4 * 4;
  float acc[4][8] = {};
  // The next elements are on their way while these are multiplied.
  const auto load = [&](const float* from, int at, int rows, int d0) {
    return at < rows && d0 < p.head_dim
               ? *reinterpret_cast<const float4*>(from + at * p.head_dim + d0 + load_element)
               : make_float4(0.f, 0.f, 0.f, 0.f);
  };
  const auto load_all = [&](int d0, float4 (&to)[3]) {
    to[0] = load(q, row0 + load_row, p.query_clusters, d0);
    to[1] = load(k, column0 + load_row, p.key_clusters, d0);
    to[2] = load(k, column0 + 64 + load_row, p.key_clusters, d0);
  };
  const auto store = [&](float* to, int stride, float4 v) {
    to[0] = v.x, to[stride] = v.y, to[2 * stride] = v.z, to[3 * stride] = v.w;
  };
  float4 next[3];
  load_all(0, next);
  for (int d0 = 0; d0 < p.head_dim; d0 += kDepth) {
    __syncthreads();
    store(&query[load_element][load_row], kTileRows + 4, next[0]);
    store(&key[load_element][load_row], kTileColumns + 4, next[1]);
    store(&key[load_element][64 + load_row], kTileColumns + 4, next[2]);
    __syncthreads();
    load_all(d0 + kDepth, next);
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      const float4 u = *reinterpret_cast<const float4*>(&query[d][y * 4]);
      const float4 v = *reinterpret_cast<const float4*>(&key[d][x * 4]);
      const float4 w = *reinterpret_cast<const float4*>(&key[d][64 + x * 4]);
      const float us[4] = {u.x, u.y, u.z, u.w};
      const float vs[8] = {v.x, v.y, v.z, v.w, w.x, w.y, w.z, w.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 8; ++j) acc[i][j] += us[i] * vs[j];
      }
    }
  }
  float* out = p.work.scores + static_cast<std::int64_t>(bh) * p.query_clusters * p.key_clusters;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = row0 + y * 4 + i;
    if (row >= p.query_clusters) break;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const int column = column0 + j / 4 * 64 + x * 4 + j % 4;
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
  float logit[kPerLane];           // S + ln |K|
  std::uint32_t keys[kPerLane];
  std::uint32_t rank[kPerLane];    // orders as the logit does; 0 where there is no cluster
  std::uint32_t weight[kPerLane];  // mass in 2^-30, or keys

  // Fills all but the weights. All loads come first, so that they wait for each other no more than once.
  __device__ void Load(const ScoreParams& p, int bh, int cluster) {
    const int shift = p.Shift();
    const ClusterSize* sizes = p.work.sizes + static_cast<std::int64_t>(bh) * p.key_clusters;
    const float* scores =
        p.work.scores +
        (static_cast<std::int64_t>(bh) * p.query_clusters + cluster) * p.key_clusters;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int j = min(max(Segment(i) - shift, 0), p.key_clusters - 1);
      const ClusterSize size = sizes[j];
      keys[i] = size.keys;
      logit[i] = LogMass(scores[j], size.log);  // -inf without keys
    }
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int j = Segment(i) - shift;
      const bool exists = j >= 0 && j < p.key_clusters;
      rank[i] = exists ? Ordered(logit[i]) : 0u;
      keys[i] = exists ? keys[i] : 0u;
      logit[i] = exists ? logit[i] : -INFINITY;
    }
  }

  __device__ float Largest(std::uint32_t* shared) const {
    float largest = -INFINITY;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) largest = fmaxf(largest, logit[i]);
#pragma unroll
    for (int distance = 16; distance > 0; distance >>= 1) {
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    }
    if (kWarps > 1) {
      __syncthreads();
      if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = __float_as_uint(largest);
      __syncthreads();
#pragma unroll
      for (int w = 0; w < kWarps; ++w) largest = fmaxf(largest, __uint_as_float(shared[w]));
      __syncthreads();
    }
    return largest;
  }

  // Of exp(logit - largest), each of which goes to `mass`. Summed in an order that the shapes fix: a
  // lane's, then the butterfly's, then the warps'.
  __device__ float Total(float largest, float (&mass)[kPerLane], std::uint32_t* shared) const {
    float total = 0.f;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const float e = expf(logit[i] - largest);
      mass[i] = logit[i] == -INFINITY ? 0.f : e;
      total += mass[i];
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance >>= 1) {
      total += __shfl_xor_sync(0xffffffffu, total, distance);
    }
    if (kWarps > 1) {
      __syncthreads();
      if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = __float_as_uint(total);
      __syncthreads();
      total = 0.f;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) total += __uint_as_float(shared[w]);
      __syncthreads();
    }
    return total;
  }

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

  static __device__ std::uint32_t Max(std::uint32_t mine, std::uint32_t* shared) {
    mine = __reduce_max_sync(0xffffffffu, mine);
    if (kWarps == 1) return mine;
    __syncthreads();
    if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = mine;
    __syncthreads();
#pragma unroll
    for (int w = 0; w < kWarps; ++w) mine = max(mine, shared[w]);
    return mine;
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
  // The first segment of that order alone.
  __device__ Prefix Greatest(std::uint32_t* shared) const {
    std::uint32_t top = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) top = max(top, rank[i]);
    top = Max(top, shared);
    std::uint32_t before = 0;  // how far from the end of the row it is
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      if (rank[i] == top) before = max(before, kWarps * kPerLane * 32u - Segment(i));
    }
    return {top, static_cast<int>(kWarps * kPerLane * 32 - Max(before, shared))};
  }
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

// Row by row: by top-p, or by a budget of each row.
template <int kWarps, int kPerLane>
__global__ void __launch_bounds__(kWarps * 32) Select(const ScoreParams p) {
  using ThisRow = Row<kWarps, kPerLane>;
  __shared__ std::uint32_t shared[kWarps];
  const int shift = p.Shift();
  const int query_segments = p.query_clusters + p.Text(), key_segments = p.key_clusters + p.Text();
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
  const bool budget_of_keys = p.selection == Selection::kBudgetByMass;

  ThisRow r;
  bool everything = text_row;
  typename ThisRow::Prefix kept = {0, 0}, least = {0xffffffffu, -1};
  if (!text_row) {
    r.Load(p, bh, cluster);
    float mass[kPerLane];
    const float total = r.Total(r.Largest(shared), mass, shared);
    // In f64, that equal masses which make up p exactly do not exceed it.
    const double unit = total > 0.f ? 1073741824. / total : 0.;
    std::uint32_t all_keys = 0, all = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      r.weight[i] = budget_of_keys ? r.keys[i] : __double2uint_rn(mass[i] * unit);
      all_keys += r.keys[i];
      all += r.weight[i];
    }
    all_keys = ThisRow::Sum(all_keys, shared);
    all = ThisRow::Sum(all, shared);
    // A prefix ends where it exceeds `limit`; none is taken where the budget is 0.
    std::int64_t limit = static_cast<std::int64_t>((p.p < 1.f ? p.p : 1.) * 1073741824.);
    if (budget_of_keys) limit = DensityBudget(p.p, all_keys) - 1;
    everything = p.p >= 1.f || all <= limit;
    if (!everything) {
      kept = {0xffffffffu, -1};
      if (limit >= 0) {
        kept = r.template Exceeding<false>(static_cast<std::uint32_t>(limit), shared);
      }
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

// ------------------------------------------------------------------ by mass per token, head by head
//
// The pairs of a head, a hundred thousand or more, are not sorted: the last one that is kept is
// searched for. Its rank is enclosed by rounds that cut the interval left into 16 and add up the pairs
// of tokens above each cut (16 times fewer each round), pairs of clusters that remain are listed, and
// one block finishes on the list. All sums are of integers, so the result does not depend on an order.

// What every row has to know first: the logarithm of its sum, and its clusters that are kept anyway.
template <int kWarps, int kPerLane>
__global__ void __launch_bounds__(kWarps * 32) RankRows(const ScoreParams p) {
  if (!ActionPlans(*p.action)) return;
  using ThisRow = Row<kWarps, kPerLane>;
  __shared__ std::uint32_t shared[kWarps];
  const int bh = blockIdx.y, cluster = blockIdx.x;
  const std::int32_t* offsets = p.QueryOffsets(bh);
  const int queries = offsets[cluster + 1] - offsets[cluster];
  const ClusterSize* sizes = p.work.sizes + static_cast<std::int64_t>(bh) * p.key_clusters;
  const int shift = p.Shift();
  ThisRow r;
  r.Load(p, bh, cluster);
  float mass[kPerLane];
  const float largest = r.Largest(shared);
  const float lse = largest + logf(r.Total(largest, mass, shared));
  const typename ThisRow::Prefix least =
      p.minimum == 1 ? r.Greatest(shared) : r.template Exceeding<true>(p.minimum - 1, shared);
  std::uint32_t first = 0, lowest = 0xffffffffu, highest = 0;
  float logs[kPerLane];
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    logs[i] = sizes[min(max(ThisRow::Segment(i) - shift, 0), p.key_clusters - 1)].log;
  }
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {  // without branches, which would follow each other
    const bool anyway = (r.rank[i] > least.top) |
                        ((r.rank[i] == least.top) & (ThisRow::Segment(i) <= least.until));
    const bool counts = !anyway & (r.keys[i] > 0);  // without keys it weighs nothing
    const std::uint32_t rank = RankPerToken(r.logit[i], lse, logs[i]);
    first += anyway ? r.keys[i] : 0u;
    lowest = min(lowest, counts ? rank : 0xffffffffu);
    highest = max(highest, counts ? rank : 0u);
  }
  first = __reduce_add_sync(0xffffffffu, first);
  lowest = __reduce_min_sync(0xffffffffu, lowest);
  highest = __reduce_max_sync(0xffffffffu, highest);
  RankedHead& head = p.work.heads[bh];
  if ((threadIdx.x & 31) == 0 && queries > 0) {
    atomicAdd(&head.first, static_cast<unsigned long long>(first) * queries);
    atomicMin(&head.lowest, lowest);
    atomicMax(&head.highest, highest);
  }
  if (threadIdx.x == 0) {
    p.work.rows[static_cast<std::int64_t>(bh) * p.query_clusters + cluster] = {
        lse, least.top, least.until, queries};
  }
}

// Where the last pair that is kept lies: its rank is in [low, high), and `above` pairs of tokens come
// before all pairs of clusters there. Or all pairs are kept, or none but those kept anyway.
struct Interval {
  enum State : int { kOpen, kAll, kNone } state;
  std::uint32_t low, high;
  unsigned long long above, budget;

  __device__ std::uint32_t Cut(int n) const {
    return low + static_cast<std::uint32_t>(static_cast<std::uint64_t>(high - low) * n >> 4);
  }
};

// By all threads of a block, of which there are enough for a load each; `shared` holds all the sums.
using RoundSums = unsigned long long[RankedHead::kRounds * RankedHead::kCuts];
__device__ Interval IntervalAfter(const ScoreParams& p, int bh, int rounds, RoundSums& shared) {
  constexpr int kCuts = RankedHead::kCuts;
  const RankedHead& head = p.work.heads[bh];
  for (int i = threadIdx.x; i < rounds * kCuts; i += blockDim.x) {
    shared[i] = head.above[i / kCuts][i % kCuts];
  }
  __syncthreads();
  Interval x = {Interval::kAll, 0, 0, 0, 0};
  if (p.p >= 1.f) return x;
  const std::int32_t* offsets = p.QueryOffsets(bh);
  const std::int64_t tokens = offsets[p.query_clusters] - offsets[0];
  const std::int64_t pairs = tokens * tokens;
  const unsigned long long first = head.first;
  x.budget = DensityBudget(p.p, pairs);
  x.above = first;
  if (x.budget > static_cast<unsigned long long>(pairs)) return x;
  x.state = x.above >= x.budget ? Interval::kNone : Interval::kOpen;
  x.low = head.lowest;
  x.high = head.highest + 1;
  for (int round = 0; round < rounds; ++round) {
    const unsigned long long* above = shared + round * kCuts;
    int n = kCuts;  // the greatest cut with enough above it
    while (n > 0 && first + above[n - 1] < x.budget) --n;
    if (n < kCuts) x.above = first + above[n];
    const std::uint32_t low = x.Cut(n);
    x.high = x.Cut(n + 1);
    x.low = low;
  }
  return x;
}

// A pair of clusters.
struct Pair {
  std::uint32_t rank;  // by mass per token
  std::uint32_t mass;  // rank by mass
  bool anyway;         // kept anyway
};

__device__ __forceinline__ Pair PairOf(const RankedRow& row, float score, ClusterSize size,
                                       int segment) {
  const float logit = LogMass(score, size.log);  // -inf without keys
  const std::uint32_t mass = Ordered(logit);
  const std::uint32_t rank = RankPerToken(logit, row.lse, size.log);
  const bool anyway =
      (mass > row.least_top) | ((mass == row.least_top) & (segment <= row.least_until));
  return {size.keys > 0 ? rank : kNoKeys, mass, anyway};
}

constexpr int kRowWarps = 8;

// One round; with kCollect the listing of what the rounds left. A warp a row.
template <bool kCollect>
__global__ void __launch_bounds__(kRowWarps * 32) Narrow(const ScoreParams p, int round) {
  if (!ActionPlans(*p.action)) return;
  constexpr int kCuts = RankedHead::kCuts;
  __shared__ RoundSums sums;
  const int bh = blockIdx.y, lane = threadIdx.x & 31;
  const Interval interval = IntervalAfter(p, bh, round, sums);
  if (interval.state != Interval::kOpen) return;
  const int i = blockIdx.x * kRowWarps + (threadIdx.x >> 5);
  if (i >= p.query_clusters) return;
  const std::int64_t at = static_cast<std::int64_t>(bh) * p.query_clusters + i;
  const RankedRow row = p.work.rows[at];
  if (row.queries == 0) return;
  const float* scores = p.work.scores + at * p.key_clusters;
  const ClusterSize* sizes = p.work.sizes + static_cast<std::int64_t>(bh) * p.key_clusters;
  RankedHead& head = p.work.heads[bh];
  const int shift = p.Shift();
  std::uint32_t cuts[kCuts], above[kCuts];
#pragma unroll
  for (int n = 0; n < kCuts; ++n) {
    cuts[n] = interval.Cut(n + 1);
    above[n] = 0;
  }
#pragma unroll 4
  for (int j0 = 0; j0 < p.key_clusters; j0 += 32) {
    const bool exists = j0 + lane < p.key_clusters;
    const int j = min(j0 + lane, p.key_clusters - 1);
    const ClusterSize size = sizes[j];
    const Pair pair = PairOf(row, scores[j], size, j + shift);
    const bool counts = exists && !pair.anyway;
    if constexpr (kCollect) {
      const bool listed = counts && pair.rank >= interval.low && pair.rank < interval.high;
      const unsigned mask = __ballot_sync(0xffffffffu, listed);
      if (mask == 0) continue;
      int base = 0;
      if (lane == 0) base = atomicAdd(&head.candidates, __popc(mask));
      base = __shfl_sync(0xffffffffu, base, 0);
      if (listed) {
        p.work.candidates[static_cast<std::int64_t>(bh) * p.query_clusters * p.key_clusters + base +
                          __popc(mask & ((1u << lane) - 1))] = i * p.key_clusters + j;
      }
    } else {
      const std::uint32_t keys = counts ? size.keys : 0;
#pragma unroll
      for (int n = 0; n < kCuts; ++n) above[n] += pair.rank >= cuts[n] ? keys : 0;
    }
  }
  if constexpr (!kCollect) {
    std::uint32_t own = 0;
#pragma unroll
    for (int n = 0; n < kCuts; ++n) {
      const std::uint32_t sum = __reduce_add_sync(0xffffffffu, above[n]);
      if (lane == n) own = sum;
    }
    if (lane < kCuts && own > 0) {
      atomicAdd(&head.above[round][lane], static_cast<unsigned long long>(own) * row.queries);
    }
  }
}

// Finds the last pair that is kept among the listed ones. A block a head.
constexpr int kFinishThreads = 1024;
constexpr int kCached = 2048;  // listed pairs that are held in shared memory
__global__ void __launch_bounds__(kFinishThreads) FinishSearch(const ScoreParams p) {
  if (!ActionPlans(*p.action)) return;
  __shared__ unsigned long long partial[2][kFinishThreads / 32];
  __shared__ RoundSums sums;
  __shared__ std::uint32_t ranks[kCached];
  __shared__ unsigned long long weights[kCached];
  const int bh = blockIdx.x;
  RankedHead& head = p.work.heads[bh];
  const Interval x = IntervalAfter(p, bh, RankedHead::kRounds, sums);
  if (x.state != Interval::kOpen) {
    if (threadIdx.x == 0) {
      head.rank = x.state == Interval::kAll ? 0u : 0xffffffffu;
      head.row = -1;
      head.mass = 0;
      head.segment = -1;
    }
    return;
  }
  const std::int64_t pairs = static_cast<std::int64_t>(p.query_clusters) * p.key_clusters;
  const std::int32_t* list = p.work.candidates + bh * pairs;
  const float* scores = p.work.scores + bh * pairs;
  const RankedRow* rows = p.work.rows + static_cast<std::int64_t>(bh) * p.query_clusters;
  const ClusterSize* sizes = p.work.sizes + static_cast<std::int64_t>(bh) * p.key_clusters;
  const int count = head.candidates, shift = p.Shift();
  int turn = 0;
  const auto over_block = [&](unsigned long long sum) {
    for (int distance = 16; distance > 0; distance >>= 1) {
      sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    }
    if ((threadIdx.x & 31) == 0) partial[turn][threadIdx.x >> 5] = sum;
    __syncthreads();
    sum = 0;
    for (int w = 0; w < kFinishThreads / 32; ++w) sum += partial[turn][w];
    turn ^= 1;
    return sum;
  };
  for (int n = threadIdx.x; n < min(count, kCached); n += kFinishThreads) {
    const int index = list[n], i = index / p.key_clusters, j = index % p.key_clusters;
    const ClusterSize size = sizes[j];
    ranks[n] = PairOf(rows[i], scores[index], size, j + shift).rank;
    weights[n] = static_cast<unsigned long long>(size.keys) * rows[i].queries;
  }
  __syncthreads();
  // Over the listed pairs for which which(pair, row, segment) holds: of tokens, or how many.
  const auto sum_of = [&](bool tokens, auto which) {
    unsigned long long sum = 0;
    for (int n = threadIdx.x; n < count; n += kFinishThreads) {
      const int index = list[n], i = index / p.key_clusters, j = index % p.key_clusters;
      const RankedRow row = rows[i];
      const ClusterSize size = sizes[j];
      const Pair pair = PairOf(row, scores[index], size, j + shift);
      if (which(pair, i, j + shift)) {
        sum += tokens ? static_cast<unsigned long long>(size.keys) * row.queries : 1;
      }
    }
    return over_block(sum);
  };
  // The same of ranks alone: [first, last].
  const auto sum_of_ranks = [&](bool tokens, std::uint32_t first, std::uint32_t last) {
    if (count > kCached) {
      return sum_of(tokens, [&](Pair c, int, int) { return c.rank >= first && c.rank <= last; });
    }
    unsigned long long sum = 0;
    for (int n = threadIdx.x; n < count; n += kFinishThreads) {
      if (ranks[n] >= first && ranks[n] <= last) sum += tokens ? weights[n] : 1;
    }
    return over_block(sum);
  };
  // The greatest number in [low, high) with `enough(number)`, which holds for low.
  const auto greatest = [&](std::uint32_t low, std::uint64_t high, auto enough) {
    while (high - low > 1) {
      const std::uint32_t middle = static_cast<std::uint32_t>((low + high) / 2);
      if (enough(middle)) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low;
  };
  unsigned long long above = x.above;
  const std::uint32_t rank = greatest(x.low, x.high, [&](std::uint32_t cut) {
    return above + sum_of_ranks(true, cut, x.high - 1) >= x.budget;
  });
  above += rank + 1 == x.high ? 0 : sum_of_ranks(true, rank + 1, x.high - 1);
  int row = INT_MAX, segment = INT_MAX;
  std::uint32_t mass = 0;
  if (sum_of_ranks(false, rank, rank) > 1) {
    // Equals: the last row that begins within the budget, then the same by mass, then by segment.
    row = greatest(0, p.query_clusters, [&](std::uint32_t last) {
      return above + sum_of(true, [&](Pair c, int i, int) {
               return c.rank == rank && i < static_cast<int>(last);
             }) < x.budget;
    });
    above += sum_of(true, [&](Pair c, int i, int) { return c.rank == rank && i < row; });
    mass = greatest(0, 1ull << 32, [&](std::uint32_t cut) {
      return above + sum_of(true, [&](Pair c, int i, int) {
               return c.rank == rank && i == row && c.mass >= cut;
             }) >= x.budget;
    });
    above += sum_of(true, [&](Pair c, int i, int) {
      return c.rank == rank && i == row && c.mass > mass;
    });
    segment = greatest(0, p.key_clusters + shift, [&](std::uint32_t last) {
      return above + sum_of(true, [&](Pair c, int i, int j) {
               return c.rank == rank && i == row && c.mass == mass && j < static_cast<int>(last);
             }) < x.budget;
    });
  }
  if (threadIdx.x == 0) {
    head.rank = rank;
    head.row = row;
    head.mass = mass;
    head.segment = segment;
  }
}

// Writes `keep` from what the search found. A warp a row.
__global__ void __launch_bounds__(kRowWarps * 32) WriteKeep(const ScoreParams p) {
  const int shift = p.Shift();
  const int query_segments = p.query_clusters + p.Text(), key_segments = p.key_clusters + p.Text();
  const int words = KeepWords(key_segments);
  const int bh = blockIdx.y, lane = threadIdx.x & 31;
  const int query_segment = blockIdx.x * kRowWarps + (threadIdx.x >> 5);
  if (query_segment >= query_segments) return;
  const std::int64_t at = (static_cast<std::int64_t>(bh) * query_segments + query_segment) * words;
  if (!ActionPlans(*p.action)) {
    if (p.previous_keep != nullptr && p.previous_keep != p.keep) {
      for (int i = lane; i < words; i += 32) p.keep[at + i] = p.previous_keep[at + i];
    }
    return;
  }
  const int cluster = query_segment - shift;
  const bool text_row = cluster < 0 || cluster >= p.query_clusters;
  const std::int64_t row_at =
      static_cast<std::int64_t>(bh) * p.query_clusters + (text_row ? 0 : cluster);
  const RankedRow row = p.work.rows[row_at];
  const float* scores = p.work.scores + row_at * p.key_clusters;
  const ClusterSize* sizes = p.work.sizes + static_cast<std::int64_t>(bh) * p.key_clusters;
  const RankedHead& last = p.work.heads[bh];
  const std::uint32_t last_rank = last.rank, last_mass = last.mass;
  const int last_row = last.row, last_segment = last.segment;
#pragma unroll 4
  for (int word = 0; word < words; ++word) {
    const int segment = word * 32 + lane, j = segment - shift;
    const int at_cluster = min(max(j, 0), p.key_clusters - 1);
    const Pair pair = PairOf(row, scores[at_cluster], sizes[at_cluster], segment);
    const bool within =  // an equal of the last one that does not come after it
        (cluster < last_row) |
        ((cluster == last_row) & ((pair.mass > last_mass) |
                                  ((pair.mass == last_mass) & (segment <= last_segment))));
    const bool kept_pair =
        pair.anyway | (pair.rank > last_rank) | ((pair.rank == last_rank) & within);
    const bool clustered = (j >= 0) & (j < p.key_clusters) & !text_row;
    const bool bit = (segment < key_segments) & (!clustered | kept_pair);
    const std::uint32_t kept = __ballot_sync(0xffffffffu, bit);
    if (lane == 0) p.keep[at + word] = static_cast<std::int32_t>(kept);
  }
}

Status LaunchSearch(const ScoreParams& p, CUstream_st* stream) {
  const dim3 rows(p.query_clusters, p.batch_heads);
  if (p.key_clusters < 256) {  // and a text segment before them
    RankRows<1, 8><<<rows, 32, 0, stream>>>(p);
  } else if (p.key_clusters < 1024) {
    RankRows<1, 32><<<rows, 32, 0, stream>>>(p);
  } else if (p.key_clusters < 2048) {
    RankRows<2, 32><<<rows, 64, 0, stream>>>(p);
  } else {
    RankRows<5, 32><<<rows, 160, 0, stream>>>(p);
  }
  SPARSEDIT_RETURN_IF_ERROR(LaunchStatus());
  const int warps = kRowWarps;
  const dim3 groups(static_cast<unsigned>(CeilDiv(p.query_clusters, warps)), p.batch_heads);
  for (int round = 0; round < RankedHead::kRounds; ++round) {
    Narrow<false><<<groups, warps * 32, 0, stream>>>(p, round);
    SPARSEDIT_RETURN_IF_ERROR(LaunchStatus());
  }
  Narrow<true><<<groups, warps * 32, 0, stream>>>(p, RankedHead::kRounds);
  SPARSEDIT_RETURN_IF_ERROR(LaunchStatus());
  FinishSearch<<<p.batch_heads, kFinishThreads, 0, stream>>>(p);
  SPARSEDIT_RETURN_IF_ERROR(LaunchStatus());
  const int query_segments =
      SegmentsOf(p.query_clusters, static_cast<TextPosition>(p.text));
  const dim3 all(static_cast<unsigned>(CeilDiv(query_segments, warps)), p.batch_heads);
  WriteKeep<<<all, warps * 32, 0, stream>>>(p);
  return LaunchStatus();
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
  const bool by_head = problem.selection == Selection::kBudgetByMassPerToken;
  SPARSEDIT_REQUIRE(!by_head || IsAligned(b.query_offsets, 4), Status::kInvalidArgument);
  ScoreParams p;
  p.query_centroids = b.query_centroids;
  p.key_centroids = b.key_centroids;
  p.key_offsets = b.key_offsets;
  p.query_offsets = b.query_offsets;
  p.action = b.action;
  p.previous_keep = b.previous_keep;
  p.keep = b.keep;
  p.work = CarvePlanScoresWorkspace(problem, workspace);
  p.batch_heads = problem.batch * problem.heads;
  p.query_clusters = problem.query_clusters;
  p.key_clusters = problem.key_clusters;
  p.head_dim = problem.head_dim;
  p.text = static_cast<int>(problem.text);
  p.scale = problem.scale;
  p.selection = problem.selection;
  p.p = problem.p;
  p.minimum = LeastKept(problem);

  const dim3 tiles(static_cast<unsigned>(CeilDiv(p.key_clusters, kTileColumns)),
                   static_cast<unsigned>(CeilDiv(p.query_clusters, kTileRows)), p.batch_heads);
  Scores<<<tiles, kScoreThreads, 0, stream>>>(p);
  SPARSEDIT_RETURN_IF_ERROR(LaunchStatus());
  if (by_head) return LaunchSearch(p, stream);
  const int segments = SegmentsOf(problem.key_clusters, problem.text);
  const dim3 rows(SegmentsOf(problem.query_clusters, problem.text), p.batch_heads);
  if (segments <= 256) {
    Select<1, 8><<<rows, 32, 0, stream>>>(p);
  } else if (segments <= 512) {
    Select<1, 16><<<rows, 32, 0, stream>>>(p);
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
