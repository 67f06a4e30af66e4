#include "kernels/attention_schedule.h"

namespace sparsedit {
namespace {

constexpr int kThreads = 1024;
constexpr int kRowsAtOnce = 10;  // query segments that a warp counts in one pass over the keys
constexpr int kBuckets = 256;

struct ScheduleParams {
  PlanShape shape;
  PlanView plan;
  const std::int32_t* action;
  int group_rows, groups;
  std::int32_t* counters;
  std::int32_t* costs;
  std::int32_t* rests[2];
  AttentionItem* items;
};

__device__ int BucketOf(int keys, int tokens) {
  return kBuckets - 1 - static_cast<int>(static_cast<long long>(keys) * (kBuckets - 1) / tokens);
}

__device__ void WriteItem(AttentionItem* slot, int head, int4 first, int4 second) {
  int4* words = reinterpret_cast<int4*>(slot);
  words[0] = make_int4(head, 0, 0, 0);
  words[1] = first;
  words[2] = second;
}

// One block a head.
__global__ void __launch_bounds__(kThreads) ScheduleKernel(const ScheduleParams params) {
  // Of full items, rests of one and of two groups: how many a bucket has, then its next free place.
  __shared__ int slots[3][kBuckets];
  __shared__ int totals[3];
  __shared__ int base;
  const int head = blockIdx.x;
  const int tokens = params.shape.tokens;
  const int group_rows = params.group_rows, groups = params.groups;
  const int4 none = make_int4(0, 0, 0, 0);

  if (params.action != nullptr && !ActionIsSparse(*params.action)) {
    const int step = group_rows * groups;
    const int count = (tokens + step - 1) / step;
    if (threadIdx.x == 0) base = atomicAdd(&params.counters[0], count);
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += kThreads) {
      WriteItem(&params.items[base + i], head,
                make_int4(-1, i * step, min(step, tokens - i * step), tokens), none);
    }
    return;
  }

  const int query_segments = params.shape.query_segments;
  const int key_segments = params.shape.key_segments;
  const int words = KeepWords(key_segments);
  const std::int64_t segments_at = static_cast<std::int64_t>(head) * query_segments;
  const std::int32_t* query_offsets =
      params.plan.query_offsets + static_cast<std::int64_t>(head) * (query_segments + 1);
  const std::int32_t* key_offsets =
      params.plan.key_offsets + static_cast<std::int64_t>(head) * (key_segments + 1);
  const std::int32_t* keep = params.plan.keep + segments_at * words;
  std::int32_t* costs = params.costs + segments_at;
  std::int32_t* rests[2] = {params.rests[0] + segments_at, params.rests[1] + segments_at};
  const auto rows_of = [&](int i) { return query_offsets[i + 1] - query_offsets[i]; };
  const auto groups_of = [&](int i) { return (rows_of(i) + group_rows - 1) / group_rows; };

  for (int i = threadIdx.x; i < 3 * kBuckets; i += kThreads) slots[i / kBuckets][i % kBuckets] = 0;
  __syncthreads();
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  constexpr int kWarps = kThreads / 32;
  for (int first = warp; first < query_segments; first += kWarps * kRowsAtOnce) {
    int keys[kRowsAtOnce] = {};
    for (int word = 0; word < words; ++word) {
      const int j = word * 32 + lane;
      const int size = j < key_segments ? key_offsets[j + 1] - key_offsets[j] : 0;
#pragma unroll
      for (int n = 0; n < kRowsAtOnce; ++n) {
        const int i = min(first + n * kWarps, query_segments - 1);
        const unsigned bits = keep[static_cast<std::int64_t>(i) * words + word];
        keys[n] += (bits >> lane & 1u) != 0 ? size : 0;
      }
    }
#pragma unroll
    for (int n = 0; n < kRowsAtOnce; ++n) {
      const int i = first + n * kWarps;
      const int sum = __reduce_add_sync(0xffffffffu, keys[n]);
      if (lane != 0 || i >= query_segments) continue;
      costs[i] = sum;
      const int bucket = BucketOf(sum, tokens), own = groups_of(i);
      if (own >= groups) atomicAdd(&slots[0][bucket], own / groups);
      if (own % groups != 0) atomicAdd(&slots[own % groups][bucket], 1);
    }
  }
  __syncthreads();
  if (warp < 3) {  // exclusive prefix sums over the buckets
    int carry = 0;
    for (int first = 0; first < kBuckets; first += 32) {
      const int own = slots[warp][first + lane];
      int sum = own;
      for (int distance = 1; distance < 32; distance *= 2) {
        const int other = __shfl_up_sync(0xffffffffu, sum, distance);
        if (lane >= distance) sum += other;
      }
      slots[warp][first + lane] = carry + sum - own;
      carry += __shfl_sync(0xffffffffu, sum, 31);
    }
    if (lane == 0) totals[warp] = carry;
  }
  __syncthreads();
  const int full = totals[0];
  const int split = max(0, totals[2] - totals[1]) / 3;  // twos that become ones
  const int ones = totals[1] + 2 * split, twos = totals[2] - split;
  const int pairs = min(ones, twos);
  const int shared_items = twos + (ones - pairs + 1) / 2;
  if (threadIdx.x == 0) base = atomicAdd(&params.counters[0], full + shared_items);
  __syncthreads();

  for (int i = threadIdx.x; i < query_segments; i += kThreads) {
    const int own = groups_of(i), keys = costs[i], bucket = BucketOf(keys, tokens);
    if (own >= groups) {
      const int count = own / groups;
      const int first = base + atomicAdd(&slots[0][bucket], count);
      const int step = groups * group_rows;
      for (int n = 0; n < count; ++n) {
        WriteItem(&params.items[first + n], head,
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
    WriteItem(&params.items[base + full + n], head, swap ? second : first, swap ? first : second);
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

Status LaunchAttentionSchedule(const BlockSparseAttentionArgs& args, int group_rows,
                               int groups, const BlockSparseAttentionWorkspace& workspace,
                               CUstream_st* stream) {
  if (cudaMemsetAsync(workspace.counters, 0, 2 * sizeof(std::int32_t), stream) != cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  SPARSEDIT_REQUIRE(group_rows > 0 && (groups == 1 || groups == 3), Status::kInvalidArgument);
  ScheduleParams params{args.shape,
                        args.plan,
                        args.action,
                        group_rows,
                        groups,
                        workspace.counters,
                        workspace.costs,
                        {workspace.rests[0], workspace.rests[1]},
                        workspace.items};
  ScheduleKernel<<<args.shape.batch * args.shape.heads, kThreads, 0, stream>>>(params);
  return LaunchStatus();
}

}  // namespace sparsedit
