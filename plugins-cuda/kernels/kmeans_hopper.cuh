// The sm_90a build of k-means: wgmma with tokens in registers and centroids in shared memory. A type's
// kernels are compiled in a file of their own.
#ifndef SPARSEDIT_KERNELS_KMEANS_HOPPER_CUH_
#define SPARSEDIT_KERNELS_KMEANS_HOPPER_CUH_

#include "kernels/hopper.h"
#include "kernels/kmeans_device.cuh"
#include "kernels/wgmma.h"

namespace sparsedit::kmeans {
namespace {

// Tiles of kColumns centroids by 64 halves (128 bytes) with the 128-byte swizzle; a step's tiles
// follow each other.
struct SwizzledImage {
  // Element e of a 32-wide stretch m is held by thread t = e%32/8 of four, whose first four
  // elements are k = 2t, 2t+1, 2t+8, 2t+9 of product 2m, the others those of product 2m+1.
  template <int kDim>
  __device__ static int Pair(int n, int e, int) {
    const int t = e >> 3 & 3;
    const int k = (e >> 5) * 32 + (e >> 2 & 1) * 16 + (e >> 1 & 1) * 8 + t * 2 + (e & 1);
    return n / kColumns * kColumns * kDim + (k >> 6) * kColumns * 64 + n % kColumns * 64 +
           ((k >> 3 & 7) ^ (n & 7)) * 8 + (k & 7);
  }
};

// d += 64 tokens x 16 by 16 x 64 centroids, by four warps. `b` is the low half of
// SwizzledDescriptor(address, 16, 1024), whose high half is always the same.
__device__ inline void MultiplyAsync(float (&d)[8][4], const std::uint32_t (&a)[4],
                                     std::uint32_t b) {
  asm volatile(
      "{\n"
      ".reg .b64 b;\n"
      "mov.b64 b, {%36, 0x40000040};\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, "
      "{%32,%33,%34,%35}, b, 1, 1, 1, 0;\n"
      "}\n"
      : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]), "+f"(d[1][0]), "+f"(d[1][1]),
        "+f"(d[1][2]), "+f"(d[1][3]), "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]),
        "+f"(d[3][0]), "+f"(d[3][1]), "+f"(d[3][2]), "+f"(d[3][3]), "+f"(d[4][0]), "+f"(d[4][1]),
        "+f"(d[4][2]), "+f"(d[4][3]), "+f"(d[5][0]), "+f"(d[5][1]), "+f"(d[5][2]), "+f"(d[5][3]),
        "+f"(d[6][0]), "+f"(d[6][1]), "+f"(d[6][2]), "+f"(d[6][3]), "+f"(d[7][0]), "+f"(d[7][1]),
        "+f"(d[7][2]), "+f"(d[7][3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b));
}

// The same of the first 32 centroids.
__device__ inline void MultiplyHalfAsync(float (&d)[8][4], const std::uint32_t (&a)[4],
                                         std::uint32_t b) {
  asm volatile(
      "{\n"
      ".reg .b64 b;\n"
      "mov.b64 b, {%20, 0x40000040};\n"
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, "
      "{%16,%17,%18,%19}, b, 1, 1, 1, 0;\n"
      "}\n"
      : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]), "+f"(d[1][0]), "+f"(d[1][1]),
        "+f"(d[1][2]), "+f"(d[1][3]), "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]),
        "+f"(d[3][0]), "+f"(d[3][1]), "+f"(d[3][2]), "+f"(d[3][3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b));
}

struct Hopper {
  static constexpr int kThreads = kHopperThreads;
  using Image = SwizzledImage;

  // Ordinary stores wrote what the tensor cores read next.
  __device__ static void ImageWritten() { AsyncProxyFence(); }

