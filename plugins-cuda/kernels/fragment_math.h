// The online softmax on fragments of wgmma, and what it is made of: two floats packed for the next
// product, exp2, and reductions over the four lanes that share a row.
#ifndef SPARSEDIT_KERNELS_FRAGMENT_MATH_H_
#define SPARSEDIT_KERNELS_FRAGMENT_MATH_H_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace sparsedit {

constexpr float kNegativeInfinity = -__builtin_huge_valf();
// The running maximum moves only when a row exceeds it by this much (in log2): until then
// probabilities stay below 2^8 and the output need not be rescaled.
constexpr float kRescaleThreshold = 8.0f;

__device__ __forceinline__ std::uint32_t Pack(float low, float high, __nv_bfloat16) {
  std::uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
__device__ __forceinline__ std::uint32_t Pack(float low, float high, __half) {
  std::uint32_t packed;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
__device__ __forceinline__ float Exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float QuadMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ __forceinline__ float QuadSum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// Of the two rows of a thread. `maximum` is in raw scores. kInLog2: scores come in log2, and
// scale_log2 is not read.
template <bool kInLog2 = false>
struct Softmax {
  float scale_log2;
  float maximum[2] = {kNegativeInfinity, kNegativeInfinity};
  float sum[2] = {0.0f, 0.0f};
  float correction[2];

  __device__ __forceinline__ float Scale() const { return kInLog2 ? 1.0f : scale_log2; }

  // Turns scores into probabilities relative to the maximum. True if the output so far must be
  // multiplied by `correction`; the same for all lanes of a warp.
  template <int kCount>
  __device__ __forceinline__ bool Update(float (&s)[kCount]) {
    float high[2] = {s[0], s[2]};
#pragma unroll
    for (int i = 0; i < kCount; i += 4) {
      high[0] = fmaxf(high[0], fmaxf(s[i], s[i + 1]));
      high[1] = fmaxf(high[1], fmaxf(s[i + 2], s[i + 3]));
    }
    high[0] = QuadMax(high[0]);
    high[1] = QuadMax(high[1]);
    const float slack = kRescaleThreshold / Scale();
    const bool exceeds = high[0] > maximum[0] + slack || high[1] > maximum[1] + slack;
    const bool rescale = __any_sync(0xffffffffu, exceeds);
    if (rescale) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float before = maximum[r];
        maximum[r] = fmaxf(before, high[r]);
        correction[r] =
            before == maximum[r] ? 1.0f : Exp2((before - maximum[r]) * Scale());
        sum[r] *= correction[r];
      }
    }
    const float shift0 = maximum[0] == kNegativeInfinity ? 0.0f : maximum[0] * Scale();
    const float shift1 = maximum[1] == kNegativeInfinity ? 0.0f : maximum[1] * Scale();
    float sums[2] = {0.0f, 0.0f};
#pragma unroll
    for (int i = 0; i < kCount; i += 4) {
      s[i] = Exp2(fmaf(s[i], Scale(), -shift0));
      s[i + 1] = Exp2(fmaf(s[i + 1], Scale(), -shift0));
      s[i + 2] = Exp2(fmaf(s[i + 2], Scale(), -shift1));
      s[i + 3] = Exp2(fmaf(s[i + 3], Scale(), -shift1));
      sums[0] += s[i] + s[i + 1];
      sums[1] += s[i + 2] + s[i + 3];
    }
    sum[0] += sums[0];
    sum[1] += sums[1];
    return rescale;
  }
};

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_FRAGMENT_MATH_H_
