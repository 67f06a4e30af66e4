#include "kernels/qk_norm_rope.h"

#include <algorithm>

#include "kernels/segment_sums.cuh"

namespace sparsedit {
namespace {

constexpr int kElements = 8;  // of a chunk, what a thread reads at a time
constexpr int kMaxThreads = 512;

struct Params {
  const void* x[2];
  void* out[2];
  const void* weight[2];
  const void* bias[2];
  const float* cos;
  const float* sin;
  struct Stride {
    std::int64_t batch, head, token;
  } in[2], to[2];
  int first_rotated[2];
  std::uint32_t rows_of_first;  // B * S of the first tensor
  std::uint32_t rows;           // of all
  int tokens[2];
  int batch, heads, head_dim, chunks;  // chunks: of a token, H * D / 8
  int head_chunks;                     // D / 8
  int norm, scope;
  float epsilon;
  int weight_type;
  bool weight_of_head;
  int rope, rotary_start, rotary_lanes, rotated, table_batch, table_heads;
  bool through_shared;  // partners of the rotation may lie in another chunk
  bool whole_tables;    // a chunk's eight table entries are aligned, or none at all
  bool even_heads;      // a head's chunks are a power of two of lanes
};

struct Row {
  int tensor, batch, token;
};

__device__ Row RowOf(const Params& p, std::uint32_t row) {
  const int tensor = row >= p.rows_of_first;
  if (tensor) row -= p.rows_of_first;
  const std::uint32_t tokens = p.tokens[tensor];
  const std::uint32_t batch = p.batch == 1 ? 0 : row / tokens;
  return {tensor, static_cast<int>(batch), static_cast<int>(row - batch * tokens)};
}

// Where a chunk lies in its token.
struct Place {
  int head, lane;
};

__device__ std::int64_t OffsetOf(const Params::Stride& s, const Row& row, const Place& place) {
  return row.batch * s.batch + place.head * s.head + row.token * s.token + place.lane;
}

template <typename T>
__device__ void ReadEight(const void* from, std::int64_t at, float (&to)[kElements]) {
  Eight<T> v;
  v.Load(static_cast<const T*>(from) + at);
  v.Get(to);
}
// A weight's or bias's eight lanes.
__device__ void ReadVector(const Params& p, const void* from, const Place& place,
                           float (&to)[kElements]) {
  const int at = place.lane + (p.weight_of_head ? 0 : place.head * p.head_dim);
  switch (static_cast<DataType>(p.weight_type)) {
    case DataType::kFloat16: return ReadEight<__half>(from, at, to);
    case DataType::kBFloat16: return ReadEight<__nv_bfloat16>(from, at, to);
    case DataType::kFloat32: return ReadEight<float>(from, at, to);
  }
}

__device__ void Write(float* to, const float (&v)[kElements]) {
  reinterpret_cast<float4*>(to)[0] = make_float4(v[0], v[1], v[2], v[3]);
  reinterpret_cast<float4*>(to)[1] = make_float4(v[4], v[5], v[6], v[7]);
}
__device__ void Write(__half* to, const float (&v)[kElements]) {
  __half2 pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) pairs[i] = __floats2half2_rn(v[2 * i], v[2 * i + 1]);
  *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(pairs);
}
__device__ void Write(__nv_bfloat16* to, const float (&v)[kElements]) {
  __nv_bfloat162 pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) pairs[i] = __floats2bfloat162_rn(v[2 * i], v[2 * i + 1]);
  *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(pairs);
}

