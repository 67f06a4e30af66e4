// Sums of tokens over the segments of an order, in a fixed order whatever the grid. Device code
// shared by k-means (centroid update) and the segment means of compensation.
//
// A warp sums one chunk and writes a partial sum for every segment that the chunk meets
// (segment_slots.h); a second pass adds a segment's partial sums by chunk.
#ifndef SPARSEDIT_KERNELS_SEGMENT_SUMS_CUH_
#define SPARSEDIT_KERNELS_SEGMENT_SUMS_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/segment_slots.h"

namespace sparsedit {

// One head's tokens in order. Segment j holds positions [offsets[j], offsets[j+1]) - base, and
// position p is token order[p], or p where order is null.
struct SegmentedTokens {
  const void* x;                // token 0 of this head
  std::int64_t token_stride;    // elements
  const std::int32_t* order;
  const std::int32_t* offsets;  // segments + 1
  int base;
  int segments;
  int length;                   // positions
  int head_dim;
  const float* log_weights = nullptr;  // of tokens, or null: every token weighs 1
};

// Four consecutive elements of a token as f32.
template <typename T>
struct Quad;
template <>
struct Quad<float> {
  float4 raw;
  __device__ void Load(const float* p) { raw = __ldg(reinterpret_cast<const float4*>(p)); }
  __device__ float4 Get() const { return raw; }
};
template <>
struct Quad<__half> {
  uint2 raw;
  __device__ void Load(const __half* p) { raw = __ldg(reinterpret_cast<const uint2*>(p)); }
  __device__ float4 Get() const {
    const float2 a = __half22float2(*reinterpret_cast<const __half2*>(&raw.x));
    const float2 b = __half22float2(*reinterpret_cast<const __half2*>(&raw.y));
    return make_float4(a.x, a.y, b.x, b.y);
  }
};
template <>
struct Quad<__nv_bfloat16> {
  uint2 raw;
  __device__ void Load(const __nv_bfloat16* p) { raw = __ldg(reinterpret_cast<const uint2*>(p)); }
  __device__ float4 Get() const {
    return make_float4(__uint_as_float(raw.x << 16), __uint_as_float(raw.x & 0xffff0000u),
                       __uint_as_float(raw.y << 16), __uint_as_float(raw.y & 0xffff0000u));
  }
};

// The segment that holds `position` < length: the number of segments that end at or before it.
// Called by a whole warp.
__device__ inline int FindSegment(const SegmentedTokens& t, int position) {
  const int lane = threadIdx.x & 31;
  int low = 0, high = t.segments - 1;
  while (low < high) {
    const int step = (high - low + 31) / 32;
    const int probe = low + lane * step;
    const bool ends = probe < high && t.offsets[probe + 1] - t.base <= position;
    const int count = __popc(__ballot_sync(0xffffffffu, ends));
    if (count == 0) break;
    high = min(high, low + count * step);
    low += (count - 1) * step + 1;
  }
  return low;
}

// Called by a whole warp; `partial` is the head's [slots][head_dim]. With kWeighted every token is
// multiplied by exp(log_weights[token]), one of weight 0 is not read into the sum (so that masked
// tokens may hold anything), and the sums of the weights go to partial_weights [slots] where given.
template <typename T, bool kWeighted = false>
__device__ void SumChunkByWarp(const SegmentedTokens& t, int chunk, float* partial,
                               float* partial_weights = nullptr) {
  constexpr int kBatch = 8;  // rows in flight
  const int lane = threadIdx.x & 31;
  const int element = lane * 4;
  const bool active = element < t.head_dim;
  const char* x = static_cast<const char*>(t.x) + element * sizeof(T);
  const std::uint32_t row_bytes = static_cast<std::uint32_t>(t.token_stride * sizeof(T));
  const int first = chunk * kSumChunk;
  const int last = min(first + kSumChunk, t.length);
  int segment = FindSegment(t, first);
  int segment_end = t.offsets[segment + 1] - t.base;
  float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
  float weight_sum = 0.f;
  const auto store = [&] {
    if (active) {
      *reinterpret_cast<float4*>(partial + static_cast<std::int64_t>(chunk + segment) * t.head_dim +
                                 element) = sum;
    }
    if (kWeighted && partial_weights != nullptr && lane == 0) {
      partial_weights[chunk + segment] = weight_sum;
    }
  };
  for (int p0 = first; p0 < last; p0 += 32) {
    const int mine = min(p0 + lane, last - 1);
    const int token = t.order == nullptr ? mine : t.order[mine];
    const float my_weight = kWeighted ? expf(t.log_weights[token]) : 1.f;
#pragma unroll 1
    for (int b = 0; b < 32 && p0 + b < last; b += kBatch) {
      Quad<T> row[kBatch];
#pragma unroll
      for (int u = 0; u < kBatch; ++u) {
        const std::uint32_t source = __shfl_sync(0xffffffffu, token, b + u);
        if (active) {
          row[u].Load(reinterpret_cast<const T*>(
              x + static_cast<std::uint64_t>(source) * row_bytes));
        }
      }
#pragma unroll
      for (int u = 0; u < kBatch; ++u) {
        const int p = p0 + b + u;
        if (p >= last) break;
        if (p == segment_end) {
          store();
          sum = make_float4(0.f, 0.f, 0.f, 0.f);
          weight_sum = 0.f;
          ++segment;
          segment_end = t.offsets[segment + 1] - t.base;
          if (segment_end == p) {  // empty segments follow
            segment = FindSegment(t, p);
            segment_end = t.offsets[segment + 1] - t.base;
          }
        }
        const float weight = kWeighted ? __shfl_sync(0xffffffffu, my_weight, b + u) : 1.f;
        if (kWeighted) weight_sum += weight;
        if (active && (!kWeighted || weight != 0.f)) {
          const float4 v = row[u].Get();
          sum.x += weight * v.x;
          sum.y += weight * v.y;
          sum.z += weight * v.z;
          sum.w += weight * v.w;
        }
      }
    }
  }
  if (first < last) store();
}

// Adds the partial sums of segment [begin, end) for the four elements from `element` on.
__device__ inline float4 GatherSums(const float* partial, int segment, int begin, int end,
                                    int head_dim, int element) {
  float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
  const int last = (end - 1) / kSumChunk;
#pragma unroll 8
  for (int chunk = begin / kSumChunk; chunk <= last; ++chunk) {
    const float4 v = *reinterpret_cast<const float4*>(
        partial + static_cast<std::int64_t>(chunk + segment) * head_dim + element);
    sum.x += v.x;
    sum.y += v.y;
    sum.z += v.z;
    sum.w += v.w;
  }
  return sum;
}

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_SEGMENT_SUMS_CUH_