  // A lane stages the pieces of a tile that it will take itself, in a place of its own: nobody
  // else waits for them, and it may fetch the next ones once it has taken these.
  template <typename T, int kDim>
  struct Source {
    TokenRows<T, kDim> tokens;
    std::uint32_t stage;
    __device__ Source(const T* x, std::int64_t token_stride, int head_dim, char* stages)
        : tokens{x, token_stride, head_dim},
          stage(SharedAddress(stages) + (threadIdx.x / 32) * (16 * kDim * 2) +
                threadIdx.x % 32 * 16) {}
    __device__ void Fetch(int row, int rows) const {
      tokens.ForPieces(row, rows, [&](int i, const T* from, bool exists) {
        CopyAsyncOrZero(stage + i * 512, from, exists);
      });
    }
    template <int kParts>
    __device__ void Take(int, int, float scale, Fragment<kDim, kParts>& f) const {
      WaitCopies<0>();
#pragma unroll
      for (int i = 0; i < 2 * (kDim / 32); ++i) {
        Octet<T> octet;
        octet.raw = LoadShared(stage + i * 512);
        Split(octet, i & 1, i >> 1, scale, f);
      }
    }
  };

  // Norms as the start of the sums, which need no additions then: of fragments j and j + 1.
  __device__ static void LoadNorms(float (&acc)[kColumns / 8][4], const float* norms, int j) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {  // a load each: moves would go to the pipe of the comparisons
      const uint4 norm = LoadShared(SharedAddress(norms + j * 8 + (threadIdx.x & 3) * 4));
      acc[j][2 * r] = __uint_as_float(norm.x);
      acc[j][2 * r + 1] = __uint_as_float(norm.y);
      acc[j + 1][2 * r] = __uint_as_float(norm.z);
      acc[j + 1][2 * r + 1] = __uint_as_float(norm.w);
    }
  }

  // acc += products with a step's columns, or their first half.
  template <int kDim, bool kHalf>
  __device__ static void Multiply(float (&acc)[kColumns / 8][4], const Fragment<kDim, 1>& tokens,
                                  std::uint32_t descriptor) {
    WgmmaFence();
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k) {
      const std::uint32_t at = descriptor + (k / 4 * kColumns * 128 + k % 4 * 32) / 16;
      if constexpr (kHalf) {
        MultiplyHalfAsync(acc, tokens.a[0][k], at);
      } else {
        MultiplyAsync(acc, tokens.a[0][k], at);
      }
    }
    WgmmaCommit();
    WgmmaWait<0>();
  }

  // While a warpgroup takes its minimum, the products of the others run. The norms of the next step
  // are on their way as soon as there is room for them.
  template <int kDim, int kParts>
  __device__ static void Scan(Minimum& minimum, const Fragment<kDim, kParts>& tokens,
                              const char* image, const float* norms, int, int used) {
    static_assert(kParts == 1);
    constexpr std::uint32_t kStep = kColumns * kDim * 2 / 16;  // of the descriptor
    std::uint32_t next = static_cast<std::uint32_t>(SwizzledDescriptor(SharedAddress(image), 16, 1024));
    // The same number in a uniform register: loop and descriptors stay in the uniform data path.
    used = __reduce_max_sync(0xffffffffu, used);
    float acc[kColumns / 8][4];
#pragma unroll
    for (int j = 0; j < kColumns / 8; j += 2) LoadNorms(acc, norms, j);
    int column = 0;
#pragma unroll 1
    for (; column + kColumns / 2 < used; column += kColumns) {
      Multiply<kDim, false>(acc, tokens, next);
      // After the last step those of the first: nobody needs them, but they are there.
      const float* after = norms + (column + kColumns < used ? column + kColumns : 0);
      minimum.Update<kColumns / 8>(acc, column, [&](int j) { LoadNorms(acc, after, j); });
      next += kStep;
    }
    if (column < used) {
      Multiply<kDim, true>(acc, tokens, next);
      minimum.Update<kColumns / 16>(acc, column, [](int) {});
    }
  }
};

template <typename T, int kDim>
__global__ void __launch_bounds__(kHopperThreads, 1)
    HopperKmeans(const __grid_constant__ Params p) {
  extern __shared__ __align__(1024) char shared[];
  Run<Hopper, T, kDim, 1>(p, shared);
}

}  // namespace

template <typename T>
const void* HopperKernel(int padded_dim) {
  return padded_dim == 64 ? reinterpret_cast<const void*>(&HopperKmeans<T, 64>)
                          : reinterpret_cast<const void*>(&HopperKmeans<T, 128>);
}

}  // namespace sparsedit::kmeans

#endif  // SPARSEDIT_KERNELS_KMEANS_HOPPER_CUH_
