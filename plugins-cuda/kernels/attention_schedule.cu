#include "kernels/attention_schedule.h"

namespace sparsedit {
namespace {

constexpr int kThreads = 1024;
constexpr int kCountWarps = 8;
constexpr int kRowsAtOnce = 4;  // query segments that a warp counts in one pass over the keys
constexpr int kBuckets = 256;
// Tiles of 64 keys may be filled to no less than this, in 1/32, for a head to be dealt as runs.
constexpr int kFilled = 31;
// Keys of a run, on average, from which on runs are long.
constexpr int kLongRun = 640;

struct ScheduleParams {
  PlanShape shape;
  PlanView plan;
  const std::int32_t* action;
  const float* key_bias;  // null off the fast path
  int group_rows, groups;
  BlockSparseAttentionWorkspace work;
};

__device__ int BucketOf(int keys, int tokens) {
  return kBuckets - 1 - static_cast<int>(static_cast<long long>(keys) * (kBuckets - 1) / tokens);
}

// `head` is the item's first words.
__device__ void WriteItem(AttentionItem* slot, int4 head, int4 first, int4 second) {
  int4* words = reinterpret_cast<int4*>(slot);
  words[0] = head;
  words[1] = first;
  words[2] = second;
  words[3] = make_int4(0, 0, 0, 0);
}

// Whether the head has an order of its own (`order` is null where all are natural), and where the
// keys with a bias lie. All blocks of a head take part.
__device__ void ReadOrder(const ScheduleParams& params, int head, const std::int32_t* order) {
  const int tokens = KeyTokens(params.shape);
  const int batch = head / params.shape.heads;
  const float* bias = params.key_bias == nullptr
                          ? nullptr
                          : params.key_bias + static_cast<std::int64_t>(batch) * tokens;
  if (order == nullptr && bias == nullptr) return;
  bool ordered = false;
  int rest = 0, to = 0;
#pragma unroll 4
  for (int p = blockIdx.x * blockDim.x + threadIdx.x; p < tokens; p += gridDim.x * blockDim.x) {
    const int token = order == nullptr ? p : order[p];
    ordered = ordered || token != p;
    if (bias != nullptr && bias[token] != 0.0f) {
      rest = max(rest, tokens - p);
      to = p + 1;
    }
  }
  AttentionHead& of_head = params.work.heads[head];
  ordered = __any_sync(0xffffffffu, ordered);
  rest = __reduce_max_sync(0xffffffffu, rest);
  to = __reduce_max_sync(0xffffffffu, to);
  if (threadIdx.x % 32 != 0) return;
  if (ordered) of_head.ordered = 1;
  if (to > 0) {
    atomicMax(&of_head.biased_rest, rest);
    atomicMax(&of_head.biased_to, to);
  }
}

// Keys and runs of kept segments of every query segment, and what ReadOrder tells.
// Grid: x over query segments, y over heads.
__global__ void __launch_bounds__(kCountWarps * 32) CountKernel(const ScheduleParams params) {
  const int head = blockIdx.y;
  if (params.action != nullptr && !ActionIsSparse(*params.action)) {
    ReadOrder(params, head, nullptr);
    return;
  }
  ReadOrder(params, head,
            params.plan.key_order == nullptr
                ? nullptr
                : params.plan.key_order + static_cast<std::int64_t>(head) * KeyTokens(params.shape));
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int query_segments = params.shape.query_segments;
  const int key_segments = params.shape.key_segments;
  const int words = KeepWords(key_segments);
  const std::int64_t segments_at = static_cast<std::int64_t>(head) * query_segments;
  const std::int32_t* key_offsets =
      params.plan.key_offsets + static_cast<std::int64_t>(head) * (key_segments + 1);
  const std::int32_t* keep = params.plan.keep + segments_at * words;
  AttentionHead& of_head = params.work.heads[head];

  const int first = (blockIdx.x * kCountWarps + warp) * kRowsAtOnce;
  if (first >= query_segments) return;
  int keys[kRowsAtOnce] = {}, runs[kRowsAtOnce] = {};
  unsigned last[kRowsAtOnce] = {};  // the word before
  for (int word = 0; word < words; ++word) {
    const int j = word * 32 + lane;
    const int size = j < key_segments ? key_offsets[j + 1] - key_offsets[j] : 0;
#pragma unroll
    for (int n = 0; n < kRowsAtOnce; ++n) {
      const int i = min(first + n, query_segments - 1);
      const unsigned bits = keep[static_cast<std::int64_t>(i) * words + word];
      keys[n] += (bits >> lane & 1u) != 0 ? size : 0;
      runs[n] += __popc(bits & ~(bits << 1 | last[n] >> 31));
      last[n] = bits;
    }
  }
  int all_runs = 0;
  unsigned long long all_keys = 0;
#pragma unroll
  for (int n = 0; n < kRowsAtOnce; ++n) {
    const int sum = __reduce_add_sync(0xffffffffu, keys[n]);
    if (first + n >= query_segments) break;
    if (lane == 0) params.work.costs[segments_at + first + n] = sum;
    all_runs += runs[n];
    all_keys += sum;
  }
  if (lane == 0) {
    atomicAdd(&of_head.runs, all_runs);
    atomicAdd(&of_head.keys, all_keys);
  }
}

// The sum of `value` over the block, in all threads, and over the threads before in `before`.
__device__ int SumOfBlock(int value, int* before, int* shared) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int sum = value;
  for (int distance = 1; distance < 32; distance *= 2) {
    const int other = __shfl_up_sync(0xffffffffu, sum, distance);
    if (lane >= distance) sum += other;
  }
  __syncthreads();
  if (lane == 31) shared[warp] = sum;
  __syncthreads();
  int all = 0, earlier = 0;
  for (int w = 0; w < kThreads / 32; ++w) {
    if (w < warp) earlier += shared[w];
    all += shared[w];
  }
  *before = earlier + sum - value;
  return all;
}

// Exclusive prefix sums over kBuckets numbers in place, by one warp; returns their sum.
__device__ int SumBuckets(int* buckets) {
  const int lane = threadIdx.x % 32;
  int carry = 0;
  for (int first = 0; first < kBuckets; first += 32) {
    const int own = buckets[first + lane];
    int sum = own;
    for (int distance = 1; distance < 32; distance *= 2) {
      const int other = __shfl_up_sync(0xffffffffu, sum, distance);
      if (lane >= distance) sum += other;
    }
    buckets[first + lane] = carry + sum - own;
    carry += __shfl_sync(0xffffffffu, sum, 31);
  }
  return carry;
}

// One block a head.
__global__ void __launch_bounds__(kThreads) ScheduleKernel(const ScheduleParams params) {
  // Of full items, rests of one and of two groups: how many a bucket has, then its next free place.
  __shared__ int slots[3][kBuckets];
  __shared__ int totals[3];
  __shared__ int base;
  __shared__ int warps[kThreads / 32];
  const int head = blockIdx.x;
  const int queries = params.shape.tokens, tokens = KeyTokens(params.shape);
  const int group_rows = params.group_rows, groups = params.groups;
  const int4 none = make_int4(0, 0, 0, 0);
  AttentionQueue* queue = params.work.queues;
  AttentionItem* items = params.work.items[0];
  const AttentionHead of_head = params.work.heads[head];
  const int4 head_words =
      make_int4(head, of_head.ordered,
                of_head.biased_to == 0 ? 0 : tokens - of_head.biased_rest, of_head.biased_to);

  if (params.action != nullptr && !ActionIsSparse(*params.action)) {
    const int step = group_rows * groups;
    const int count = (queries + step - 1) / step;
    if (threadIdx.x == 0) base = atomicAdd(&queue->made, count);
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += kThreads) {
      WriteItem(&items[base + i], head_words,
                make_int4(-1, i * step, min(step, queries - i * step), tokens), none);
    }
    return;
  }

