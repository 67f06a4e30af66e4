#include "kernels/gather_keys.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/strides.h"

namespace sparsedit {
namespace {

constexpr int kThreads = 256;
constexpr int kRowsPerBlock = 256;
constexpr int kUnroll = 8;

struct GatherParams {
  const void* source[2];   // k, v
  const float* means[2];   // or null
  void* destination[2];
  const std::int32_t* order;  // or null
  const AttentionHead* head_plans;
  const std::int32_t* action;
  Strides strides;
  int heads, tokens, means_rows;
};

__device__ std::uint32_t PackPair(float low, float high, __nv_bfloat16) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}
__device__ std::uint32_t PackPair(float low, float high, __half) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

// Grid: x over rows, y over heads, z 0 for keys and 1 for values. A thread moves 16 bytes a time.
template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kThreads) GatherKernel(const GatherParams params) {
  if (params.action != nullptr && !ActionIsSparse(*params.action)) return;
  constexpr int chunks = kHeadDim / 8;  // 16-byte chunks of a row
  const int head = blockIdx.y;
  const int side = blockIdx.z;
  const int rows = params.tokens + params.means_rows;
  const T* source = static_cast<const T*>(params.source[side]) +
                    (head / params.heads) * params.strides.batch +
                    (head % params.heads) * params.strides.head;
  T* destination = static_cast<T*>(params.destination[side]) +
                   static_cast<std::int64_t>(head) * rows * kHeadDim;
  const std::int32_t* order =
      params.order == nullptr ? nullptr
                              : params.order + static_cast<std::int64_t>(head) * params.tokens;
  int first = blockIdx.x * kRowsPerBlock * chunks;
  if (params.head_plans[head].ordered == 0) first = max(first, params.tokens * chunks);
  const int last = min(rows, (static_cast<int>(blockIdx.x) + 1) * kRowsPerBlock) * chunks;
  for (int start = first + threadIdx.x; start < last; start += kThreads * kUnroll) {
    uint4 values[kUnroll];
#pragma unroll
    for (int n = 0; n < kUnroll; ++n) {
      const int index = start + n * kThreads;
      if (index >= last) break;
      const int row = index / chunks, chunk = index % chunks;
      if (row < params.tokens) {
        const int token = order == nullptr ? row : order[row];
        values[n] =
            __ldg(reinterpret_cast<const uint4*>(source + token * params.strides.token) + chunk);
      } else {
        const float4* mean = reinterpret_cast<const float4*>(
            params.means[side] + (static_cast<std::int64_t>(head) * params.means_rows + row -
                                  params.tokens) * kHeadDim + chunk * 8);
        const float4 a = mean[0], b = mean[1];
        values[n] = make_uint4(PackPair(a.x, a.y, T()), PackPair(a.z, a.w, T()),
                               PackPair(b.x, b.y, T()), PackPair(b.z, b.w, T()));
      }
    }
#pragma unroll
    for (int n = 0; n < kUnroll; ++n) {
      const int index = start + n * kThreads;
      if (index >= last) break;
      reinterpret_cast<uint4*>(destination)[index] = values[n];
    }
  }
}

template <typename T>
void LaunchForType(const GatherParams& params, int head_dim, dim3 grid, CUstream_st* stream) {
  if (head_dim == 128) {
    GatherKernel<T, 128><<<grid, kThreads, 0, stream>>>(params);
  } else {
    GatherKernel<T, 64><<<grid, kThreads, 0, stream>>>(params);
  }
}

}  // namespace

Status LaunchGatherKeys(const BlockSparseAttentionArgs& args,
                        const BlockSparseAttentionWorkspace& workspace, CUstream_st* stream) {
  SPARSEDIT_REQUIRE(HasFastAttention(args.type, args.head_dim),
                    Status::kUnsupported);
  SPARSEDIT_REQUIRE(args.means_k == nullptr ||
                        (IsAligned(args.means_k, 16) && IsAligned(args.means_v, 16)),
                    Status::kInvalidArgument);
  if (args.plan.key_order == nullptr && args.means_k == nullptr) return Status::kOk;
  GatherParams params{{args.k, args.v},
                      {args.means_k, args.means_v},
                      {workspace.keys, workspace.values},
                      args.plan.key_order,
                      workspace.heads,
                      args.action,
                      StridesOf(args.shape, args.head_dim, args.layout),
                      args.shape.heads,
                      args.shape.tokens,
                      args.means_k == nullptr ? 0 : args.shape.key_segments};
  const dim3 grid(static_cast<unsigned>(CeilDiv(params.tokens + params.means_rows, kRowsPerBlock)),
                  args.shape.batch * args.shape.heads, 2);
  if (args.type == DataType::kBFloat16) {
    LaunchForType<__nv_bfloat16>(params, args.head_dim, grid, stream);
  } else {
    LaunchForType<__half>(params, args.head_dim, grid, stream);
  }
  return LaunchStatus();
}

}  // namespace sparsedit
