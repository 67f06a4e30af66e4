// AdaSpa's search on any GPU, type, head dim and block size: f32 arithmetic without tensor cores.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/adaspa_search.h"

namespace sparsedit {
namespace {

constexpr int kTile = 64;
constexpr int kDepth = 16;
constexpr int kThreads = 256;
constexpr float kInfinity = __builtin_huge_valf();

__device__ __forceinline__ float ToFloat(float x) { return x; }
__device__ __forceinline__ float ToFloat(__half x) { return __half2float(x); }
__device__ __forceinline__ float ToFloat(__nv_bfloat16 x) { return __bfloat162float(x); }

struct Stage {
  float query[kDepth][kTile + 4];
  float key[kDepth][kTile + 4];
};

// Products of 64 queries and 64 keys, 4 x 4 to a thread; tokens past a run's end count as zeros.
template <typename T>
__device__ void Multiply(const AdaSpaSearchArgs& a, int all_head, TokenRun queries, TokenRun keys,
                         Stage& stage, float (&acc)[4][4]) {
  const std::int64_t head =
      all_head / a.heads * a.strides.batch + all_head % a.heads * a.strides.head;
  const T* q = static_cast<const T*>(a.q) + head;
  const T* k = static_cast<const T*>(a.k) + head;
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  const int row = threadIdx.x / 4, element = threadIdx.x % 4 * 4;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) acc[i][j] = 0.0f;
  }
  for (int d0 = 0; d0 < a.head_dim; d0 += kDepth) {
    float from_q[4] = {}, from_k[4] = {};
    if (row < queries.count) {
      const T* p = q + (queries.first + row) * a.strides.token + d0 + element;
#pragma unroll
      for (int i = 0; i < 4; ++i) from_q[i] = ToFloat(p[i]);
    }
    if (row < keys.count) {
      const T* p = k + (keys.first + row) * a.strides.token + d0 + element;
#pragma unroll
      for (int i = 0; i < 4; ++i) from_k[i] = ToFloat(p[i]);
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      stage.query[element + i][row] = from_q[i];
      stage.key[element + i][row] = from_k[i];
    }
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      const float4 u = *reinterpret_cast<const float4*>(&stage.query[d][y * 4]);
      const float4 v = *reinterpret_cast<const float4*>(&stage.key[d][x * 4]);
      const float us[4] = {u.x, u.y, u.z, u.w}, vs[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) acc[i][j] = fmaf(us[i], vs[j], acc[i][j]);
      }
    }
  }
}

// A scaled score with its key's bias; -inf past the end of the keys.
__device__ __forceinline__ float Score(const AdaSpaSearchArgs& a, int batch, TokenRun keys, int key,
                                       float product) {
  if (key >= keys.count) return -kInfinity;
  const float score = product * a.scale;
  return a.key_bias == nullptr
             ? score
             : score + a.key_bias[static_cast<std::int64_t>(batch) * a.tokens + keys.first + key];
}

// Of 64 queries a block. Each thread keeps the maximum and the sum of its columns of four rows.
template <typename T>
__global__ void __launch_bounds__(kThreads) PortableLse(const AdaSpaSearchArgs a) {
  if (!ActionPlans(*a.action) || !IsCold(*a.action)) return;
  __shared__ __align__(16) Stage stage;
  const int all_head = blockIdx.y, batch = all_head / a.heads;
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  const int first = blockIdx.x * kTile;
  const TokenRun queries = {first, min(kTile, a.tokens - first)};
  float high[4], sum[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    high[i] = -kInfinity;
    sum[i] = 0.0f;
  }
  for (int start = 0; start < a.tokens; start += kTile) {
    const TokenRun keys = {start, min(kTile, a.tokens - start)};
    float acc[4][4];
    Multiply<T>(a, all_head, queries, keys, stage, acc);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float most = high[i];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        acc[i][j] = Score(a, batch, keys, x * 4 + j, acc[i][j]);
        most = fmaxf(most, acc[i][j]);
      }
      if (most == -kInfinity) continue;
      sum[i] *= expf(high[i] - most);
#pragma unroll
      for (int j = 0; j < 4; ++j) sum[i] += expf(acc[i][j] - most);
      high[i] = most;
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float most = high[i];
#pragma unroll
    for (int distance = 1; distance < 16; distance *= 2) {
      most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, distance));
    }
    float all = high[i] == -kInfinity ? 0.0f : sum[i] * expf(high[i] - most);
#pragma unroll
    for (int distance = 1; distance < 16; distance *= 2) {
      all += __shfl_xor_sync(0xffffffffu, all, distance);
    }
    const int row = y * 4 + i;
    if (x == 0 && row < queries.count) {
      a.lse[static_cast<std::int64_t>(all_head) * a.tokens + queries.first + row] =
          most == -kInfinity ? kInfinity : most + logf(all);
    }
  }
}