  const int query_segments = params.shape.query_segments;
  const int key_segments = params.shape.key_segments;
  const std::int64_t segments_at = static_cast<std::int64_t>(head) * query_segments;
  const std::int32_t* query_offsets =
      params.plan.query_offsets + static_cast<std::int64_t>(head) * (query_segments + 1);
  const std::int32_t* key_offsets =
      params.plan.key_offsets + static_cast<std::int64_t>(head) * (key_segments + 1);
  const std::int32_t* costs = params.work.costs + segments_at;
  // Segments that leave one group over, and two, those with the most keys first.
  std::int32_t* rests[2] = {params.work.rests + 2 * segments_at,
                            params.work.rests + 2 * segments_at + query_segments};
  const auto rows_of = [&](int i) { return query_offsets[i + 1] - query_offsets[i]; };
  const auto groups_of = [&](int i) { return (rows_of(i) + group_rows - 1) / group_rows; };

  for (int i = threadIdx.x; i < 3 * kBuckets; i += kThreads) slots[i / kBuckets][i % kBuckets] = 0;

  if (groups == kAttentionGroups) {
    int filled = 0, all_groups = 0, in_full = 0;
    for (int j = threadIdx.x; j < key_segments; j += kThreads) {
      filled += (key_offsets[j + 1] - key_offsets[j] + 63) / 64 * 64;
    }
    for (int i = threadIdx.x; i < query_segments; i += kThreads) {
      all_groups += groups_of(i);
      in_full += groups_of(i) / groups * groups;
    }
    int before;
    filled = SumOfBlock(filled, &before, warps);
    all_groups = SumOfBlock(all_groups, &before, warps);
    in_full = SumOfBlock(in_full, &before, warps);
    if (filled * kFilled <= tokens * 32 && 2 * in_full < all_groups) {
      const bool is_long =
          of_head.keys >= static_cast<unsigned long long>(of_head.runs) * kLongRun;
      const int kind = static_cast<int>(is_long ? AttentionKind::kLongRuns
                                                : AttentionKind::kShortRuns);
      queue += kind;
      items = params.work.items[kind];
      // First the cost of each item, then its place. At most four thirds of the segments are items:
      // groups in threes are fewer than half of them, and others at most two a segment.
      std::int32_t* places = rests[0];
      const int count = (all_groups + groups - 1) / groups;
      for (int n = threadIdx.x; n < count; n += kThreads) places[n] = 0;
      __syncthreads();
      const auto each_group = [&](auto visit) {
        int start = 0;
        for (int first = 0; first < query_segments; first += kThreads) {
          const int i = first + static_cast<int>(threadIdx.x);
          const int own = i < query_segments ? groups_of(i) : 0;
          int earlier;
          const int all = SumOfBlock(own, &earlier, warps);
          for (int n = 0; n < own; ++n) visit(i, n, start + earlier + n);
          start += all;
        }
      };
      each_group([&](int i, int, int group) { atomicMax(&places[group / groups], costs[i]); });
      __syncthreads();
      for (int n = threadIdx.x; n < count; n += kThreads) {
        atomicAdd(&slots[0][BucketOf(places[n], tokens)], 1);
      }
      __syncthreads();
      if (threadIdx.x < 32) SumBuckets(slots[0]);
      if (threadIdx.x == 0) base = atomicAdd(&queue->made, count);
      __syncthreads();
      for (int n = threadIdx.x; n < count; n += kThreads) {
        places[n] = base + atomicAdd(&slots[0][BucketOf(places[n], tokens)], 1);
      }
      __syncthreads();
      each_group([&](int i, int n, int group) {
        int4* words = reinterpret_cast<int4*>(&items[places[group / groups]]);
        const int row = query_offsets[i] + n * group_rows;
        words[1 + group % groups] =
            make_int4(i, row, min(group_rows, query_offsets[i + 1] - row), costs[i]);
        if (group % groups == 0) words[0] = head_words;
        if (group == all_groups - 1) {
          for (int rest = group % groups + 1; rest < groups; ++rest) words[1 + rest] = none;
        }
      });
      return;
    }
  }
  __syncthreads();
  const int warp = threadIdx.x / 32;
  for (int i = threadIdx.x; i < query_segments; i += kThreads) {
    const int bucket = BucketOf(costs[i], tokens), own = groups_of(i);
    if (own >= groups) atomicAdd(&slots[0][bucket], own / groups);
    if (own % groups != 0) atomicAdd(&slots[own % groups][bucket], 1);
  }
  __syncthreads();
  if (warp < 3) {
    const int total = SumBuckets(slots[warp]);
    if (threadIdx.x % 32 == 0) totals[warp] = total;
  }
  __syncthreads();
  const int full = totals[0];
  const int split = max(0, totals[2] - totals[1]) / 3;  // twos that become ones
  const int ones = totals[1] + 2 * split, twos = totals[2] - split;
  const int pairs = min(ones, twos);
  const int shared_items = twos + (ones - pairs + 1) / 2;
  if (threadIdx.x == 0) base = atomicAdd(&queue->made, full + shared_items);
  __syncthreads();

