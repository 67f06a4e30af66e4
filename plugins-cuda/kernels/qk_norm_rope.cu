#include "kernels/qk_norm_rope.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

namespace sparsedit {
namespace {

constexpr int kLanes = 8;         // of a chunk, what a thread reads and writes at a time
constexpr int kThreads = 256;     // of a block, at most
constexpr int kSharedLimit = 96 * 1024;  // of a block, on every GPU from sm_86 on

// A warp covers `heads_of_warp` whole heads, a chunk a lane; that is a sweep. Lanes beyond are idle.
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
  std::uint32_t rows[2];  // B * S
  int tokens[2];
  int tensors, batch, heads, head_dim;
  int head_chunks;    // D / 8
  int heads_of_warp;  // 32 / head_chunks
  int sweeps;         // of a row
  int warps;          // of a row
  int spread;         // half the least power of two that is no less than head_chunks
  NormKind norm;
  NormScope scope;
  float epsilon, root_epsilon, root_floor;
  float of_count;  // 1 over the lanes that a mean is over
  DataType weight_type[2], bias_type[2];
  bool weight_of_head;
  RopeForm rope;
  int rotary_start, rotary_lanes, rotated, table_batch, table_heads;
};

// Eight elements as they are in memory.
template <typename T>
struct Chunk {
  static constexpr int kWords = kLanes * sizeof(T) / 16;
  uint4 words[kWords];

  __device__ void Clear() {
#pragma unroll
    for (uint4& word : words) word = make_uint4(0, 0, 0, 0);
  }
  // Data that is read once: it takes no place in the first cache.
  __device__ void Load(const T* from) {
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                   : "=r"(words[i].x), "=r"(words[i].y), "=r"(words[i].z), "=r"(words[i].w)
                   : "l"(reinterpret_cast<const uint4*>(from) + i));
    }
  }
  __device__ void Store(T* to) const {
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      __stcs(reinterpret_cast<uint4*>(to) + i, words[i]);
    }
  }
  __device__ void Get(float (&to)[kLanes]) const;
  __device__ void Set(const float (&from)[kLanes]);
};
template <>
__device__ void Chunk<float>::Get(float (&to)[kLanes]) const {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    to[4 * i] = __uint_as_float(words[i].x), to[4 * i + 1] = __uint_as_float(words[i].y);
    to[4 * i + 2] = __uint_as_float(words[i].z), to[4 * i + 3] = __uint_as_float(words[i].w);
  }
}
template <>
__device__ void Chunk<float>::Set(const float (&from)[kLanes]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    words[i] = make_uint4(__float_as_uint(from[4 * i]), __float_as_uint(from[4 * i + 1]),
                          __float_as_uint(from[4 * i + 2]), __float_as_uint(from[4 * i + 3]));
  }
}
template <>
__device__ void Chunk<__nv_bfloat16>::Get(float (&to)[kLanes]) const {
  const std::uint32_t pairs[] = {words[0].x, words[0].y, words[0].z, words[0].w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    to[2 * i] = __uint_as_float(pairs[i] << 16);
    to[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
  }
}
template <>
__device__ void Chunk<__nv_bfloat16>::Set(const float (&from)[kLanes]) {
  __nv_bfloat162 pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) pairs[i] = __floats2bfloat162_rn(from[2 * i], from[2 * i + 1]);
  words[0] = *reinterpret_cast<const uint4*>(pairs);
}
template <>
__device__ void Chunk<__half>::Get(float (&to)[kLanes]) const {
  const std::uint32_t pairs[] = {words[0].x, words[0].y, words[0].z, words[0].w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 v = __half22float2(*reinterpret_cast<const __half2*>(&pairs[i]));
    to[2 * i] = v.x, to[2 * i + 1] = v.y;
  }
}
template <>
__device__ void Chunk<__half>::Set(const float (&from)[kLanes]) {
  __half2 pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) pairs[i] = __floats2half2_rn(from[2 * i], from[2 * i + 1]);
  words[0] = *reinterpret_cast<const uint4*>(pairs);
}