// The sum of each chunk's `part` over its head, or over all chunks. `scratch`: a float for every
// chunk, and 32. Called by the whole block.
template <int kChunks>
__device__ void Reduce(const Params& p, float (&part)[kChunks], float* scratch) {
  if (p.scope == static_cast<int>(NormScope::kHidden)) {
    float sum = 0.f;
#pragma unroll
    for (int c = 0; c < kChunks; ++c) sum += part[c];
#pragma unroll
    for (int distance = 16; distance > 0; distance >>= 1) {
      sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    }
    __syncthreads();  // the last sums have been read
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = 0.f;
    for (int w = 0; w < static_cast<int>(blockDim.x) / 32; ++w) sum += scratch[w];
#pragma unroll
    for (int c = 0; c < kChunks; ++c) part[c] = sum;
    return;
  }
  if (p.even_heads) {
    for (int distance = p.head_chunks / 2; distance > 0; distance >>= 1) {
#pragma unroll
      for (int c = 0; c < kChunks; ++c) part[c] += __shfl_xor_sync(0xffffffffu, part[c], distance);
    }
    return;
  }
  __syncthreads();
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int chunk = c * blockDim.x + threadIdx.x;
    if (chunk < p.chunks) scratch[chunk] = part[c];
  }
  __syncthreads();
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int chunk = c * blockDim.x + threadIdx.x;
    if (chunk >= p.chunks) continue;
    const int first = chunk / p.head_chunks * p.head_chunks;
    float sum = 0.f;
    for (int i = 0; i < p.head_chunks; ++i) sum += scratch[first + i];
    part[c] = sum;
  }
}

// Eight entries of the tables from lane `d` of a head on: 1 and 0 where the lane is not rotated.
__device__ void ReadTables(const Params& p, std::int64_t row, int d, float (&cos)[kElements],
                           float (&sin)[kElements]) {
  const std::int64_t at = row + d - p.rotary_start;
  if (p.whole_tables && d >= p.rotary_start && d < p.rotary_start + p.rotary_lanes) {
    ReadEight<float>(p.cos, at, cos);
    ReadEight<float>(p.sin, at, sin);
    return;
  }
#pragma unroll
  for (int i = 0; i < kElements; ++i) {
    const bool rotated = d + i >= p.rotary_start && d + i < p.rotary_start + p.rotary_lanes;
    cos[i] = rotated ? p.cos[at + i] : 1.f;
    sin[i] = rotated ? p.sin[at + i] : 0.f;
  }
}

template <typename T, int kChunks>
__global__ void __launch_bounds__(kMaxThreads) Kernel(const __grid_constant__ Params p) {
  extern __shared__ float shared[];  // [H*D] y of all lanes where through_shared; then scratch
  float* scratch = shared + (p.through_shared ? p.chunks * kElements : 0);
  Place places[kChunks];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int chunk = c * blockDim.x + threadIdx.x;
    places[c].head = chunk / p.head_chunks;
    places[c].lane = (chunk - places[c].head * p.head_chunks) * kElements;
  }
  Eight<T> next[kChunks];
  const auto load = [&](std::uint32_t at) {
    if (at >= p.rows) return;
    const Row row = RowOf(p, at);
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const int chunk = c * blockDim.x + threadIdx.x;
      if (chunk < p.chunks) {
        next[c].Load(static_cast<const T*>(p.x[row.tensor]) +
                     OffsetOf(p.in[row.tensor], row, places[c]));
      }
    }
  };
  load(blockIdx.x);
  for (std::uint32_t at = blockIdx.x; at < p.rows; at += gridDim.x) {
    const Row row = RowOf(p, at);
    float y[kChunks][kElements];
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      if (c * blockDim.x + threadIdx.x < p.chunks) {
        next[c].Get(y[c]);
      } else {
#pragma unroll
        for (float& v : y[c]) v = 0.f;
      }
    }
    load(at + gridDim.x);

    if (p.norm != static_cast<int>(NormKind::kNone)) {
      const bool hidden = p.scope == static_cast<int>(NormScope::kHidden);
      const float count = static_cast<float>(hidden ? p.chunks * kElements : p.head_dim);
      float part[kChunks];
      if (p.norm == static_cast<int>(NormKind::kLayer)) {
#pragma unroll
        for (int c = 0; c < kChunks; ++c) {
          part[c] = 0.f;
#pragma unroll
          for (const float v : y[c]) part[c] += v;
        }
        Reduce(p, part, scratch);
#pragma unroll
        for (int c = 0; c < kChunks; ++c) {
          if (c * blockDim.x + threadIdx.x >= p.chunks) continue;
#pragma unroll
          for (float& v : y[c]) v -= part[c] / count;
        }
      }
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
        part[c] = 0.f;
#pragma unroll
        for (const float v : y[c]) part[c] += v * v;
      }
      Reduce(p, part, scratch);
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
        if (c * blockDim.x + threadIdx.x >= p.chunks) continue;
        const float factor = 1.f / sqrtf(part[c] / count + p.epsilon);
        float weight[kElements], bias[kElements];
