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
  AttentionItem* items;
};

__device__ int BucketOf(int keys, int tokens) {
  return kBuckets - 1 - static_cast<int>(static_cast<long long>(keys) * (kBuckets - 1) / tokens);
}

// Items of a query segment of `rows` rows.
__device__ int CountItems(const ScheduleParams& params, int rows) {
  const int total = (rows + params.group_rows - 1) / params.group_rows;
  return (total + params.groups - 1) / params.groups;
}

__device__ void WriteItem(AttentionItem* slot, int head, int segment, int row, int rows, int keys) {
  int4* words = reinterpret_cast<int4*>(slot);
  words[0] = make_int4(head, segment, row, rows);
  words[1] = make_int4(keys, 0, 0, 0);
}

// One block a head.
__global__ void __launch_bounds__(kThreads) ScheduleKernel(const ScheduleParams params) {
  __shared__ int slots[kBuckets];  // items of a bucket, then the next free place of the bucket
  __shared__ int base;
  const int head = blockIdx.x;
  const int tokens = params.shape.tokens;

  if (params.action != nullptr && !ActionIsSparse(*params.action)) {
    const int step = params.group_rows * params.groups;
    const int count = (tokens + step - 1) / step;
    if (threadIdx.x == 0) base = atomicAdd(&params.counters[0], count);
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += kThreads) {
      WriteItem(&params.items[base + i], head, -1, i * step, min(step, tokens - i * step), tokens);
    }
    return;
  }

  const int query_segments = params.shape.query_segments;
  const int key_segments = params.shape.key_segments;
  const int words = KeepWords(key_segments);
  const std::int32_t* query_offsets =
      params.plan.query_offsets + static_cast<std::int64_t>(head) * (query_segments + 1);
  const std::int32_t* key_offsets =
      params.plan.key_offsets + static_cast<std::int64_t>(head) * (key_segments + 1);
  const std::int32_t* keep =
      params.plan.keep + static_cast<std::int64_t>(head) * query_segments * words;
  std::int32_t* costs = params.costs + static_cast<std::int64_t>(head) * query_segments;

  for (int i = threadIdx.x; i < kBuckets; i += kThreads) slots[i] = 0;
  __syncthreads();
  const int lane = threadIdx.x % 32;
  constexpr int kWarps = kThreads / 32;
  for (int first = threadIdx.x / 32; first < query_segments; first += kWarps * kRowsAtOnce) {
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
      const int rows = query_offsets[i + 1] - query_offsets[i];
      if (rows > 0) atomicAdd(&slots[BucketOf(sum, tokens)], CountItems(params, rows));
    }
  }
  __syncthreads();
  if (threadIdx.x < 32) {  // exclusive prefix sum over the buckets
    int carry = 0;
    for (int first = 0; first < kBuckets; first += 32) {
      const int own = slots[first + lane];
      int sum = own;
      for (int distance = 1; distance < 32; distance *= 2) {
        const int other = __shfl_up_sync(0xffffffffu, sum, distance);
        if (lane >= distance) sum += other;
      }
      slots[first + lane] = carry + sum - own;
      carry += __shfl_sync(0xffffffffu, sum, 31);
    }
    if (lane == 0) base = atomicAdd(&params.counters[0], carry);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < query_segments; i += kThreads) {
    const int row = query_offsets[i];
    const int rows = query_offsets[i + 1] - row;
    if (rows <= 0) continue;
    const int count = CountItems(params, rows);
    const int total = (rows + params.group_rows - 1) / params.group_rows;
    const int keys = costs[i];
    const int first = base + atomicAdd(&slots[BucketOf(keys, tokens)], count);
    for (int n = 0; n < count; ++n) {
      const long long part = total;
      const int begin = static_cast<int>(n * part / count) * params.group_rows;
      const int end = min(rows, static_cast<int>((n + 1) * part / count) * params.group_rows);
      WriteItem(&params.items[first + n], head, i, row + begin, end - begin, keys);
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
  ScheduleParams params{args.shape, args.plan,          args.action,     group_rows,
                        groups,     workspace.counters, workspace.costs, workspace.items};
  ScheduleKernel<<<args.shape.batch * args.shape.heads, kThreads, 0, stream>>>(params);
  return LaunchStatus();
}

}  // namespace sparsedit
