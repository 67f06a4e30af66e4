#include "kernels/kmeans.h"

#include <algorithm>

#include "kernels/kmeans_device.cuh"

namespace sparsedit {
namespace kmeans {
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
      minimum.Update(acc, column);
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

template <typename T, int kParts>
const void* PortableOf(int padded_dim) {
  return padded_dim == 64 ? reinterpret_cast<const void*>(&PortableKmeans<T, 64, kParts>)
                          : reinterpret_cast<const void*>(&PortableKmeans<T, 128, kParts>);
}

Status CheckBuffers(const KmeansProblem& problem, const KmeansBuffers& b) {
  for (const void* pointer : {b.q, b.k, static_cast<const void*>(b.query_centroids_in),
                              static_cast<const void*>(b.key_centroids_in),
                              static_cast<const void*>(b.query_centroids),
                              static_cast<const void*>(b.key_centroids)}) {
    SPARSEDIT_REQUIRE(IsAligned(pointer, 16), Status::kInvalidArgument);
  }
  for (const void* pointer : {b.action, static_cast<const std::int32_t*>(b.plan.query_order),
                              static_cast<const std::int32_t*>(b.plan.key_order),
                              static_cast<const std::int32_t*>(b.plan.query_offsets),
                              static_cast<const std::int32_t*>(b.plan.key_offsets)}) {
    SPARSEDIT_REQUIRE(IsAligned(pointer, 4), Status::kInvalidArgument);
  }
  const bool any = b.previous.query_order || b.previous.key_order || b.previous.query_offsets ||
                   b.previous.key_offsets;
  const bool all = b.previous.query_order && b.previous.key_order && b.previous.query_offsets &&
                   b.previous.key_offsets;
  SPARSEDIT_REQUIRE(any == all, Status::kInvalidArgument);
  return Status::kOk;
}

}  // namespace

const void* PortableKernel(DataType type, int padded_dim) {
  switch (type) {
    case DataType::kFloat16: return PortableOf<__half, 1>(padded_dim);
    case DataType::kBFloat16: return PortableOf<__nv_bfloat16, 1>(padded_dim);
    case DataType::kFloat32: return PortableOf<float, 2>(padded_dim);
  }
  return nullptr;
}

}  // namespace kmeans

std::size_t KmeansWorkspaceSize(const KmeansProblem& problem) {
  return CheckKmeans(problem) == Status::kOk ? kmeans::CarveWorkspace(problem, nullptr).bytes : 0;
}

Status LaunchKmeans(const KmeansProblem& problem, const KmeansBuffers& buffers, void* workspace,
                    std::size_t workspace_size, CUstream_st* stream, KmeansPath path) {
  using namespace kmeans;
  SPARSEDIT_RETURN_IF_ERROR(CheckKmeans(problem));
  SPARSEDIT_RETURN_IF_ERROR(CheckBuffers(problem, buffers));
  SPARSEDIT_REQUIRE(IsAligned(workspace, 16), Status::kInvalidArgument);
  const Workspace parts = CarveWorkspace(problem, workspace);
  SPARSEDIT_REQUIRE(workspace_size >= parts.bytes, Status::kWorkspaceTooSmall);

  int device = 0, major = 0, processors = 0, cooperative = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device) != cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  SPARSEDIT_REQUIRE(major >= 8 && cooperative, Status::kUnsupported);

  const int dim = PaddedDim(problem.head_dim);
  const void* hopper = major == 9 ? HopperKernel(problem.type, dim) : nullptr;
  SPARSEDIT_REQUIRE(path != KmeansPath::kHopper || hopper != nullptr, Status::kUnsupported);
  const bool fast = hopper != nullptr && path != KmeansPath::kPortable;
  const void* kernel = fast ? hopper : PortableKernel(problem.type, dim);
  const int split = PartsOf(problem.type);
  const int group_bytes = fast ? kHopperGroupBytes : kPortableGroupBytes;
  const int threads = fast ? kHopperThreads : kPortableThreads;
  Params p = {};
  int shared = 0;
  for (int i = 0; i < 2; ++i) {
    Side& s = p.side[i];
    const SideWorkspace& w = parts.side[i];
    s.image = reinterpret_cast<__half*>(w.image);
    s.norms = w.norms;
    s.scale = w.scale;
    s.largest = w.largest;
    s.labels = w.labels;
    s.best = w.best;
    s.counts = w.counts;
    s.partial = w.partial;
    s.clusters = i == 0 ? problem.query_clusters : problem.key_clusters;
    s.plan = PlanGroups(s.clusters, dim, split, group_bytes);
    shared = std::max(shared, SharedBytes(s.plan, s.clusters, dim, split, threads));
    p.stage_at = std::max(p.stage_at, AssignBytes(s.plan, dim, split));
    s.x = i == 0 ? buffers.q : buffers.k;
    s.incoming = i == 0 ? buffers.query_centroids_in : buffers.key_centroids_in;
    s.centroids = i == 0 ? buffers.query_centroids : buffers.key_centroids;
    s.previous_order = i == 0 ? buffers.previous.query_order : buffers.previous.key_order;
    s.previous_offsets = i == 0 ? buffers.previous.query_offsets : buffers.previous.key_offsets;
    s.order = i == 0 ? buffers.plan.query_order : buffers.plan.key_order;
    s.offsets = i == 0 ? buffers.plan.query_offsets : buffers.plan.key_offsets;
  }
  p.pass_at = p.stage_at + (fast ? StageBytes(dim, threads) : 0);
  static_assert(sizeof(AssignPass) <= kPassBytes);
  shared = std::max(shared, p.pass_at + kPassBytes);
  p.action = buffers.action;
  p.geometry = buffers.geometry;
  p.batch_heads = problem.batch * problem.heads;
  p.heads = problem.heads;
  p.tokens = problem.tokens;
  p.head_dim = problem.head_dim;
  const std::int64_t d = problem.head_dim, s = problem.tokens, h = problem.heads;
  const bool head_major = problem.layout == Layout::kBhsd;
  p.batch_stride = h * s * d;
  p.head_stride = head_major ? s * d : d;
  p.token_stride = head_major ? d : h * d;
  p.text = static_cast<int>(problem.text);
  p.text_tokens = problem.text_tokens;
  p.iterations = problem.iterations;
  p.init_iterations = problem.init_iterations;

  int blocks = 0;
  if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared) !=
          cudaSuccess ||
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, shared) !=
          cudaSuccess ||
      blocks == 0) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  p.sort_chunk = SortChunkFor(2 * static_cast<std::int64_t>(p.batch_heads), p.tokens,
                              processors * blocks, threads);
  void* arguments[] = {&p};
  if (cudaLaunchCooperativeKernel(kernel, dim3(processors * blocks), dim3(threads), arguments,
                                  shared, stream) != cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  return LaunchStatus();
}

}  // namespace sparsedit
