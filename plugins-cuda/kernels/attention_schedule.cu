#include "kernels/attention_schedule.h"

namespace sparsedit {
namespace {

constexpr int kThreads = 512;
constexpr int kBuckets = 256;

struct ScheduleParams {
  PlanShape shape;
  PlanView plan;
  const std::int32_t* action;
  int rows_per_item;
  std::int32_t* counters;
  std::int32_t* costs;
  AttentionItem* items;
};

__device__ int BucketOf(int keys, int tokens) {
  return kBuckets - 1 - static_cast<int>(static_cast<long long>(keys) * (kBuckets - 1) / tokens);
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
  const int step = params.rows_per_item;

  if (params.action != nullptr && !ActionIsSparse(*params.action)) {
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
  for (int i = threadIdx.x / 32; i < query_segments; i += kThreads / 32) {
    const std::int32_t* row = keep + static_cast<std::int64_t>(i) * words;
    int keys = 0;
    for (int word = 0; word < words; ++word) {
      const int j = word * 32 + lane;
      if (j < key_segments && (static_cast<unsigned>(row[word]) >> lane & 1u) != 0) {
        keys += key_offsets[j + 1] - key_offsets[j];
      }
    }
    keys = __reduce_add_sync(0xffffffffu, keys);
    const int rows = query_offsets[i + 1] - query_offsets[i];
    if (lane == 0) {
      costs[i] = keys;
      if (rows > 0) atomicAdd(&slots[BucketOf(keys, tokens)], (rows + step - 1) / step);
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
    const int count = (rows + step - 1) / step;
    const int keys = costs[i];
    const int first = base + atomicAdd(&slots[BucketOf(keys, tokens)], count);
    for (int n = 0; n < count; ++n) {
      WriteItem(&params.items[first + n], head, i, row + n * step, min(step, rows - n * step),
                keys);
    }
  }
}

}  // namespace

Status LaunchAttentionSchedule(const BlockSparseAttentionArgs& args, int rows_per_item,
                               const BlockSparseAttentionWorkspace& workspace,
                               CUstream_st* stream) {
  if (cudaMemsetAsync(workspace.counters, 0, 2 * sizeof(std::int32_t), stream) != cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  ScheduleParams params{args.shape,         args.plan,       args.action,    rows_per_item,
                        workspace.counters, workspace.costs, workspace.items};
  ScheduleKernel<<<args.shape.batch * args.shape.heads, kThreads, 0, stream>>>(params);
  return LaunchStatus();
}

}  // namespace sparsedit