  for (int i = threadIdx.x; i < query_segments; i += kThreads) {
    const int own = groups_of(i), keys = costs[i], bucket = BucketOf(keys, tokens);
    if (own >= groups) {
      const int count = own / groups;
      const int first = base + atomicAdd(&slots[0][bucket], count);
      const int step = groups * group_rows;
      for (int n = 0; n < count; ++n) {
        WriteItem(&items[first + n], head_words,
                  make_int4(i, query_offsets[i] + n * step, min(step, rows_of(i) - n * step), keys),
                  none);
      }
    }
    const int rest = own % groups;
    if (rest != 0) rests[rest - 1][atomicAdd(&slots[rest][bucket], 1)] = i;
  }
  __syncthreads();
  // The part with more keys comes first.
  const auto write_shared = [&](int n, int4 first, int4 second) {
    const bool swap = second.w > first.w;
    WriteItem(&items[base + full + n], head_words, swap ? second : first, swap ? first : second);
  };
  const auto part_of = [&](int i, int first_group, int count) {
    const int skipped = first_group * group_rows;
    return make_int4(i, query_offsets[i] + skipped,
                     min(rows_of(i) - skipped, count * group_rows), costs[i]);
  };
  const auto two = [&](int n) {
    const int i = rests[1][n];
    return part_of(i, groups_of(i) - 2, 2);
  };
  const auto one = [&](int n) {
    const int i = n < totals[1] ? rests[0][n] : rests[1][twos + (n - totals[1]) / 2];
    return part_of(i, groups_of(i) - (n < totals[1] ? 1 : 2 - (n - totals[1]) % 2), 1);
  };
  for (int n = threadIdx.x; n < shared_items; n += kThreads) {
    if (n < twos) {
      write_shared(n, two(n), n < pairs ? one(n) : none);
    } else {
      const int first = pairs + 2 * (n - twos);
      write_shared(n, one(first), first + 1 < ones ? one(first + 1) : none);
    }
  }
}

}  // namespace

Status LaunchAttentionSchedule(const BlockSparseAttentionArgs& args, bool fast,
                               const BlockSparseAttentionWorkspace& workspace,
                               CUstream_st* stream) {
  if (cudaMemsetAsync(workspace.queues, 0, workspace.zeroed, stream) != cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  const ScheduleParams params{args.shape,
                              args.plan,
                              args.action,
                              fast ? args.key_bias : nullptr,
                              fast ? kAttentionGroupRows : kPortableAttentionRows,
                              fast ? kAttentionGroups : 1,
                              workspace};
  const int heads = args.shape.batch * args.shape.heads;
  const dim3 counting(
      static_cast<unsigned>(CeilDiv(args.shape.query_segments, kCountWarps * kRowsAtOnce)), heads);
  CountKernel<<<counting, kCountWarps * 32, 0, stream>>>(params);
  SPARSEDIT_RETURN_IF_ERROR(LaunchStatus());
  ScheduleKernel<<<heads, kThreads, 0, stream>>>(params);
  return LaunchStatus();
}

}  // namespace sparsedit
