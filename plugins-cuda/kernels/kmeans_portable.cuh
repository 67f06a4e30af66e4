// The portable build of k-means: mma.sync. A type's kernels are compiled in a file of their own, which
// takes the compiler a third of the time of all.
#ifndef SPARSEDIT_KERNELS_KMEANS_PORTABLE_CUH_
#define SPARSEDIT_KERNELS_KMEANS_PORTABLE_CUH_

#include "kernels/kmeans_device.cuh"

namespace sparsedit::kmeans {
namespace {

__device__ inline void MultiplyAdd(float (&acc)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                   std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// mma.sync, sm_80 and later.
struct Portable {
  static constexpr int kThreads = kPortableThreads;
  using Image = RowMajorImage;

  __device__ static void ImageWritten() {}

  template <typename T, int kDim>
  struct Source {
    TokenRows<T, kDim> tokens;
    __device__ Source(const T* x, std::int64_t token_stride, int head_dim, char*)
        : tokens{x, token_stride, head_dim} {}
    __device__ void Fetch(int, int) const {}
    template <int kParts>
    __device__ void Take(int row, int rows, float scale, Fragment<kDim, kParts>& f) const {
      Octet<T> octet[2][kDim / 32];
      tokens.ForPieces(row, rows, [&](int i, const T* from, bool exists) {
        if (exists) {
          octet[i & 1][i >> 1].Load(from);
        } else {
          octet[i & 1][i >> 1].Zero();
        }
      });
#pragma unroll
      for (int i = 0; i < 2 * (kDim / 32); ++i) {
        Split(octet[i & 1][i >> 1], i & 1, i >> 1, scale, f);
      }
    }
  };

  template <int kDim, int kParts>
  __device__ static void Scan(Minimum& minimum, const Fragment<kDim, kParts>& tokens,
                              const char* image, const float* norms, int columns, int used) {
#pragma unroll 1
    for (int column = 0; column < used; column += kColumns) {
      float acc[kColumns / 8][4];
      Multiply(acc, tokens, image, column, columns);
#pragma unroll
      for (int j = 0; j < kColumns / 8; j += 2) {
        const float4 norm =
            *reinterpret_cast<const float4*>(norms + column + j * 8 + (threadIdx.x & 3) * 4);
#pragma unroll
        for (int r = 0; r < 4; r += 2) {
          acc[j][r] += norm.x, acc[j][r + 1] += norm.y;
          acc[j + 1][r] += norm.z, acc[j + 1][r + 1] += norm.w;
        }
      }
      minimum.Update<kColumns / 8>(acc, column, [](int) {});
    }
  }

  template <int kDim, int kParts>
  __device__ static void Multiply(float (&acc)[kColumns / 8][4],
                                  const Fragment<kDim, kParts>& tokens, const char* image,
                                  int first, int columns) {
    const int lane = threadIdx.x & 31;
    const int n = first + lane / 4;
    const __half* row = reinterpret_cast<const __half*>(image) + n * kDim;
#pragma unroll
    for (int j = 0; j < kColumns / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) acc[j][i] = 0.f;
    }
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
#pragma unroll
      for (int m = 0; m < kDim / 32; ++m) {
        const int chunk = (m * 4 + (lane & 3)) ^ ((n & 1) << 2);
#pragma unroll
        for (int j = 0; j < kColumns / 8; ++j) {
          const uint4 b = *reinterpret_cast<const uint4*>(row + part * columns * kDim +
                                                          j * 8 * kDim + chunk * 8);
          // Of the four products of two parts, the one of both remainders is left out.
#pragma unroll
          for (int token_part = 0; token_part + part < kParts; ++token_part) {
            MultiplyAdd(acc[j], tokens.a[token_part][2 * m], b.x, b.y);
            MultiplyAdd(acc[j], tokens.a[token_part][2 * m + 1], b.z, b.w);
          }
        }
      }
    }
  }
};

template <typename T, int kDim, int kParts>
__global__ void __launch_bounds__(kPortableThreads, kParts == 1 ? 2 : 1)
    PortableKmeans(const __grid_constant__ Params p) {
  extern __shared__ __align__(1024) char shared[];
  Run<Portable, T, kDim, kParts>(p, shared);
}

}  // namespace

template <typename T>
const void* PortableKernel(int padded_dim) {
  constexpr int kParts = sizeof(T) / 2;  // as PartsOf says
  return padded_dim == 64 ? reinterpret_cast<const void*>(&PortableKmeans<T, 64, kParts>)
                          : reinterpret_cast<const void*>(&PortableKmeans<T, 128, kParts>);
}

}  // namespace sparsedit::kmeans

#endif  // SPARSEDIT_KERNELS_KMEANS_PORTABLE_CUH_
