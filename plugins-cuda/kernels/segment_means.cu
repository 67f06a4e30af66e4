#include "kernels/segment_means.h"

#include "kernels/segment_sums.cuh"

namespace sparsedit {
namespace {

constexpr int kThreads = 256;

struct MeansParams {
  const void* x[2];
  float* means[2];
  float* partial;          // [tensors][BH][slots][D]
  float* partial_weights;  // [BH][slots]
  const float* key_bias;   // or null
  float* log_sizes;        // or null
  const std::int32_t* order;
  const std::int32_t* offsets;
  const std::int32_t* action;
  std::int64_t batch_stride, head_stride, token_stride;
  int heads, batch_heads, tokens, head_dim, segments;
};

template <typename T>
__device__ SegmentedTokens TokensOf(const MeansParams& p, int tensor, int bh) {
  SegmentedTokens t;
  t.x = static_cast<const T*>(p.x[tensor]) + bh / p.heads * p.batch_stride +
        bh % p.heads * p.head_stride;
  t.token_stride = p.token_stride;
  t.order = p.order == nullptr ? nullptr : p.order + static_cast<std::int64_t>(bh) * p.tokens;
  t.offsets = p.offsets + static_cast<std::int64_t>(bh) * (p.segments + 1);
  t.base = 0;
  t.segments = p.segments;
  t.length = p.tokens;
  t.head_dim = p.head_dim;
  t.log_weights =
      p.key_bias == nullptr ? nullptr
                            : p.key_bias + static_cast<std::int64_t>(bh / p.heads) * p.tokens;
  return t;
}

__device__ inline float* PartialOf(const MeansParams& p, int tensor, int bh) {
  return p.partial + (static_cast<std::int64_t>(tensor) * p.batch_heads + bh) *
                         SumSlots(p.tokens, p.segments) * p.head_dim;
}

__device__ inline float* PartialWeightsOf(const MeansParams& p, int bh) {
  return p.partial_weights + bh * SumSlots(p.tokens, p.segments);
}

__device__ inline bool Skips(const MeansParams& p) {
  return p.action != nullptr && !ActionIsSparse(*p.action);
}

template <typename T, int kLanes, bool kWeighted>
__global__ void __launch_bounds__(kThreads) Sums(const __grid_constant__ MeansParams p) {
  if (Skips(p)) return;
  extern __shared__ __align__(16) char rings[];
  const int chunk = blockIdx.x * (kThreads / 32) + threadIdx.x / 32;
  if (chunk >= SumChunks(p.tokens)) return;
  const int bh = blockIdx.y, tensor = blockIdx.z;
  SumChunkByWarp<T, kLanes, kWeighted>(
      TokensOf<T>(p, tensor, bh), chunk, PartialOf(p, tensor, bh),
      rings + threadIdx.x / 32 * kSumRingBytes, tensor == 0 ? PartialWeightsOf(p, bh) : nullptr);
}

template <typename T, int kLanes, bool kWeighted>
Status LaunchSumsBy(const MeansParams& p, dim3 grid, CUstream_st* stream) {
  constexpr int kShared = kThreads / 32 * kSumRingBytes;
  if (cudaFuncSetAttribute(Sums<T, kLanes, kWeighted>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           kShared) != cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  Sums<T, kLanes, kWeighted><<<grid, kThreads, kShared, stream>>>(p);
  return LaunchStatus();
}

template <typename T>
Status LaunchSums(const MeansParams& p, dim3 grid, CUstream_st* stream) {
  if (p.head_dim <= 64) {
    return p.key_bias == nullptr ? LaunchSumsBy<T, kNarrowSumLanes, false>(p, grid, stream)
                                 : LaunchSumsBy<T, kNarrowSumLanes, true>(p, grid, stream);
  }
  return p.key_bias == nullptr ? LaunchSumsBy<T, kWideSumLanes, false>(p, grid, stream)
                               : LaunchSumsBy<T, kWideSumLanes, true>(p, grid, stream);
}

// What segment [begin, end) weighs in all.
__device__ float WeightOf(const MeansParams& p, int bh, int segment, int begin, int end) {
  if (p.key_bias == nullptr) return static_cast<float>(end - begin);
  const float* partial = PartialWeightsOf(p, bh) + segment;
  float weight = 0.f;
  for (int chunk = begin / kSumChunk; chunk <= (end - 1) / kSumChunk; ++chunk) {
    weight += partial[chunk];
  }
  return weight;
}

__global__ void __launch_bounds__(kThreads) Means(const __grid_constant__ MeansParams p) {
  if (Skips(p)) return;
  const int segment = blockIdx.x * (kThreads / 32) + threadIdx.x / 32;
  const int element = (threadIdx.x & 31) * 4;
  if (segment >= p.segments) return;
  const int bh = blockIdx.y, tensor = blockIdx.z;
  const std::int32_t* offsets = p.offsets + static_cast<std::int64_t>(bh) * (p.segments + 1);
  const int begin = offsets[segment], end = offsets[segment + 1];
  const float weight = end > begin ? WeightOf(p, bh, segment, begin, end) : 0.f;
  if (p.log_sizes != nullptr && tensor == 0 && element == 0) {
    p.log_sizes[static_cast<std::int64_t>(bh) * p.segments + segment] = logf(weight);
  }
  if (element >= p.head_dim) return;
  float4 mean = make_float4(0.f, 0.f, 0.f, 0.f);
  if (weight > 0.f) {
    const float4 sum =
        GatherSums(PartialOf(p, tensor, bh), segment, begin, end, p.head_dim, element);
    mean = make_float4(sum.x / weight, sum.y / weight, sum.z / weight, sum.w / weight);
  }
  *reinterpret_cast<float4*>(
      p.means[tensor] + (static_cast<std::int64_t>(bh) * p.segments + segment) * p.head_dim +
      element) = mean;
}

}  // namespace

Status LaunchSegmentMeans(const SegmentMeansProblem& problem, const SegmentMeansBuffers& b,
                          void* workspace, std::size_t workspace_size, CUstream_st* stream) {
  SPARSEDIT_RETURN_IF_ERROR(CheckSegmentMeans(problem));
  for (int i = 0; i < problem.tensors; ++i) {
    SPARSEDIT_REQUIRE(IsAligned(b.x[i], 16) && IsAligned(b.means[i], 16), Status::kInvalidArgument);
  }
  SPARSEDIT_REQUIRE(b.key_bias == nullptr || IsAligned(b.key_bias, 4), Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(IsAligned(b.offsets, 4) && IsAligned(workspace, 16),
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(workspace_size >= SegmentMeansWorkspaceSize(problem),
                    Status::kWorkspaceTooSmall);
  MeansParams p = {};
  for (int i = 0; i < problem.tensors; ++i) {
    p.x[i] = b.x[i];
    p.means[i] = b.means[i];
  }
  p.partial = static_cast<float*>(workspace);
  p.partial_weights = p.partial + static_cast<std::int64_t>(problem.tensors) * problem.batch *
                                      problem.heads * problem.head_dim *
                                      SumSlots(problem.tokens, problem.segments);
  p.key_bias = b.key_bias;
  p.log_sizes = b.log_sizes;
  p.order = b.order;
  p.offsets = b.offsets;
  p.action = b.action;
  p.heads = problem.heads;
  p.batch_heads = problem.batch * problem.heads;
  p.tokens = problem.tokens;
  p.head_dim = problem.head_dim;
  p.segments = problem.segments;
  const std::int64_t d = problem.head_dim, s = problem.tokens, h = problem.heads;
  const bool head_major = problem.layout == Layout::kBhsd;
  p.batch_stride = h * s * d;
  p.head_stride = head_major ? s * d : d;
  p.token_stride = head_major ? d : h * d;

  const int warps = kThreads / 32;
  const dim3 sums(static_cast<unsigned>(CeilDiv(SumChunks(p.tokens), warps)), p.batch_heads,
                  problem.tensors);
  Status status = Status::kInvalidArgument;
  switch (problem.type) {
    case DataType::kFloat16: status = LaunchSums<__half>(p, sums, stream); break;
    case DataType::kBFloat16: status = LaunchSums<__nv_bfloat16>(p, sums, stream); break;
    case DataType::kFloat32: status = LaunchSums<float>(p, sums, stream); break;
  }
  SPARSEDIT_RETURN_IF_ERROR(status);
  const dim3 means(static_cast<unsigned>(CeilDiv(p.segments, warps)), p.batch_heads,
                   problem.tensors);
  Means<<<means, kThreads, 0, stream>>>(p);
  return LaunchStatus();
}

}  // namespace sparsedit
