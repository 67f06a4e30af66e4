// What an online softmax does with the fragments of wgmma: two floats packed for the next product,
// exp2, and reductions over the four lanes that share a row.
#ifndef SPARSEDIT_KERNELS_FRAGMENT_MATH_H_
#define SPARSEDIT_KERNELS_FRAGMENT_MATH_H_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace sparsedit {

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

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_FRAGMENT_MATH_H_