__device__ float ReadAs(DataType type, const void* from, int at) {
  switch (type) {
    case DataType::kFloat16: return __half2float(static_cast<const __half*>(from)[at]);
    case DataType::kBFloat16: return __bfloat162float(static_cast<const __nv_bfloat16*>(from)[at]);
    case DataType::kFloat32: break;
  }
  return static_cast<const float*>(from)[at];
}
__device__ void ReadFloats(const float* from, float (&to)[kLanes]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float4 v = reinterpret_cast<const float4*>(from)[i];
    to[4 * i] = v.x, to[4 * i + 1] = v.y, to[4 * i + 2] = v.z, to[4 * i + 3] = v.w;
  }
}

struct Token {
  int batch, index;
};
__device__ Token TokenOf(const Params& p, int tensor, std::uint32_t row) {
  const std::uint32_t batch = p.batch == 1 ? 0 : row / static_cast<std::uint32_t>(p.tokens[tensor]);
  return {static_cast<int>(batch), static_cast<int>(row - batch * p.tokens[tensor])};
}

// The row of the tables for a token, of a head where heads have tables of their own; -1 for a token
// that is not rotated.
__device__ std::int64_t TableOf(const Params& p, int tensor, const Token& token) {
  const int row = token.index - p.first_rotated[tensor];
  if (p.rope == RopeForm::kNone || row < 0 || row >= p.rotated) return -1;
  return ((p.table_batch == 1 ? 0 : static_cast<std::int64_t>(token.batch)) * p.rotated + row) *
         p.table_heads;
}

// Sums over each head's chunks; all lanes of the warp.
template <int kChunks>
__device__ void AddUpHeads(const Params& p, int lane, float (&part)[kChunks]) {
  if ((p.head_chunks & (p.head_chunks - 1)) == 0) {
    for (int distance = p.spread; distance > 0; distance >>= 1) {
#pragma unroll
      for (int c = 0; c < kChunks; ++c) part[c] += __shfl_xor_sync(0xffffffffu, part[c], distance);
    }
    return;
  }
  const int at = lane % p.head_chunks, base = lane - at;
  for (int distance = p.spread; distance > 0; distance >>= 1) {
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const float other = __shfl_down_sync(0xffffffffu, part[c], distance);
      if (at + distance < p.head_chunks) part[c] += other;
    }
  }
#pragma unroll
  for (int c = 0; c < kChunks; ++c) part[c] = __shfl_sync(0xffffffffu, part[c], base);
}

// What a token is multiplied with, for the mean of its squares.
__device__ __forceinline__ float OneOverRoot(const Params& p, float mean_square) {
  const float square = mean_square + p.epsilon;
  return p.root_epsilon > 0.f || p.root_floor > 0.f
             ? 1.f / fmaxf(sqrtf(square) + p.root_epsilon, p.root_floor)
             : rsqrtf(square);
}

__device__ float AddUpWarp(float sum) {
#pragma unroll
  for (int distance = 16; distance > 0; distance >>= 1) {
    sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  }
  return sum;
}