// A thread block takes a square of `group` x `group` blocks of W: as many as fit a tile of 64 x 64,
// or one, of several tiles.
template <typename T>
__global__ void __launch_bounds__(kThreads) PortableMass(const AdaSpaSearchArgs a, int group) {
  if (!ActionPlans(*a.action)) return;
  __shared__ __align__(16) Stage stage;
  __shared__ float mass[kTile][kTile + 1];  // of a row and column
  __shared__ float rows[kTile][kTile + 1];  // of a row and block
  const BlockSplit split = BlockSplit::Read(a);
  const int all_head = blockIdx.z, batch = all_head / a.heads;
  // Groups of video, then groups of text, as blocks straddle no end of either.
  const int of_video = (split.video_blocks + group - 1) / group;
  const int of_text = (split.text_blocks + group - 1) / group;
  const int query_group = blockIdx.y, key_group = blockIdx.x;
  if (max(query_group, key_group) >= of_video + of_text) return;
  const auto first_block = [&](int g) {
    return g < of_video ? g * group : split.video_blocks + (g - of_video) * group;
  };
  const int query_block = first_block(query_group), key_block = first_block(key_group);
  const TokenRun all_queries = split.Tokens(query_block, group);
  const TokenRun all_keys = split.Tokens(key_block, group);
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  const int width = min(a.block_size, kTile);  // of a block in a tile
  const int count = group * group;
  float sums[kTile * kTile / kThreads];
#pragma unroll
  for (float& sum : sums) sum = 0.0f;

  for (int q0 = 0; q0 < all_queries.count; q0 += kTile) {
    const TokenRun queries = {all_queries.first + q0, min(kTile, all_queries.count - q0)};
    float lse[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = y * 4 + i;
      lse[i] = row < queries.count ? a.lse[static_cast<std::int64_t>(all_head) * a.tokens +
                                           queries.first + row]
                                   : kInfinity;
    }
    for (int k0 = 0; k0 < all_keys.count; k0 += kTile) {
      const TokenRun keys = {all_keys.first + k0, min(kTile, all_keys.count - k0)};
      float acc[4][4];
      Multiply<T>(a, all_head, queries, keys, stage, acc);
      __syncthreads();
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          mass[y * 4 + i][x * 4 + j] =
              lse[i] == kInfinity ? 0.0f
                                  : expf(Score(a, batch, keys, x * 4 + j, acc[i][j]) - lse[i]);
        }
      }
      __syncthreads();
      for (int i = threadIdx.x; i < kTile * group; i += kThreads) {
        const int row = i % kTile, block = i / kTile;
        float sum = 0.0f;
        for (int j = 0; j < width; ++j) sum += mass[row][block * width + j];
        rows[row][block] = sum;
      }
      __syncthreads();
#pragma unroll
      for (int n = 0; n < kTile * kTile / kThreads; ++n) {
        const int i = n * kThreads + threadIdx.x;
        if (i >= count) break;
        for (int r = 0; r < width; ++r) sums[n] += rows[i / group * width + r][i % group];
      }
    }
  }
#pragma unroll
  for (int n = 0; n < kTile * kTile / kThreads; ++n) {
    const int i = n * kThreads + threadIdx.x;
    if (i >= count) break;
    const int row = i / group, column = i % group;
    // The last group of either kind may have fewer blocks.
    if (row * a.block_size < all_queries.count && column * a.block_size < all_keys.count) {
      a.mass[(static_cast<std::int64_t>(all_head) * a.segments + query_block + row) * a.segments +
             key_block + column] = sums[n];
    }
  }
}

template <typename T>
void LaunchLse(const AdaSpaSearchArgs& args, CUstream_st* stream) {
  const dim3 grid(static_cast<unsigned>(CeilDiv(args.tokens, kTile)), args.batch * args.heads);
  PortableLse<T><<<grid, kThreads, 0, stream>>>(args);
}
template <typename T>
void LaunchMass(const AdaSpaSearchArgs& args, CUstream_st* stream) {
  const int group = args.block_size > kTile ? 1 : kTile / args.block_size;
  // One more for a part of text.
  const unsigned groups = static_cast<unsigned>(CeilDiv(args.segments, group) + 1);
  PortableMass<T><<<dim3(groups, groups, args.batch * args.heads), kThreads, 0, stream>>>(args,
                                                                                          group);
}

}  // namespace

Status LaunchPortableLse(const AdaSpaSearchArgs& args, DataType type, CUstream_st* stream) {
  switch (type) {
    case DataType::kFloat16: LaunchLse<__half>(args, stream); break;
    case DataType::kBFloat16: LaunchLse<__nv_bfloat16>(args, stream); break;
    case DataType::kFloat32: LaunchLse<float>(args, stream); break;
  }
  return LaunchStatus();
}

Status LaunchPortableMass(const AdaSpaSearchArgs& args, DataType type, CUstream_st* stream) {
  switch (type) {
    case DataType::kFloat16: LaunchMass<__half>(args, stream); break;
    case DataType::kBFloat16: LaunchMass<__nv_bfloat16>(args, stream); break;
    case DataType::kFloat32: LaunchMass<float>(args, stream); break;
  }
  return LaunchStatus();
}

}  // namespace sparsedit
