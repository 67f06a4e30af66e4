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
#include "kernels/shared_memory.h"

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

// Eight consecutive elements of a token, which a lane fetches to shared memory and takes from there.
template <typename T>
struct Eight {
  static constexpr int kPieces = sizeof(T) / 2;  // of 16 bytes
  // Bytes between a lane's pieces, and between its rows: the pieces of a warp lie side by side.
  static constexpr int kPieceBytes = 32 * 16, kRowBytes = kPieces * kPieceBytes;

  __device__ static void Fetch(std::uint32_t to, const T* from) {
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      CopyAsync(to + i * kPieceBytes, reinterpret_cast<const uint4*>(from) + i);
    }
  }
  __device__ static void Take(std::uint32_t from, float (&to)[8]) {
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      Unpack(LoadShared(from + i * kPieceBytes), &to[i * 8 / kPieces]);
    }
  }

 private:
  __device__ static void Unpack(const uint4& raw, float* to) {
    float4 v[2];
    if constexpr (sizeof(T) == 4) {
      v[0] = make_float4(__uint_as_float(raw.x), __uint_as_float(raw.y), __uint_as_float(raw.z),
                         __uint_as_float(raw.w));
    } else {
      Quad<T> quad[2];
      quad[0].raw = make_uint2(raw.x, raw.y);
      quad[1].raw = make_uint2(raw.z, raw.w);
      v[0] = quad[0].Get();
      v[1] = quad[1].Get();
    }
#pragma unroll
    for (int i = 0; i < 2 / kPieces; ++i) {
      to[4 * i] = v[i].x, to[4 * i + 1] = v[i].y, to[4 * i + 2] = v[i].z, to[4 * i + 3] = v[i].w;
    }
  }
};

// Lanes that share a row in SumChunkByWarp, eight elements each.
constexpr int kNarrowSumLanes = 8;  // head dim up to 64
constexpr int kWideSumLanes = 16;

// Called by a whole warp; `partial` is the head's [slots][head_dim], `ring` the warp's kSumRingBytes,
// 16-byte aligned. The warp takes 32 / kLanes rows at a time, of which each group of lanes adds up its
// own; the groups are added at a segment's end. A lane takes from the ring what it fetched itself, so
// that nobody waits for another.
// With kWeighted every token is multiplied by exp(log_weights[token]), one of weight 0 does not enter
// the sum (so that masked tokens may hold anything), and the sums of the weights go to
// partial_weights [slots] where given.
template <typename T, int kLanes, bool kWeighted = false>
__device__ void SumChunkByWarp(const SegmentedTokens& t, int chunk, float* partial, char* ring,
                               float* partial_weights = nullptr) {
  constexpr int kRows = 32 / kLanes;
  constexpr int kBatch = kSumStageBytes / Eight<T>::kRowBytes;
  constexpr int kStep = kBatch * kRows;  // rows of a stage
  static_assert(32 % kStep == 0, "a stage lies within 32 positions");
  const int lane = threadIdx.x & 31;
  const int own = lane / kLanes;  // this lane's row of a group of kRows
  const int element = lane % kLanes * 8;
  const bool active = element < t.head_dim;
  const char* x = static_cast<const char*>(t.x) + element * sizeof(T);
  const std::uint32_t row_bytes = static_cast<std::uint32_t>(t.token_stride * sizeof(T));
  const int first = chunk * kSumChunk;
  const int count = min(kSumChunk, t.length - first);
  if (count <= 0) return;
  const std::uint32_t mine = SharedAddress(ring) + lane * 16;
  // Tokens and weights of 32 positions a register, the first that are still wanted in front.
  constexpr int kHeld = kSumChunk / 32;
  int token[kHeld];
  float weights[kHeld];
  const auto advance = [](auto& of) {
#pragma unroll
    for (int i = 1; i < kHeld; ++i) of[i - 1] = of[i];
  };
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    const int position = first + min(i * 32 + lane, count - 1);
    token[i] = t.order == nullptr ? position : t.order[position];
  }
#pragma unroll
  for (int i = 0; i < kHeld; ++i) weights[i] = kWeighted ? t.log_weights[token[i]] : 0.f;
  const auto fetch = [&](int at) {
    if (at < count) {
      const std::uint32_t to = mine + at / kStep % kSumStages * kSumStageBytes;
#pragma unroll
      for (int u = 0; u < kBatch; ++u) {
        const std::uint32_t source = __shfl_sync(0xffffffffu, token[0], at % 32 + u * kRows + own);
        if (active) {
          Eight<T>::Fetch(to + u * Eight<T>::kRowBytes,
                          reinterpret_cast<const T*>(
                              x + static_cast<std::uint64_t>(source) * row_bytes));
        }
      }
      if ((at + kStep) % 32 == 0) advance(token);
    }
    CommitCopies();
  };
#pragma unroll
  for (int i = 0; i < kSumStages - 1; ++i) fetch(i * kStep);
#pragma unroll
  for (float& weight : weights) weight = kWeighted ? expf(weight) : 1.f;
  int segment = FindSegment(t, first);
  int segment_end = t.offsets[segment + 1] - t.base - first;  // within the chunk
  float sum[8] = {};
  float weight_sum = 0.f;
  const auto store = [&] {
#pragma unroll
    for (int distance = kLanes; distance < 32; distance <<= 1) {
#pragma unroll
      for (float& v : sum) v += __shfl_xor_sync(0xffffffffu, v, distance);
      if (kWeighted) weight_sum += __shfl_xor_sync(0xffffffffu, weight_sum, distance);
    }
    if (active && own == 0) {
      float4* to = reinterpret_cast<float4*>(
          partial + static_cast<std::int64_t>(chunk + segment) * t.head_dim + element);
      to[0] = make_float4(sum[0], sum[1], sum[2], sum[3]);
      to[1] = make_float4(sum[4], sum[5], sum[6], sum[7]);
    }
    if (kWeighted && partial_weights != nullptr && lane == 0) {
      partial_weights[chunk + segment] = weight_sum;
    }
  };
#pragma unroll 1
  for (int at = 0; at < count; at += kStep) {
    fetch(at + (kSumStages - 1) * kStep);
    WaitCopies<kSumStages - 1>();
    const std::uint32_t from = mine + at / kStep % kSumStages * kSumStageBytes;
#pragma unroll
    for (int u = 0; u < kBatch; ++u) {
      const int p = at + u * kRows;  // of the group's first row
      const float weight =
          kWeighted ? __shfl_sync(0xffffffffu, weights[0], p % 32 + own) : 1.f;
      const auto add = [&](bool wanted) {
        if (!wanted || (kWeighted && weight == 0.f)) return;
        if (kWeighted) weight_sum += weight;
        if (!active) return;
        float v[8];
        Eight<T>::Take(from + u * Eight<T>::kRowBytes, v);
#pragma unroll
        for (int i = 0; i < 8; ++i) sum[i] += weight * v[i];
      };
      if (p + kRows <= min(segment_end, count)) {
        add(true);
        continue;
      }
#pragma unroll 1
      for (int r = 0; r < kRows && p + r < count; ++r) {
        if (p + r == segment_end) {
          store();
#pragma unroll
          for (float& v : sum) v = 0.f;
          weight_sum = 0.f;
          ++segment;
          segment_end = t.offsets[segment + 1] - t.base - first;
          if (segment_end == p + r) {  // empty segments follow
            segment = FindSegment(t, first + p + r);
            segment_end = t.offsets[segment + 1] - t.base - first;
          }
        }
        add(own == r);
      }
    }
    if (kWeighted && (at + kStep) % 32 == 0) advance(weights);
  }
  store();
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