#pragma unroll
        for (int i = 0; i < kElements; ++i) weight[i] = 1.f, bias[i] = 0.f;
        if (p.weight[row.tensor] != nullptr) ReadVector(p, p.weight[row.tensor], places[c], weight);
        if (p.bias[row.tensor] != nullptr) ReadVector(p, p.bias[row.tensor], places[c], bias);
#pragma unroll
        for (int i = 0; i < kElements; ++i) y[c][i] = y[c][i] * factor * weight[i] + bias[i];
      }
    }

    const int table_row = row.token - p.first_rotated[row.tensor];
    if (p.rope != static_cast<int>(RopeForm::kNone) && table_row >= 0 && table_row < p.rotated) {
      if (p.through_shared) {
        __syncthreads();  // the last token's lanes have been read
#pragma unroll
        for (int c = 0; c < kChunks; ++c) {
          const int chunk = c * blockDim.x + threadIdx.x;
          if (chunk < p.chunks) Write(shared + chunk * kElements, y[c]);
        }
        __syncthreads();
      }
      const std::int64_t tables =
          (static_cast<std::int64_t>(p.table_batch == 1 ? 0 : row.batch) * p.rotated + table_row) *
          p.table_heads;
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
        if (c * blockDim.x + threadIdx.x >= p.chunks) continue;
        const int head = places[c].head, d = places[c].lane;
        if (d + kElements <= p.rotary_start || d >= p.rotary_start + p.rotary_lanes) continue;
        float cos[kElements], sin[kElements];
        ReadTables(p, (tables + (p.table_heads == 1 ? 0 : head)) * p.rotary_lanes, d, cos, sin);
        if (!p.through_shared) {  // interleaved, pairs within the chunk
#pragma unroll
          for (int i = 0; i < kElements; i += 2) {
            const float first = y[c][i], second = y[c][i + 1];
            y[c][i] = first * cos[i] - second * sin[i];
            y[c][i + 1] = second * cos[i + 1] + first * sin[i + 1];
          }
          continue;
        }
        const float* lanes = shared + head * p.head_dim;
        const int half = p.rotary_lanes / 2;
#pragma unroll
        for (int i = 0; i < kElements; ++i) {
          const int lane = d + i - p.rotary_start;  // of those rotated
          if (lane < 0 || lane >= p.rotary_lanes) continue;
          const bool interleaved = p.rope == static_cast<int>(RopeForm::kInterleaved);
          const bool first = interleaved ? lane % 2 == 0 : lane < half;
          const int distance = interleaved ? 1 : half;
          const float partner = lanes[d + i + (first ? distance : -distance)];
          y[c][i] = y[c][i] * cos[i] + (first ? -partner : partner) * sin[i];
        }
      }
    }
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      if (c * blockDim.x + threadIdx.x >= p.chunks) continue;
      Write(static_cast<T*>(p.out[row.tensor]) + OffsetOf(p.to[row.tensor], row, places[c]), y[c]);
    }
  }
}

template <typename T>
const void* KernelOf(int chunks_of_thread) {
  switch (chunks_of_thread) {
    case 1: return reinterpret_cast<const void*>(&Kernel<T, 1>);
    case 2: return reinterpret_cast<const void*>(&Kernel<T, 2>);
    case 4: return reinterpret_cast<const void*>(&Kernel<T, 4>);
    default: return reinterpret_cast<const void*>(&Kernel<T, 8>);
  }
}

}  // namespace