// The kernel for weights that fit into shared memory, tables for all heads, and lanes that are
// rotated by whole chunks. A group of warps takes the rows of one token after the other, Q's and K's:
// with scope hidden it holds the row, otherwise groups are of one warp, which takes kChunks sweeps at
// a time. With kAhead what comes next is loaded before what is there is worked on.
//
// With c = x - mean, o the partner's c and f the norm's factor, z = f (c wc + o ws) + b, where for
// scope head  wc = weight cos, ws = +-(partner's weight) sin, b = bias cos +- (partner's bias) sin
// are of the token. With scope hidden weights are of the chunk, and f stands with cos and sin.
template <typename T, int kChunks, bool kHidden, bool kLayer, bool kHalf, bool kAhead, int kBlocks>
__global__ void __launch_bounds__(kThreads, kBlocks) FastKernel(const __grid_constant__ Params p) {
  extern __shared__ float4 shared4[];
  float* shared = reinterpret_cast<float*>(shared4);
  const int vector = p.weight_of_head ? p.head_dim : p.heads * p.head_dim;
  // [tensor][vector] weights, then biases (scope head only), then [group][2][warps] sums.
  for (int t = 0; t < p.tensors; ++t) {
    for (int i = threadIdx.x; i < vector; i += blockDim.x) {
      shared[t * vector + i] =
          p.weight[t] == nullptr ? 1.f : ReadAs(p.weight_type[t], p.weight[t], i);
      if (!kHidden) {
        shared[(p.tensors + t) * vector + i] =
            p.bias[t] == nullptr ? 0.f : ReadAs(p.bias_type[t], p.bias[t], i);
      }
    }
  }
  __syncthreads();
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int group = kHidden ? warp / p.warps : warp;
  const int member = kHidden ? warp % p.warps : 0;
  const int groups = kHidden ? blockDim.x / 32 / p.warps : blockDim.x / 32;
  float* sums = shared + p.tensors * vector + group * 2 * p.warps;  // hidden only
  int parity = 0;
  const int in_head = lane % p.head_chunks * kLanes;
  const int own_head = lane / p.head_chunks;  // of a sweep's
  const int head_step = p.heads_of_warp * (kHidden ? p.warps : 1);  // from chunk to chunk
  // Heads from the first chunk's on; none for an idle lane.
  const auto heads_left = [&](int sweep) {
    return own_head >= p.heads_of_warp ? 0 : p.heads - sweep * p.heads_of_warp - own_head;
  };
  const int half = p.rotary_lanes / 2;
  const bool turns = in_head >= p.rotary_start && in_head < p.rotary_start + p.rotary_lanes;
  const bool low = in_head - p.rotary_start < half;
  const int partner = turns ? lane + (low ? half : -half) / kLanes : lane;  // half only

  // Where the work stands: a sweep of a row of a tensor.
  struct Place {
    int token, batch, tensor, sweep;
  };
  const int stride = gridDim.x * groups;
  const int longest = p.tensors == 1 ? p.tokens[0] : max(p.tokens[0], p.tokens[1]);
  const auto settle = [&](Place& at) {  // Q and K may differ in tokens
    while (true) {
      while (at.token >= longest) at.token -= longest, ++at.batch;
      if (at.batch >= p.batch || at.token < p.tokens[at.tensor]) return;
      if (++at.tensor == p.tensors) at.tensor = 0, at.token += stride;
    }
  };
  const auto advance = [&](Place& at) {
    if (!kHidden) {
      at.sweep += kChunks;
      if (at.sweep < p.sweeps) return;
      at.sweep = 0;
    }
    if (++at.tensor == p.tensors) at.tensor = 0, at.token += stride;
    settle(at);
  };
  const auto offset = [&](const Params::Stride& s, const Place& at) {
    return at.batch * s.batch + at.token * s.token +
           (at.sweep * p.heads_of_warp + own_head) * s.head + in_head;
  };
  const auto load = [&](const Place& at, Chunk<T>(&to)[kChunks]) {
    if (at.batch >= p.batch) return;
    const Params::Stride& s = p.in[at.tensor];
    const T* from = static_cast<const T*>(p.x[at.tensor]) + offset(s, at);
    const std::int64_t step = s.head * head_step;
    const int left = heads_left(at.sweep);
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      if (c * head_step < left) to[c].Load(from);
      from += step;
    }
  };
  const auto table_of = [&](const Place& at) -> std::int64_t {
    const int row = at.token - p.first_rotated[at.tensor];
    if (p.rope == RopeForm::kNone || row < 0 || row >= p.rotated) return -1;
    return (p.table_batch == 1 ? 0 : static_cast<std::int64_t>(at.batch)) * p.rotated + row;
  };

  Place at = {static_cast<int>(blockIdx.x * groups + group), 0, 0, member};
  settle(at);
  float wc[kLanes], ws[kLanes], b[kLanes];
  std::int64_t held_table = -2;  // what they are of, scope head
  int held_tensor = 0;
  Chunk<T> next[kChunks], x[kChunks];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) x[c].Clear(), next[c].Clear();
  if (kAhead) load(at, next);
  while (at.batch < p.batch) {
    const Place here = at;
    advance(at);
    if (kAhead) {
#pragma unroll
      for (int c = 0; c < kChunks; ++c) x[c] = next[c];
      load(at, next);
    } else {
      load(here, x);
    }
    const std::int64_t table = table_of(here);
    if (kHidden || table != held_table || here.tensor != held_tensor) {
      held_table = table, held_tensor = here.tensor;
      float cos[kLanes], sin[kLanes];
      if (turns && table >= 0) {
        const std::int64_t entry = table * p.rotary_lanes + in_head - p.rotary_start;
        ReadFloats(p.cos + entry, cos);
        ReadFloats(p.sin + entry, sin);
#pragma unroll
        for (int i = 0; i < kLanes; ++i) sin[i] = (kHalf ? low : i % 2 == 0) ? -sin[i] : sin[i];
      } else {
#pragma unroll
        for (int i = 0; i < kLanes; ++i) cos[i] = 1.f, sin[i] = 0.f;
      }
      if (kHidden) {
#pragma unroll
        for (int i = 0; i < kLanes; ++i) wc[i] = cos[i], ws[i] = sin[i];
      } else {
        const int other = in_head + (kHalf && turns ? (low ? half : -half) : 0);
        const float* of_tensor = shared + here.tensor * vector;
        float weight[kLanes], other_weight[kLanes];
        ReadFloats(of_tensor + in_head, weight);
        ReadFloats(of_tensor + other, other_weight);
#pragma unroll
        for (int i = 0; i < kLanes; ++i) {
          wc[i] = weight[i] * cos[i];
          ws[i] = other_weight[kHalf ? i : i ^ 1] * sin[i];
        }
        if (kLayer) {
          of_tensor += p.tensors * vector;
          ReadFloats(of_tensor + in_head, weight);
          ReadFloats(of_tensor + other, other_weight);
#pragma unroll
          for (int i = 0; i < kLanes; ++i) {
            b[i] = weight[i] * cos[i] + other_weight[kHalf ? i : i ^ 1] * sin[i];
          }
        }
      }
    }
    if (kAhead && at.token != here.token && at.batch < p.batch && lane < p.head_chunks && turns) {
      const std::int64_t ahead = table_of(at);
      if (ahead >= 0) {
        const std::int64_t entry = ahead * p.rotary_lanes + in_head - p.rotary_start;
        asm volatile("prefetch.global.L2 [%0];" ::"l"(p.cos + entry));
        asm volatile("prefetch.global.L2 [%0];" ::"l"(p.sin + entry));
      }
    }

    const int left = heads_left(here.sweep);
    float mean[kChunks], factor[kChunks];
#pragma unroll
    for (int c = 0; c < kChunks; ++c) mean[c] = 0.f, factor[c] = 1.f;
    const auto reduce = [&](float(&part)[kChunks]) {
      if (!kHidden) return AddUpHeads(p, lane, part);
      float sum = 0.f;
#pragma unroll
      for (int c = 0; c < kChunks; ++c) sum += part[c];
      sum = AddUpWarp(sum);
      if (p.warps > 1) {
        float* mine = sums + parity * p.warps;
        parity ^= 1;
        if (lane == 0) mine[member] = sum;
        asm volatile("bar.sync %0, %1;" ::"r"(group + 1), "r"(p.warps * 32) : "memory");
        sum = 0.f;
        for (int w = 0; w < p.warps; ++w) sum += mine[w];
      }
#pragma unroll
      for (int c = 0; c < kChunks; ++c) part[c] = sum;
    };
    if (kLayer) {
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
        float v[kLanes];
        x[c].Get(v);
        mean[c] = 0.f;
#pragma unroll
        for (const float each : v) mean[c] += each;
        if (kHidden && c * head_step >= left) mean[c] = 0.f;
      }
      reduce(mean);
#pragma unroll
      for (float& each : mean) each *= p.of_count;
    }
    if (p.norm != NormKind::kNone) {
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
        float v[kLanes];
        x[c].Get(v);
        factor[c] = 0.f;
#pragma unroll
        for (float& each : v) {
          if (kLayer) each -= mean[c];
          factor[c] += each * each;
        }
        if (kHidden && c * head_step >= left) factor[c] = 0.f;
      }
      reduce(factor);
