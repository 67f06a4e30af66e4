// The sm_90a build of k-means: wgmma with tokens in registers and centroids in shared memory.
#include "kernels/kmeans_device.cuh"

namespace sparsedit::kmeans {
namespace {

// K-major tiles of 64 halves (128 bytes) a row with the 128-byte swizzle, one tile a 64 elements.
struct SwizzledImage {
  // Element e of a 32-wide stretch m is held by thread t = e%32/8 of four, whose first four
  // elements are k = 2t, 2t+1, 2t+8, 2t+9 of product 2m, the others those of product 2m+1.
  template <int kDim>
  __device__ static int Pair(int n, int e, int columns) {
    const int t = e >> 3 & 3;
    const int k = (e >> 5) * 32 + (e >> 2 & 1) * 16 + (e >> 1 & 1) * 8 + t * 2 + (e & 1);
    return (k >> 6) * columns * 64 + n * 64 + ((k >> 3 & 7) ^ (n & 7)) * 8 + (k & 7);
  }
};

// Shared-memory matrix descriptor: 8 rows are 1,024 bytes apart, 128-byte swizzle.
__device__ inline std::uint64_t Descriptor(std::uint32_t address) {
  return static_cast<std::uint64_t>((address & 0x3ffff) >> 4) | (1ull << 16) | (64ull << 32) |
         (1ull << 62);
}

// acc = (accumulate ? acc : 0) + 64 tokens x 16 by 16 x 64 centroids, by four warps.
__device__ inline void MultiplyAsync(float (&d)[8][4], const std::uint32_t (&a)[4],
                                     std::uint64_t b, int accumulate) {
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "setp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, "
      "{%32,%33,%34,%35}, %36, p, 1, 1, 0;\n"
      "}\n"
      : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]), "+f"(d[1][0]), "+f"(d[1][1]),
        "+f"(d[1][2]), "+f"(d[1][3]), "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]),
        "+f"(d[3][0]), "+f"(d[3][1]), "+f"(d[3][2]), "+f"(d[3][3]), "+f"(d[4][0]), "+f"(d[4][1]),
        "+f"(d[4][2]), "+f"(d[4][3]), "+f"(d[5][0]), "+f"(d[5][1]), "+f"(d[5][2]), "+f"(d[5][3]),
        "+f"(d[6][0]), "+f"(d[6][1]), "+f"(d[6][2]), "+f"(d[6][3]), "+f"(d[7][0]), "+f"(d[7][1]),
        "+f"(d[7][2]), "+f"(d[7][3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate));
}

struct Hopper {
  static constexpr int kThreads = kHopperThreads;
  static constexpr bool kPrefetch = true;
  using Image = SwizzledImage;

  // Ordinary stores wrote what the tensor cores read next.
  __device__ static void ImageWritten() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }

  template <int kDim, int kParts>
  __device__ static void Multiply(float (&acc)[kColumns / 8][4],
                                  const Fragment<kDim, kParts>& tokens, const char* image,
                                  int first, int columns) {
    static_assert(kParts == 1);
    const std::uint32_t base = static_cast<std::uint32_t>(__cvta_generic_to_shared(image)) +
                               static_cast<std::uint32_t>(first) * 128;
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k) {
      const std::uint32_t tile = base + (k / 4) * columns * 128 + (k % 4) * 32;
      MultiplyAsync(acc, tokens.a[0][k], Descriptor(tile), k > 0);
    }
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  }
};

template <typename T, int kDim>
__global__ void __launch_bounds__(kHopperThreads, 1)
    HopperKmeans(const __grid_constant__ Params p) {
  extern __shared__ __align__(1024) char shared[];
  Run<Hopper, T, kDim, 1>(p, shared);
}

template <typename T>
const void* HopperOf(int padded_dim) {
  return padded_dim == 64 ? reinterpret_cast<const void*>(&HopperKmeans<T, 64>)
                          : reinterpret_cast<const void*>(&HopperKmeans<T, 128>);
}

}  // namespace

const void* HopperKernel(DataType type, int padded_dim) {
  switch (type) {
    case DataType::kFloat16: return HopperOf<__half>(padded_dim);
    case DataType::kBFloat16: return HopperOf<__nv_bfloat16>(padded_dim);
    case DataType::kFloat32: return nullptr;
  }
  return nullptr;
}

}  // namespace sparsedit::kmeans