Status LaunchQkNormRope(const QkNormRopeProblem& problem, const QkNormRopeBuffers& b,
                        CUstream_st* stream) {
  SPARSEDIT_RETURN_IF_ERROR(CheckQkNormRope(problem));
  const bool rotates = problem.rope != RopeForm::kNone && problem.rotated > 0 &&
                       problem.rotary_lanes > 0;
  for (int i = 0; i < problem.tensors; ++i) {
    SPARSEDIT_REQUIRE(IsAligned(b.x[i], 16) && IsAligned(b.out[i], 16), Status::kInvalidArgument);
    SPARSEDIT_REQUIRE(b.out[i] != b.x[i] || problem.layout == problem.output_layout,
                      Status::kInvalidArgument);
    SPARSEDIT_REQUIRE((b.weight[i] == nullptr || IsAligned(b.weight[i], 16)) &&
                          (b.bias[i] == nullptr || IsAligned(b.bias[i], 16)),
                      Status::kInvalidArgument);
  }
  SPARSEDIT_REQUIRE(!rotates || (IsAligned(b.cos, 16) && IsAligned(b.sin, 16)),
                    Status::kInvalidArgument);

  Params p = {};
  const std::int64_t d = problem.head_dim, h = problem.heads;
  for (int i = 0; i < problem.tensors; ++i) {
    p.x[i] = b.x[i];
    p.out[i] = b.out[i];
    p.weight[i] = b.weight[i];
    p.bias[i] = b.bias[i];
    p.tokens[i] = problem.tokens[i];
    p.first_rotated[i] =
        problem.first_rotated < 0 ? problem.tokens[i] - problem.rotated : problem.first_rotated;
    const std::int64_t s = problem.tokens[i];
    const auto stride = [&](Layout layout) {
      return layout == Layout::kBhsd ? Params::Stride{h * s * d, s * d, d}
                                     : Params::Stride{h * s * d, d, h * d};
    };
    p.in[i] = stride(problem.layout);
    p.to[i] = stride(problem.output_layout);
    p.rows += static_cast<std::uint32_t>(problem.batch * s);
    if (i == 0) p.rows_of_first = p.rows;
  }
  p.cos = b.cos;
  p.sin = b.sin;
  p.batch = problem.batch;
  p.heads = problem.heads;
  p.head_dim = problem.head_dim;
  p.chunks = problem.heads * problem.head_dim / kElements;
  p.head_chunks = problem.head_dim / kElements;
  p.norm = static_cast<int>(problem.norm);
  p.scope = static_cast<int>(problem.scope);
  p.epsilon = problem.epsilon;
  p.weight_type = static_cast<int>(problem.weight_type);
  p.weight_of_head = problem.weight_of_head;
  p.rope = rotates ? static_cast<int>(problem.rope) : 0;
  p.rotary_start = problem.rotary_start;
  p.rotary_lanes = problem.rotary_lanes;
  p.rotated = problem.rotated;
  p.table_batch = problem.table_batch;
  p.table_heads = problem.table_heads;
  p.through_shared =
      rotates && (problem.rope == RopeForm::kHalf || problem.rotary_start % 2 != 0);
  p.whole_tables = problem.rotary_lanes % kElements == 0 && problem.rotary_start % kElements == 0;

  // As many chunks a thread as keep a block at 64 to 512 threads; whole heads side by side.
  int chunks_of_thread = 1;
  while (chunks_of_thread < 8 && p.chunks > 96 * chunks_of_thread) chunks_of_thread *= 2;
  if (chunks_of_thread == 8 && p.chunks <= 4 * kMaxThreads) chunks_of_thread = 4;
  int threads = static_cast<int>(CeilDiv(CeilDiv(p.chunks, chunks_of_thread), 32) * 32);
  p.even_heads = p.head_chunks <= 32 && (p.head_chunks & (p.head_chunks - 1)) == 0;

  const void* kernel = problem.type == DataType::kFloat16    ? KernelOf<__half>(chunks_of_thread)
                       : problem.type == DataType::kBFloat16 ? KernelOf<__nv_bfloat16>(chunks_of_thread)
                                                             : KernelOf<float>(chunks_of_thread);
  const bool by_head = problem.norm != NormKind::kNone && problem.scope == NormScope::kHead;
  const std::size_t floats = (p.through_shared ? p.chunks * kElements : 0) +
                             (by_head && !p.even_heads ? p.chunks : 32);
  int device = 0, processors = 0, blocks = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device) != cudaSuccess ||
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(floats * 4)) != cudaSuccess ||
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, floats * 4) !=
          cudaSuccess ||
      blocks == 0) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  const std::uint32_t grid = std::min<std::uint32_t>(p.rows, processors * blocks);
  void* arguments[] = {&p};
  if (cudaLaunchKernel(kernel, dim3(grid), dim3(threads), arguments,
                       floats * 4, stream) != cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  return LaunchStatus();
}

}  // namespace sparsedit