#pragma unroll
      for (float& each : factor) each = OneOverRoot(p, each * p.of_count);
    }

    if (kHidden) {
#pragma unroll
      for (int i = 0; i < kLanes; ++i) wc[i] *= factor[0], ws[i] *= factor[0];
    }
    T* to = static_cast<T*>(p.out[here.tensor]) + offset(p.to[here.tensor], here);
    const std::int64_t step = p.to[here.tensor].head * head_step;
    // Of the chunk's lanes; those of heads that there are not do not matter.
    const float* weights = shared + here.tensor * vector + in_head +
                           (kHidden && !p.weight_of_head && left > 0 ? (p.heads - left) * p.head_dim
                                                                     : 0);
    const int weight_step = kHidden && !p.weight_of_head ? head_step * p.head_dim : 0;
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      float v[kLanes], z[kLanes];
      x[c].Get(v);
      if (kHidden) {
        float weight[kLanes];
        ReadFloats(c * head_step < left ? weights : shared, weight);
        weights += weight_step;
#pragma unroll
        for (int i = 0; i < kLanes; ++i) v[i] = (kLayer ? v[i] - mean[c] : v[i]) * weight[i];
      } else {
#pragma unroll
        for (int i = 0; i < kLanes; ++i) {
          v[i] = kLayer ? (v[i] - mean[c]) * factor[c] : v[i] * factor[c];
        }
      }
