// The portable path of block-sparse attention: any type and head dim, sm_80 on, no tensor cores.
//
// A block takes one item of 32 query rows and walks its kept key segments in tiles of 32 keys,
// gathering rows by token as it goes; the online softmax is in f32 (FlashAttention, arXiv
// 2205.14135). A warp owns eight rows: a lane is a key while scores are computed and a set of
// output columns while values are added.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/block_sparse_attention_paths.h"
#include "kernels/strides.h"

namespace sparsedit {
namespace {

constexpr int kRows = kPortableAttentionRows;
constexpr int kKeys = 32;
constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kRowsPerWarp = kRows / kWarps;
constexpr int kMaxDim = 128;
constexpr int kPitch = kMaxDim + 1;

struct PortableParams {
  BlockSparseAttentionArgs args;
  Strides strides, key_strides;  // of q and o, of k and v
  const AttentionItem* items;
  const AttentionQueue* queue;
};

__device__ float ToFloat(float x) { return x; }
__device__ float ToFloat(__half x) { return __half2float(x); }
__device__ float ToFloat(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ void Store(float* p, float x) { *p = x; }
__device__ void Store(__half* p, float x) { *p = __float2half_rn(x); }
__device__ void Store(__nv_bfloat16* p, float x) { *p = __float2bfloat16_rn(x); }

__device__ float WarpMax(float x) {
  for (int d = 16; d > 0; d /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, d));
  return x;
}
__device__ float WarpSum(float x) {
  for (int d = 16; d > 0; d /= 2) x += __shfl_xor_sync(0xffffffffu, x, d);
  return x;
}

// What a block accumulates for its rows.
struct Accumulator {
  float o[kRowsPerWarp][kMaxDim / 32];
  float maximum[kRowsPerWarp];
  float sum[kRowsPerWarp];
};

// Attends one tile: scores from `tile` (keys), then `load_values` replaces it by the values.
// `bias` is this lane's key's, -inf past the end.
template <typename LoadValues>
__device__ void AttendTile(Accumulator& acc, const float (*queries)[kPitch],
                           float (*tile)[kPitch], float (*probabilities)[kKeys], int dim,
                           float scale, float bias, LoadValues load_values) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float scores[kRowsPerWarp] = {};
  for (int d = 0; d < dim; ++d) {
    const float key = tile[lane][d];
#pragma unroll
    for (int r = 0; r < kRowsPerWarp; ++r) scores[r] += queries[warp * kRowsPerWarp + r][d] * key;
  }
#pragma unroll
  for (int r = 0; r < kRowsPerWarp; ++r) {
    const float score = scores[r] * scale + bias;
    const float maximum = fmaxf(acc.maximum[r], WarpMax(score));
    const float shift = maximum == -INFINITY ? 0.0f : maximum;
    const float p = expf(score - shift);
    const float correction = expf(acc.maximum[r] - shift);
    acc.maximum[r] = maximum;
    acc.sum[r] = acc.sum[r] * correction + WarpSum(p);
    for (int c = 0; c < kMaxDim / 32; ++c) acc.o[r][c] *= correction;
    probabilities[warp * kRowsPerWarp + r][lane] = p;
  }
  __syncthreads();
  load_values();
  __syncthreads();
  for (int key = 0; key < kKeys; ++key) {
    float value[kMaxDim / 32];
#pragma unroll
    for (int c = 0; c < kMaxDim / 32; ++c) {
      value[c] = lane + 32 * c < dim ? tile[key][lane + 32 * c] : 0.0f;
    }
#pragma unroll
    for (int r = 0; r < kRowsPerWarp; ++r) {
      const float p = probabilities[warp * kRowsPerWarp + r][key];
#pragma unroll
      for (int c = 0; c < kMaxDim / 32; ++c) acc.o[r][c] += p * value[c];
    }
  }
  __syncthreads();
}

template <typename T>
__global__ void __launch_bounds__(kThreads) PortableKernel(const PortableParams params) {
  __shared__ float queries[kRows][kPitch];
  __shared__ float tile[kKeys][kPitch];
  __shared__ float probabilities[kRows][kKeys];
  if (static_cast<int>(blockIdx.x) >= params.queue->made) return;
  const BlockSparseAttentionArgs& args = params.args;
  const AttentionPart item = params.items[blockIdx.x].parts[0];
  const int all_head = params.items[blockIdx.x].head;
  const bool sparse = item.segment >= 0;
  const int dim = args.head_dim, tokens = KeyTokens(args.shape);
  const int batch = all_head / args.shape.heads, head = all_head % args.shape.heads;
  const std::int64_t offset = batch * params.strides.batch + head * params.strides.head;
  const T* q = static_cast<const T*>(args.q) + offset;
  const std::int64_t key_offset =
      batch * params.key_strides.batch + head * params.key_strides.head;
  const T* k = static_cast<const T*>(args.k) + key_offset;
  const T* v = static_cast<const T*>(args.v) + key_offset;
  const std::int64_t order_at = static_cast<std::int64_t>(all_head) * args.shape.tokens;
  const std::int32_t* query_order =
      sparse && args.plan.query_order != nullptr ? args.plan.query_order + order_at : nullptr;
  const std::int32_t* key_order =
      sparse && args.plan.key_order != nullptr
          ? args.plan.key_order + static_cast<std::int64_t>(all_head) * tokens
          : nullptr;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

  for (int i = threadIdx.x; i < kRows * dim; i += kThreads) {
    const int row = i / dim, d = i % dim;
    float value = 0.0f;
    if (row < item.rows) {
      const int token = query_order == nullptr ? item.row + row : query_order[item.row + row];
      value = ToFloat(q[token * params.strides.token + d]);
    }
    queries[row][d] = value;
  }
  Accumulator acc;
#pragma unroll
  for (int r = 0; r < kRowsPerWarp; ++r) {
    acc.maximum[r] = -INFINITY;
    acc.sum[r] = 0.0f;
    for (int c = 0; c < kMaxDim / 32; ++c) acc.o[r][c] = 0.0f;
  }

  // Attends the key positions [start, stop).
  auto attend_run = [&](int start, int stop) {
    for (int first = start; first < stop; first += kKeys) {
      const int keys = min(kKeys, stop - first);
      auto load = [&](const T* source) {
        for (int i = threadIdx.x; i < kKeys * dim; i += kThreads) {
          const int row = i / dim, d = i % dim;
          float value = 0.0f;
          if (row < keys) {
            const int token = key_order == nullptr ? first + row : key_order[first + row];
            value = ToFloat(source[token * params.key_strides.token + d]);
          }
          tile[row][d] = value;
        }
      };
      load(k);
      float bias = lane < keys ? 0.0f : -INFINITY;
      if (lane < keys && args.key_bias != nullptr) {
        const int token = key_order == nullptr ? first + lane : key_order[first + lane];
        bias = args.key_bias[static_cast<std::int64_t>(batch) * tokens + token];
      }
      __syncthreads();
      AttendTile(acc, queries, tile, probabilities, dim, args.scale, bias, [&] { load(v); });
    }
  };

  if (!sparse) {
    attend_run(0, tokens);
  } else {
    const int segments = args.shape.key_segments;
    const std::int32_t* offsets =
        args.plan.key_offsets + static_cast<std::int64_t>(all_head) * (segments + 1);
    const std::int32_t* keep_row =
        args.plan.keep +
        (static_cast<std::int64_t>(all_head) * args.shape.query_segments + item.segment) *
            KeepWords(segments);
    for (int j = 0; j < segments; ++j) {
      if (Keeps(keep_row, j)) attend_run(offsets[j], offsets[j + 1]);
    }
    if (args.means_k != nullptr) {
      const std::int64_t means_at = static_cast<std::int64_t>(all_head) * segments * dim;
      for (int first = 0; first < segments; first += kKeys) {
        const int keys = min(kKeys, segments - first);
        auto load = [&](const float* means) {
          for (int i = threadIdx.x; i < kKeys * dim; i += kThreads) {
            const int row = i / dim, d = i % dim;
            tile[row][d] =
                row < keys ? means[means_at + static_cast<std::int64_t>(first + row) * dim + d]
                           : 0.0f;
          }
        };
        load(args.means_k);
        float bias = -INFINITY;
        if (lane < keys && !Keeps(keep_row, first + lane)) {
          bias = args.means_bias == nullptr
                     ? logf(static_cast<float>(offsets[first + lane + 1] - offsets[first + lane]))
                     : args.means_bias[static_cast<std::int64_t>(all_head) * segments + first +
                                       lane];
        }
        __syncthreads();
        AttendTile(acc, queries, tile, probabilities, dim, args.scale, bias,
                   [&] { load(args.means_v); });
      }
    }
  }

#pragma unroll
  for (int r = 0; r < kRowsPerWarp; ++r) {
    const int row = warp * kRowsPerWarp + r;
    if (row >= item.rows) break;
    const int token = query_order == nullptr ? item.row + row : query_order[item.row + row];
    const float inverse = acc.sum[r] > 0.0f ? 1.0f / acc.sum[r] : 0.0f;
    T* o = static_cast<T*>(args.o) + offset + token * params.strides.token;
#pragma unroll
    for (int c = 0; c < kMaxDim / 32; ++c) {
      if (lane + 32 * c < dim) Store(&o[lane + 32 * c], acc.o[r][c] * inverse);
    }
    if (args.lse != nullptr && lane == 0) {
      args.lse[order_at + token] =
          acc.sum[r] > 0.0f ? acc.maximum[r] + logf(acc.sum[r]) : -INFINITY;
    }
  }
}

}  // namespace

Status LaunchPortableAttention(const BlockSparseAttentionArgs& args,
                               const BlockSparseAttentionWorkspace& workspace,
                               CUstream_st* stream) {
  const PortableParams params{args, StridesOf(args.shape, args.head_dim, args.layout),
                              KeyStridesOf(args.shape, args.head_dim, args.layout),
                              workspace.items[0], workspace.queues};
  const unsigned blocks = static_cast<unsigned>(workspace.item_capacity);
  switch (args.type) {
    case DataType::kFloat32:
      PortableKernel<float><<<blocks, kThreads, 0, stream>>>(params);
      break;
    case DataType::kFloat16:
      PortableKernel<__half><<<blocks, kThreads, 0, stream>>>(params);
      break;
    case DataType::kBFloat16:
      PortableKernel<__nv_bfloat16><<<blocks, kThreads, 0, stream>>>(params);
      break;
  }
  return LaunchStatus();
}

}  // namespace sparsedit
