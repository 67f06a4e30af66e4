// The portable path of head classes: any type and head dim, sm_80 on, no tensor cores.
//
// A block walks its run of tiles of 32 keys with 32 sampled rows; the online softmax is in f32. A
// warp owns eight rows: a lane is a key while scores are computed and a set of output columns while
// values are added, to all three outputs at once.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

#include "kernels/exponential.h"
#include "kernels/head_classes_device.cuh"

namespace sparsedit {
namespace {

constexpr int kRows = kPortableProfileRows;
constexpr int kKeys = 32;
constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kRowsPerWarp = kRows / kWarps;
constexpr int kMaxDim = 128;
constexpr int kColumns = kMaxDim / 32;
constexpr int kPitch = kMaxDim + 1;
constexpr int kBlocksPerMultiprocessor = 2;

__device__ float ToFloat(float x) { return x; }
__device__ float ToFloat(__half x) { return __half2float(x); }
__device__ float ToFloat(__nv_bfloat16 x) { return __bfloat162float(x); }

__device__ float WarpMax(float x) {
  for (int d = 16; d > 0; d /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, d));
  return x;
}
__device__ float WarpSum(float x) {
  for (int d = 16; d > 0; d /= 2) x += __shfl_xor_sync(0xffffffffu, x, d);
  return x;
}

// The three results of the rows of a warp.
struct Accumulator {
  float o[kProfileOutputs][kRowsPerWarp][kColumns];
  float maximum[kProfileOutputs][kRowsPerWarp];
  float sum[kProfileOutputs][kRowsPerWarp];
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    PortableProfile(const __grid_constant__ ProfileParams p) {
  __shared__ float queries[kRows][kPitch];
  __shared__ float tile[kKeys][kPitch];
  __shared__ float probabilities[kProfileOutputs][kRows][kKeys];
  if (!ActionPlans(*p.action)) return;
  const SeenBy seen(p);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, dim = p.head_dim;
  const std::int64_t end = FirstTile(p, blockIdx.x + 1);
  std::int64_t at = FirstTile(p, blockIdx.x);
  while (at < end) {
    const int unit = static_cast<int>(at / p.tiles);
    const int first_tile = static_cast<int>(at - static_cast<std::int64_t>(unit) * p.tiles);
    const int count = static_cast<int>(min(end - at, static_cast<std::int64_t>(p.tiles - first_tile)));
    at += count;
    const int bh = unit / p.row_groups, first_row = unit % p.row_groups * kRows;
    const int batch = bh / p.heads;
    const std::int64_t offset = batch * p.strides.batch + bh % p.heads * p.strides.head;
    const T* q = static_cast<const T*>(p.q) + offset;
    const T* k = static_cast<const T*>(p.k) + offset;
    const T* v = static_cast<const T*>(p.v) + offset;

    __syncthreads();  // the tile before is done with the queries
    for (int i = threadIdx.x; i < kRows * dim; i += kThreads) {
      const int row = first_row + i / dim, d = i % dim;
      queries[i / dim][d] =
          row < p.sampled_rows ? ToFloat(q[seen.RowToken(row) * p.strides.token + d]) : 0.0f;
    }
    SeenRange ranges[2][kRowsPerWarp];
    Accumulator acc;
#pragma unroll
    for (int r = 0; r < kRowsPerWarp; ++r) {
      for (int c = 0; c < 2; ++c) {
        ranges[c][r] = seen.RangeOf(first_row + warp * kRowsPerWarp + r, c == 1);
      }
      for (int m = 0; m < kProfileOutputs; ++m) {
        acc.maximum[m][r] = -INFINITY;
        acc.sum[m][r] = 0.0f;
        for (int c = 0; c < kColumns; ++c) acc.o[m][r][c] = 0.0f;
      }
    }

    for (int t = first_tile; t < first_tile + count; ++t) {
      const int first_key = t * kKeys, keys = min(kKeys, p.tokens - first_key);
      const auto load = [&](const T* source) {
        for (int i = threadIdx.x; i < kKeys * dim; i += kThreads) {
          const int row = i / dim, d = i % dim;
          tile[row][d] =
              row < keys ? ToFloat(source[(first_key + row) * p.strides.token + d]) : 0.0f;
        }
      };
      load(k);
      float bias = -INFINITY;
      int positions[2] = {0, 0};
      if (lane < keys) {
        const int token = first_key + lane;
        bias = p.key_bias == nullptr
                   ? 0.0f
                   : p.key_bias[static_cast<std::int64_t>(batch) * p.tokens + token] * kLog2E;
        for (int c = 0; c < 2; ++c) positions[c] = seen.Position(token, c == 1);
      }
      __syncthreads();
      float scores[kRowsPerWarp] = {};
      for (int d = 0; d < dim; ++d) {
        const float key = tile[lane][d];
#pragma unroll
        for (int r = 0; r < kRowsPerWarp; ++r) {
          scores[r] += queries[warp * kRowsPerWarp + r][d] * key;
        }
      }
#pragma unroll
      for (int r = 0; r < kRowsPerWarp; ++r) {
        const float all = scores[r] * p.scale_log2 + bias;
#pragma unroll
        for (int m = 0; m < kProfileOutputs; ++m) {
          const float score =
              m == 0 || ranges[m - 1][r].Has(positions[m - 1]) ? all : -INFINITY;
          const float maximum = fmaxf(acc.maximum[m][r], WarpMax(score));
          const float shift = maximum == -INFINITY ? 0.0f : maximum;
          const float power = exp2f(score - shift);
          const float correction = exp2f(acc.maximum[m][r] - shift);
          acc.maximum[m][r] = maximum;
          acc.sum[m][r] = acc.sum[m][r] * correction + WarpSum(power);
#pragma unroll
          for (int c = 0; c < kColumns; ++c) acc.o[m][r][c] *= correction;
          probabilities[m][warp * kRowsPerWarp + r][lane] = power;
        }
      }
      __syncthreads();
      load(v);
      __syncthreads();
      for (int key = 0; key < kKeys; ++key) {
        float value[kColumns];
#pragma unroll
        for (int c = 0; c < kColumns; ++c) {
          value[c] = lane + 32 * c < dim ? tile[key][lane + 32 * c] : 0.0f;
        }
#pragma unroll
        for (int m = 0; m < kProfileOutputs; ++m) {
#pragma unroll
          for (int r = 0; r < kRowsPerWarp; ++r) {
            const float power = probabilities[m][warp * kRowsPerWarp + r][key];
#pragma unroll
            for (int c = 0; c < kColumns; ++c) acc.o[m][r][c] += power * value[c];
          }
        }
      }
      __syncthreads();
    }

    const std::int64_t slot = static_cast<std::int64_t>(blockIdx.x) + unit;
#pragma unroll
    for (int m = 0; m < kProfileOutputs; ++m) {
#pragma unroll
      for (int r = 0; r < kRowsPerWarp; ++r) {
        const std::int64_t row = (slot * kProfileOutputs + m) * kRows + warp * kRowsPerWarp + r;
#pragma unroll
        for (int c = 0; c < kColumns; ++c) {
          if (lane + 32 * c < dim) p.outputs[row * dim + lane + 32 * c] = acc.o[m][r][c];
        }
        if (lane == 0) p.sums[row] = make_float2(acc.maximum[m][r], acc.sum[m][r]);
      }
    }
  }
}

}  // namespace

Status LaunchPortableProfile(ProfileParams& p, const HeadClassesProblem& problem,
                             int multiprocessors, CUstream_st* stream) {
  ShareTiles(p, problem.batch * problem.heads, kRows, kKeys,
             std::min(multiprocessors * kBlocksPerMultiprocessor, kMostPortableWorkers));
  switch (problem.type) {
    case DataType::kFloat32: PortableProfile<float><<<p.workers, kThreads, 0, stream>>>(p); break;
    case DataType::kFloat16: PortableProfile<__half><<<p.workers, kThreads, 0, stream>>>(p); break;
    case DataType::kBFloat16:
      PortableProfile<__nv_bfloat16><<<p.workers, kThreads, 0, stream>>>(p);
      break;
  }
  return LaunchStatus();
}

}  // namespace sparsedit