#pragma unroll
      for (int i = 0; i < kLanes; ++i) {
        const float other = kHalf ? __shfl_sync(0xffffffffu, v[i], partner) : v[i ^ 1];
        z[i] = v[i] * wc[i] + other * ws[i];
        if (!kHidden && kLayer) z[i] += b[i];
      }
      if (c * head_step < left) {
        Chunk<T> result;
        result.Set(z);
        result.Store(to);
      }
      to += step;
    }
  }
}

// Whatever the other does not take. A warp takes a row, a sweep at a time, and reads it again for each
// sum; lanes find their partners in shared memory.
template <typename T>
__global__ void __launch_bounds__(kThreads) AnyKernel(const __grid_constant__ Params p) {
  extern __shared__ float4 shared4[];
  const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
  float* lanes = reinterpret_cast<float*>(shared4) + threadIdx.x / 32 * 32 * kLanes;
  const int in_head = lane % p.head_chunks * kLanes;
  const int own_head = lane / p.head_chunks;
  const bool hidden = p.scope == NormScope::kHidden && p.norm != NormKind::kNone;
  for (std::uint32_t at = blockIdx.x * warps + threadIdx.x / 32;
       at < p.rows[0] + (p.tensors == 1 ? 0 : p.rows[1]); at += gridDim.x * warps) {
    const int tensor = at >= p.rows[0];
    const Token token = TokenOf(p, tensor, tensor == 0 ? at : at - p.rows[0]);
    const auto offset = [&](const Params::Stride& s, int head) {
      return token.batch * s.batch + token.index * s.token + head * s.head + in_head;
    };
    const auto read = [&](int sweep, float(&to)[kLanes]) {
      const int head = sweep * p.heads_of_warp + own_head;
      const bool there = own_head < p.heads_of_warp && head < p.heads;
      Chunk<T> chunk;
      chunk.Clear();
      if (there) chunk.Load(static_cast<const T*>(p.x[tensor]) + offset(p.in[tensor], head));
      chunk.Get(to);
      return there;
    };
    // Of a row with scope hidden, of a head otherwise.
    const auto sum = [&](int sweep, float mean, bool squares) {
      float part[1] = {0.f}, v[kLanes];
      for (int s = hidden ? 0 : sweep; s < (hidden ? p.sweeps : sweep + 1); ++s) {
        if (!read(s, v)) continue;
        for (const float each : v) {
          part[0] += squares ? (each - mean) * (each - mean) : each - mean;
        }
      }
      __syncwarp();
      if (hidden) return AddUpWarp(part[0]);
      AddUpHeads(p, lane, part);
      return part[0];
    };
    const std::int64_t table = TableOf(p, tensor, token);
    float mean = 0.f, factor = 1.f;
    for (int sweep = 0; sweep < p.sweeps; ++sweep) {
      if (p.norm != NormKind::kNone && (sweep == 0 || !hidden)) {
        mean = p.norm == NormKind::kLayer ? sum(sweep, 0.f, false) * p.of_count : 0.f;
        factor = OneOverRoot(p, sum(sweep, mean, true) * p.of_count);
      }
      float y[kLanes];
      const bool there = read(sweep, y);
      const int head = sweep * p.heads_of_warp + own_head;
      for (int i = 0; i < kLanes && there; ++i) {
        const int lane_of = (p.weight_of_head ? 0 : head * p.head_dim) + in_head + i;
        y[i] = (y[i] - mean) * factor;
        if (p.weight[tensor] != nullptr) y[i] *= ReadAs(p.weight_type[tensor], p.weight[tensor], lane_of);
        if (p.bias[tensor] != nullptr) y[i] += ReadAs(p.bias_type[tensor], p.bias[tensor], lane_of);
      }
      __syncwarp();
      for (int i = 0; i < kLanes; ++i) lanes[lane * kLanes + i] = y[i];
      __syncwarp();
      const int half = p.rotary_lanes / 2;
      for (int i = 0; i < kLanes && there && table >= 0; ++i) {
        const int r = in_head + i - p.rotary_start;
        if (r < 0 || r >= p.rotary_lanes) continue;
        const bool interleaved = p.rope == RopeForm::kInterleaved;
        const bool low = interleaved ? r % 2 == 0 : r < half;
        const int distance = interleaved ? 1 : half;
        const float other = lanes[lane * kLanes + i + (low ? distance : -distance)];
        const std::int64_t entry = (table + (p.table_heads == 1 ? 0 : head)) * p.rotary_lanes + r;
        y[i] = y[i] * p.cos[entry] + (low ? -other : other) * p.sin[entry];
      }
      if (there) {
        Chunk<T> result;
        result.Set(y);
        result.Store(static_cast<T*>(p.out[tensor]) + offset(p.to[tensor], head));
      }
    }
  }
}

