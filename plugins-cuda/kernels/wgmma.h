// wgmma (sm_90a): 64 x N x 16 products of a warpgroup, fp32 accumulators, bf16 or fp16 operands.
//
// Accumulator element d[4 i + 2 r + c] of a thread is row 16 warp + lane / 4 + 8 r, column
// 8 i + 2 (lane % 4) + c (PTX ISA, "Register fragments for wgmma.mma_async.m64nNk16"); an A
// fragment is four registers of two values with the same row and column pattern.
#ifndef SPARSEDIT_KERNELS_WGMMA_H_
#define SPARSEDIT_KERNELS_WGMMA_H_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace sparsedit {

// d (64 x N) = A B + (accumulate ? d : 0); A 64 x 16 and B N x 16, both with k contiguous.
template <typename T, int N>
struct WgmmaSharedShared;

// d (64 x N) += A B; A 64 x 16 in registers, B 16 x N in shared memory with n contiguous.
template <typename T, int N>
struct WgmmaRegisterShared;

// Descriptor of an operand in shared memory with the 128-byte swizzle (start 128-byte rows of a
// 1024-byte aligned tile). `leading` is the distance in bytes between 64-element columns of an
// operand whose n is contiguous, `stride` that between groups of eight rows.
__device__ __forceinline__ std::uint64_t SwizzledDescriptor(std::uint32_t address,
                                                            std::uint32_t leading,
                                                            std::uint32_t stride) {
  return static_cast<std::uint64_t>((address & 0x3FFFFu) >> 4) |
         static_cast<std::uint64_t>(leading >> 4) << 16 |
         static_cast<std::uint64_t>(stride >> 4) << 32 | std::uint64_t{1} << 62;
}

__device__ __forceinline__ void WgmmaFence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void WgmmaCommit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPending>
__device__ __forceinline__ void WgmmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
// Keeps the compiler from moving accesses to registers across an asynchronous product.
template <int kCount>
__device__ __forceinline__ void PinRegisters(float (&registers)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(registers[i])::"memory");
}
template <int kCount>
__device__ __forceinline__ void PinRegisters(std::uint32_t (&registers)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+r"(registers[i])::"memory");
}

// The statements, once for both types of operands. Accumulators come first in their lists of
// operands; the strings A, B and P name what comes after them.
#define SPARSEDIT_WGMMA_NAMES_32                                                                  \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                        \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define SPARSEDIT_WGMMA_NAMES_40 \
  SPARSEDIT_WGMMA_NAMES_32 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define SPARSEDIT_WGMMA_NAMES_64                                                                  \
  SPARSEDIT_WGMMA_NAMES_40                                                                        \
  ", %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, "            \
  "%56, %57, %58, %59, %60, %61, %62, %63"
#define SPARSEDIT_WGMMA_8(d, i)                                                                   \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]),     \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define SPARSEDIT_WGMMA_VALUES_32(d)                                                              \
  SPARSEDIT_WGMMA_8(d, 0), SPARSEDIT_WGMMA_8(d, 8), SPARSEDIT_WGMMA_8(d, 16),                     \
      SPARSEDIT_WGMMA_8(d, 24)
#define SPARSEDIT_WGMMA_VALUES_40(d) SPARSEDIT_WGMMA_VALUES_32(d), SPARSEDIT_WGMMA_8(d, 32)
#define SPARSEDIT_WGMMA_VALUES_64(d)                                                              \
  SPARSEDIT_WGMMA_VALUES_40(d), SPARSEDIT_WGMMA_8(d, 40), SPARSEDIT_WGMMA_8(d, 48),               \
      SPARSEDIT_WGMMA_8(d, 56)
#define SPARSEDIT_WGMMA(NAME, N, COUNT)                                                           \
  "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." NAME "." NAME                                 \
  " {" SPARSEDIT_WGMMA_NAMES_##COUNT "}, "

#define SPARSEDIT_WGMMA_SHARED_SHARED(T, NAME, N, COUNT, A, B, P)                                 \
  template <>                                                                                     \
  struct WgmmaSharedShared<T, N> {                                                                \
    __device__ static __forceinline__ void Issue(float (&d)[COUNT], std::uint64_t a,              \
                                                 std::uint64_t b, int accumulate) {               \
      asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " P ", 0;\n"                                 \
                   SPARSEDIT_WGMMA(NAME, N, COUNT) A ", " B ", p, 1, 1, 0, 0;\n}\n"               \
                   : SPARSEDIT_WGMMA_VALUES_##COUNT(d)                                            \
                   : "l"(a), "l"(b), "r"(accumulate));                                            \
    }                                                                                             \
  };
#define SPARSEDIT_WGMMA_REGISTER_SHARED(T, NAME, N, COUNT, A, B)                                  \
  template <>                                                                                     \
  struct WgmmaRegisterShared<T, N> {                                                              \
    __device__ static __forceinline__ void Issue(float (&d)[COUNT], const std::uint32_t* a,       \
                                                 std::uint64_t b) {                               \
      asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"                                     \
                   SPARSEDIT_WGMMA(NAME, N, COUNT) "{" A "}, " B ", p, 1, 1, 1;\n}\n"             \
                   : SPARSEDIT_WGMMA_VALUES_##COUNT(d)                                            \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                         \
    }                                                                                             \
  };
#define SPARSEDIT_WGMMA_OF(T, NAME)                                                               \
  SPARSEDIT_WGMMA_SHARED_SHARED(T, NAME, 64, 32, "%32", "%33", "%34")                             \
  SPARSEDIT_WGMMA_SHARED_SHARED(T, NAME, 80, 40, "%40", "%41", "%42")                             \
  SPARSEDIT_WGMMA_SHARED_SHARED(T, NAME, 128, 64, "%64", "%65", "%66")                            \
  SPARSEDIT_WGMMA_REGISTER_SHARED(T, NAME, 64, 32, "%32, %33, %34, %35", "%36")                   \
  SPARSEDIT_WGMMA_REGISTER_SHARED(T, NAME, 128, 64, "%64, %65, %66, %67", "%68")

SPARSEDIT_WGMMA_OF(__nv_bfloat16, "bf16")
SPARSEDIT_WGMMA_OF(__half, "f16")

#undef SPARSEDIT_WGMMA_OF
#undef SPARSEDIT_WGMMA_REGISTER_SHARED
#undef SPARSEDIT_WGMMA_SHARED_SHARED
#undef SPARSEDIT_WGMMA
#undef SPARSEDIT_WGMMA_VALUES_64
#undef SPARSEDIT_WGMMA_VALUES_40
#undef SPARSEDIT_WGMMA_VALUES_32
#undef SPARSEDIT_WGMMA_8
#undef SPARSEDIT_WGMMA_NAMES_64
#undef SPARSEDIT_WGMMA_NAMES_40
#undef SPARSEDIT_WGMMA_NAMES_32

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_WGMMA_H_
