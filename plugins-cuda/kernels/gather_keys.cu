#include "kernels/gather_keys.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/fragment_math.h"
#include "kernels/strides.h"

namespace sparsedit {
namespace {

constexpr int kThreads = 256;
constexpr int kRowsPerBlock = 256;
constexpr int kUnroll = 4;

struct GatherParams {
  const void* source[2];   // k, v
  const float* means[2];   // or null
  const float* key_bias;    // or null
  const float* means_bias;  // or null
  void* destination[2];
  float* biases;
  const std::int32_t* order;  // or null
  const std::int32_t* offsets;
  const AttentionHead* head_plans;
  const std::int32_t* action;
  Strides strides;
  int heads, tokens, means_rows;
};

// The bias of a row of the destination; `token` is that of a row of keys.
__device__ float BiasOf(const GatherParams& params, int head, int row, int token) {
  if (row < params.tokens) {
    return params.key_bias == nullptr
               ? 0.0f
               : params.key_bias[static_cast<std::int64_t>(head / params.heads) * params.tokens +
                                 token];
  }
  const int segment = row - params.tokens;
  const std::int32_t* offsets =
      params.offsets + static_cast<std::int64_t>(head) * (params.means_rows + 1) + segment;
  const int size = offsets[1] - offsets[0];
  if (size <= 0) return kNegativeInfinity;
  return params.means_bias == nullptr
             ? __logf(static_cast<float>(size))
             : params.means_bias[static_cast<std::int64_t>(head) * params.means_rows + segment];
}

// Grid: x over rows, y over heads. A thread moves 16 bytes of keys and of values at a time.
template <typename T, int kHeadDim>
__global__ void __launch_bounds__(kThreads) GatherKernel(const GatherParams params) {
  if (params.action != nullptr && !ActionIsSparse(*params.action)) return;
  constexpr int chunks = kHeadDim / 8;  // 16-byte chunks of a row
  const int head = blockIdx.y;
  const int rows = params.tokens + params.means_rows;
  int first = blockIdx.x * kRowsPerBlock;
  if (params.head_plans[head].ordered == 0) first = max(first, params.tokens);
  const int last = min(rows, (static_cast<int>(blockIdx.x) + 1) * kRowsPerBlock);
  const std::int64_t from = (head / params.heads) * params.strides.batch +
                            (head % params.heads) * params.strides.head;
  const std::int64_t to = static_cast<std::int64_t>(head) * rows;
  const std::int32_t* order =
      params.order == nullptr ? nullptr
                              : params.order + static_cast<std::int64_t>(head) * params.tokens;
  const auto token_of = [&](int row) {
    return order == nullptr || row >= params.tokens ? row : order[row];
  };
  if (params.key_bias != nullptr || params.means_rows > 0) {
    for (int row = first + threadIdx.x; row < last; row += kThreads) {
      params.biases[to + row] = BiasOf(params, head, row, token_of(row));
    }
  }
  for (int start = first * chunks + threadIdx.x; start < last * chunks;
       start += kThreads * kUnroll) {
    uint4 values[2][kUnroll];
#pragma unroll
    for (int n = 0; n < kUnroll; ++n) {
      const int index = start + n * kThreads;
      if (index >= last * chunks) break;
      const int row = index / chunks, chunk = index % chunks;
      const int token = token_of(row);
#pragma unroll
      for (int side = 0; side < 2; ++side) {
        if (row < params.tokens) {
          const T* source = static_cast<const T*>(params.source[side]) + from;
          values[side][n] =
              __ldg(reinterpret_cast<const uint4*>(source + token * params.strides.token) + chunk);
        } else {
          const float4* mean = reinterpret_cast<const float4*>(
              params.means[side] + (static_cast<std::int64_t>(head) * params.means_rows + row -
                                    params.tokens) * kHeadDim + chunk * 8);
          const float4 a = mean[0], b = mean[1];
          values[side][n] = make_uint4(Pack(a.x, a.y, T()), Pack(a.z, a.w, T()),
                                       Pack(b.x, b.y, T()), Pack(b.z, b.w, T()));
        }
      }
    }
#pragma unroll
    for (int n = 0; n < kUnroll; ++n) {
      const int index = start + n * kThreads;
      if (index >= last * chunks) break;
#pragma unroll
      for (int side = 0; side < 2; ++side) {
        static_cast<uint4*>(params.destination[side])[to * chunks + index] = values[side][n];
      }
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
                      args.key_bias,
                      args.means_bias,
                      {workspace.keys, workspace.values},
                      workspace.biases,
                      args.plan.key_order,
                      args.plan.key_offsets,
                      workspace.heads,
                      args.action,
                      KeyStridesOf(args.shape, args.head_dim, args.layout),
                      args.shape.heads,
                      KeyTokens(args.shape),
                      args.means_k == nullptr ? 0 : args.shape.key_segments};
  const dim3 grid(static_cast<unsigned>(CeilDiv(params.tokens + params.means_rows, kRowsPerBlock)),
                  args.shape.batch * args.shape.heads);
  if (args.type == DataType::kBFloat16) {
    LaunchForType<__nv_bfloat16>(params, args.head_dim, grid, stream);
  } else {
    LaunchForType<__half>(params, args.head_dim, grid, stream);
  }
  return LaunchStatus();
}

}  // namespace sparsedit