// A kernel, and its chunks of a thread.
struct Choice {
  const void* kernel;
  int chunks;
};

template <typename T, int kChunks, bool kHidden, bool kLayer, bool kHalf, bool kAhead, int kBlocks>
Choice Fast() {
  return {reinterpret_cast<const void*>(
              &FastKernel<T, kChunks, kHidden, kLayer, kHalf, kAhead, kBlocks>),
          kChunks};
}

// Of the numbers of chunks that were tried on an H200, the best: they leave two blocks a
// multiprocessor, 128 registers a thread. f32 takes twice as many registers a chunk.
template <typename T, bool kHalf>
Choice FastKernelOf(const Params& p) {
  constexpr bool kShort = sizeof(T) == 2;
  if (p.scope == NormScope::kHead) {
    constexpr int kChunks = kShort ? 6 : 3;
    return p.norm == NormKind::kLayer ? Fast<T, kChunks, false, true, kHalf, true, 2>()
                                      : Fast<T, kChunks, false, false, kHalf, true, 2>();
  }
  if (p.norm == NormKind::kLayer) return Fast<T, 16, true, true, kHalf, false, 1>();
  // Up to eight warps a row, with the fewest chunks that are none.
  int best = 16;
  for (const int chunks : {6, 5, 4}) {
    if (p.sweeps <= chunks * 8 &&
        CeilDiv(p.sweeps, chunks) * chunks < CeilDiv(p.sweeps, best) * best) {
      best = chunks;
    }
  }
  switch (best) {
    case 4: return Fast<T, 4, true, false, kHalf, kShort, 2>();
    case 5: return Fast<T, 5, true, false, kHalf, kShort, 2>();
    case 6: return Fast<T, 6, true, false, kHalf, kShort, 2>();
    default: return Fast<T, 16, true, false, kHalf, false, 1>();
  }
}

template <typename T>
Choice KernelOf(const Params& p, bool fast) {
  if (!fast) return {reinterpret_cast<const void*>(&AnyKernel<T>), 1};
  return p.rope == RopeForm::kHalf ? FastKernelOf<T, true>(p) : FastKernelOf<T, false>(p);
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
  bool weights = false, biases = false;
  for (int i = 0; i < problem.tensors; ++i) {
    p.x[i] = b.x[i];
    p.out[i] = b.out[i];
    p.weight[i] = problem.norm == NormKind::kNone ? nullptr : b.weight[i];
    p.bias[i] = problem.norm == NormKind::kLayer ? b.bias[i] : nullptr;
    weights = weights || p.weight[i] != nullptr;
    biases = biases || p.bias[i] != nullptr;
    p.weight_type[i] = problem.weight_type[i];
    p.bias_type[i] = problem.bias_type[i];
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
    p.rows[i] = static_cast<std::uint32_t>(problem.batch * s);
  }
  p.cos = b.cos;
  p.sin = b.sin;
  p.tensors = problem.tensors;
  p.batch = problem.batch;
  p.heads = problem.heads;
  p.head_dim = problem.head_dim;
  p.head_chunks = problem.head_dim / kLanes;
  p.heads_of_warp = 32 / p.head_chunks;
  p.sweeps = static_cast<int>(CeilDiv(p.heads, p.heads_of_warp));
  for (p.spread = 1; p.spread < p.head_chunks; p.spread *= 2) {
  }
  p.spread /= 2;
  p.norm = problem.norm;
  p.scope = problem.norm == NormKind::kNone ? NormScope::kHead : problem.scope;
  p.epsilon = problem.epsilon;
  p.root_epsilon = problem.root_epsilon;
  p.root_floor = problem.root_floor;
  p.of_count = 1.f / static_cast<float>(p.scope == NormScope::kHidden ? h * d : d);
  p.weight_of_head = problem.weight_of_head || !(weights || biases);
  p.rope = rotates ? problem.rope : RopeForm::kNone;
  p.rotary_start = rotates ? problem.rotary_start : 0;
  p.rotary_lanes = rotates ? problem.rotary_lanes : 0;
  p.rotated = problem.rotated;
  p.table_batch = problem.table_batch;
  p.table_heads = problem.table_heads;

  const bool hidden = p.scope == NormScope::kHidden;
  const int of_half = p.rope == RopeForm::kHalf ? 2 : 1;
  const std::size_t vectors = static_cast<std::size_t>(p.tensors) * (hidden ? 1 : 2) *
                              (p.weight_of_head ? d : h * d) * sizeof(float);
  const bool fast = (!rotates || p.table_heads == 1) && p.rotary_start % kLanes == 0 &&
                    p.rotary_lanes % (kLanes * of_half) == 0 &&
                    (hidden ? !biases : p.weight_of_head) && vectors <= kSharedLimit - 256;
  const Choice choice = problem.type == DataType::kFloat16    ? KernelOf<__half>(p, fast)
                        : problem.type == DataType::kBFloat16 ? KernelOf<__nv_bfloat16>(p, fast)
                                                              : KernelOf<float>(p, fast);
  p.warps = fast && hidden ? static_cast<int>(CeilDiv(p.sweeps, choice.chunks)) : 1;
  const int groups = kThreads / 32 / p.warps;
  const int threads = groups * p.warps * 32;
  const std::size_t bytes = fast ? vectors + 2 * kThreads / 32 * sizeof(float)
                                 : kThreads * kLanes * sizeof(float);
  int device = 0, processors = 0, blocks = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device) != cudaSuccess ||
      cudaFuncSetAttribute(choice.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(bytes)) != cudaSuccess ||
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, choice.kernel, threads, bytes) !=
          cudaSuccess ||
      blocks == 0) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  const std::uint32_t rows = fast ? std::max(p.rows[0], p.rows[1]) : p.rows[0] + p.rows[1];
  const std::uint32_t grid = std::min<std::uint32_t>(
      static_cast<std::uint32_t>(CeilDiv(rows, fast ? groups : kThreads / 32)), processors * blocks);
  void* arguments[] = {&p};
  if (cudaLaunchKernel(choice.kernel, dim3(grid), dim3(threads), arguments, bytes, stream) !=
      cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  return LaunchStatus();
}

}  // namespace sparsedit
