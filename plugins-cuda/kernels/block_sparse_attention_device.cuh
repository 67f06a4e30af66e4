// What the kernels of the sm_90a path share: layout of shared memory, softmax, and what a warpgroup does
// with its rows.
#ifndef SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_DEVICE_CUH_
#define SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_DEVICE_CUH_

#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/block_sparse_attention.h"
#include "kernels/exponential.h"
#include "kernels/fragment_math.h"
#include "kernels/hopper.h"
#include "kernels/strides.h"
#include "kernels/wgmma.h"

namespace sparsedit::attention {

constexpr int kBoxSizes = 8;  // boxes of 1, 2, 4, ..., 128 rows
// A finite bias is no lower: times the scale its rounding in f32 is then less than 4, in log2, and a
// tile of such keys alone, before others raise the maximum, does not overflow in f16.
constexpr float kLowestBias = -3e7f;

// Tensor maps of k and v as given (source 0) and in key order with pseudo-keys after them (source 1),
// a box size each.
struct TensorMaps {
  CUtensorMap k[2][kBoxSizes];
  CUtensorMap v[2][kBoxSizes];
};

struct HopperParams {
  const void* q;
  void* o;
  float* lse;
  const std::int32_t* query_order;
  const std::int32_t* key_offsets;
  const std::int32_t* keep;
  const std::int32_t* action;
  const float* key_bias;  // [B, key_tokens], or null
  const float* biases;    // [B,H,key_tokens + pseudo_keys] in key order, where K and V were gathered
  const AttentionItem* items;
  AttentionQueue* queue;
  Strides strides;  // of q and o
  int heads, tokens, key_tokens, query_segments, key_segments;
  int pseudo_keys;  // key_segments with compensation, else 0
  float scale, inverse_scale;
};

// Tiles of kKeys keys, kStages of them; biases of a tile for kBiases rows of items.
template <typename T, int kHeadDim_, int kKeys_, int kWarpgroups_, int kStages_ = 4,
          int kBiases_ = 1>
struct Config {
  using Type = T;
  static constexpr int kHeadDim = kHeadDim_;
  static constexpr int kKeys = kKeys_;
  static constexpr int kWarpgroups = kWarpgroups_;
  static constexpr int kStages = kStages_;
  static constexpr int kBiases = kBiases_;
  static constexpr int kHalves = kHeadDim / 64;  // 128-byte columns of a tile
  static constexpr int kThreads = 128 * (kWarpgroups + 1);
  static constexpr int kProducerRegisters = 32;
  static constexpr int kConsumerRegisters = 160;
  static_assert(kWarpgroups == 3, "registers are dealt to three warpgroups and the producers");

  static constexpr int kQueryBytes = 64 * kHeadDim * 2;  // of a warpgroup
  static constexpr int kColumnBytes = kKeys * 128;
  static constexpr int kTileBytes = kColumnBytes * kHalves;
  static constexpr int kKeysAt = kQueryBytes * kWarpgroups;
  static constexpr int kValuesAt = kKeysAt + kStages * kTileBytes;
  static constexpr int kBiasAt = kValuesAt + kStages * kTileBytes;
  static constexpr int kFlagsAt = kBiasAt + kStages * kBiases * kKeys * 4;
  static constexpr int kItemsAt = kFlagsAt + 32;
  static constexpr int kBarriersAt = kItemsAt + 2 * static_cast<int>(sizeof(AttentionItem));
  static constexpr int kBarriers = 4 * kStages + 4;
  static constexpr int kSharedBytes = kBarriersAt + kBarriers * 8 + 1024;  // and to align
  static_assert(kSharedBytes <= 232448, "more shared memory than a block can have");
  static_assert(kStages <= 8, "a flag each");
  static_assert(kColumnBytes % 1024 == 0 && kKeys % 16 == 0, "swizzle and k step");
};

// Addresses in shared memory.
template <typename C>
struct Shared {
  std::uint32_t base;
  __device__ std::uint32_t Query(int warpgroup) const { return base + warpgroup * C::kQueryBytes; }
  __device__ std::uint32_t Keys(int stage) const {
    return base + C::kKeysAt + stage * C::kTileBytes;
  }
  __device__ std::uint32_t Values(int stage) const {
    return base + C::kValuesAt + stage * C::kTileBytes;
  }
  __device__ std::uint32_t Barrier(int index) const { return base + C::kBarriersAt + index * 8; }
  __device__ std::uint32_t KeysFull(int stage) const { return Barrier(stage); }
  __device__ std::uint32_t KeysEmpty(int stage) const { return Barrier(C::kStages + stage); }
  __device__ std::uint32_t ValuesFull(int stage) const { return Barrier(2 * C::kStages + stage); }
  __device__ std::uint32_t ValuesEmpty(int stage) const {
    return Barrier(3 * C::kStages + stage);
  }
  __device__ std::uint32_t ItemFull(int slot) const { return Barrier(4 * C::kStages + slot); }
  __device__ std::uint32_t ItemEmpty(int slot) const {
    return Barrier(4 * C::kStages + 2 + slot);
  }
};

// One lane arrives at a barrier for its warp. compute-sanitizer's racecheck does not follow the
// order through __syncwarp; built with SPARSEDIT_EVERY_LANE_ARRIVES every lane arrives, and it can.
#ifdef SPARSEDIT_EVERY_LANE_ARRIVES
constexpr int kWarpArrivals = 32;
#else
constexpr int kWarpArrivals = 1;
#endif
__device__ __forceinline__ void ArriveWarp(std::uint32_t barrier) {
  __syncwarp();
  if (static_cast<int>(threadIdx.x % 32) < kWarpArrivals) BarrierArrive(barrier);
}
// As if so many warps arrived.
__device__ __forceinline__ void ArriveWarps(std::uint32_t barrier, int times) {
  __syncwarp();
  if (static_cast<int>(threadIdx.x % 32) < kWarpArrivals) BarrierArrive(barrier, times);
}

// A place in a ring of stages; the parity flips at every turn.
template <int kStages>
struct Ring {
  int stage = 0;
  std::uint32_t parity = 0;
  __device__ __forceinline__ void Advance() {
    stage = stage + 1 == kStages ? 0 : stage + 1;
    parity ^= stage == 0 ? 1 : 0;
  }
  __device__ __forceinline__ Ring Before() const {
    Ring before = *this;
    before.parity ^= stage == 0 ? 1 : 0;
    before.stage = stage == 0 ? kStages - 1 : stage - 1;
    return before;
  }
};
using Slot = Ring<2>;

// Reads of an item are shuffled so that the compiler knows that a warp agrees: wgmma wants uniform
// branches.
template <typename C>
__device__ __forceinline__ int ReadHead(const char* generic, int slot) {
  const int head =
      *reinterpret_cast<const int*>(generic + C::kItemsAt + slot * sizeof(AttentionItem));
  return __shfl_sync(0xffffffffu, head, 0);
}
// Whether the keys of the item's head have to be read in key order.
template <typename C>
__device__ __forceinline__ bool ReadOrdered(const char* generic, int slot) {
  const int ordered =
      reinterpret_cast<const int*>(generic + C::kItemsAt + slot * sizeof(AttentionItem))[1];
  return __shfl_sync(0xffffffffu, ordered, 0) != 0;
}
// The positions of keys that may have a bias: [from, to).
struct Biased {
  int from, to;
  __device__ __forceinline__ bool Touches(int row, int length) const {
    return row < to && row + length > from;
  }
};
template <typename C>
__device__ __forceinline__ Biased ReadBiased(const char* generic, int slot) {
  const int2 words = reinterpret_cast<const int2*>(generic + C::kItemsAt +
                                                   slot * sizeof(AttentionItem))[1];
  return {__shfl_sync(0xffffffffu, words.x, 0), __shfl_sync(0xffffffffu, words.y, 0)};
}
template <typename C>
__device__ __forceinline__ AttentionPart ReadPart(const char* generic, int slot, int part) {
  const int4 words = reinterpret_cast<const int4*>(generic + C::kItemsAt +
                                                   slot * sizeof(AttentionItem))[1 + part];
  return {__shfl_sync(0xffffffffu, words.x, 0), __shfl_sync(0xffffffffu, words.y, 0),
          __shfl_sync(0xffffffffu, words.z, 0), __shfl_sync(0xffffffffu, words.w, 0)};
}

// What the first producer warp of a block does: takes items from the queue, hands each to the
// block's other warps, and calls `stream` with its slot. Hands out an item without rows at the end.
template <typename C, typename Stream>
__device__ __forceinline__ void TakeItems(const HopperParams& params, const Shared<C>& shared,
                                          char* generic, Stream stream) {
  const int lane = threadIdx.x % 32;
  const int count = params.queue->made;
  Slot slot;
  int index = 0;
  if (lane == 0) index = atomicAdd(&params.queue->taken, 1);
  index = __shfl_sync(0xffffffffu, index, 0);
  while (true) {
    constexpr int kWords = sizeof(AttentionItem) / 16;
    int4 word = make_int4(0, 0, 0, 0);
    if (index < count && lane < kWords) {
      word = reinterpret_cast<const int4*>(params.items + index)[lane];
    }
    BarrierWait(shared.ItemEmpty(slot.stage), slot.parity ^ 1);
    if (lane < kWords) {
      reinterpret_cast<int4*>(generic + C::kItemsAt)[slot.stage * kWords + lane] = word;
    }
    ArriveWarp(shared.ItemFull(slot.stage));
    if (index >= count) return;
    int next = 0;
    if (lane == 0) next = atomicAdd(&params.queue->taken, 1);
    stream(slot);
    slot.Advance();
    index = __shfl_sync(0xffffffffu, next, 0);
  }
}

// The biases of the tiles that a warp fills with keys: reads them for rows that may have one, and
// writes a tile's for each of the parts that share it. Most tiles have none, and consumers then add
// none. Those of parts differ by the pseudo-keys: a part has no use for those of segments it keeps.
template <typename C>
struct TileBiases {
  const HopperParams& params;
  float* tiles;  // [kStages][kBiases][kKeys] in shared memory
  int lane;
  const std::int32_t* keep[C::kBiases] = {};  // of the parts; null: no such part
  Biased biased = {};                         // rows of the tensor
  const float* of_rows = nullptr;
  bool written = false;   // whether the open tile has biases of all its rows so far
  bool not_zero = false;  // whether this lane wrote one that counts

  __device__ float* Of(int stage, int part) const {
    return tiles + (stage * C::kBiases + part) * C::kKeys;
  }
  __device__ void Set(int stage, int i, float bias) const {
#pragma unroll
    for (int part = 0; part < C::kBiases; ++part) Of(stage, part)[i] = bias;
  }

  // From here on rows are the keys of a head.
  __device__ void StartKeys(int all_head, bool ordered, const Biased& of_item) {
    biased = of_item;
    of_rows = ordered ? params.biases + OrderedAt(all_head)
                      : params.key_bias +
                            static_cast<std::int64_t>(all_head / params.heads) * params.key_tokens;
  }
  // They are its pseudo-keys, all of which have a bias.
  __device__ void StartPseudoKeys(int all_head) {
    biased = {0, 1 << 30};
    of_rows = params.biases + OrderedAt(all_head);
  }
  __device__ std::int64_t OrderedAt(int all_head) const {
    return static_cast<std::int64_t>(all_head) * (params.key_tokens + params.pseudo_keys);
  }

  __device__ float InRawScores(float bias) const {
    return (bias == kNegativeInfinity ? bias : fmaxf(bias, kLowestBias)) * params.inverse_scale;
  }

  // `length` rows from `row` on become rows `fill` and following of the tile. Where they have biases
  // this warp waits for them once: all reads are under way together.
  __device__ __forceinline__ void Put(int stage, int fill, int row, int length) {
    const bool touched = biased.Touches(row, length);
    if (!written && !touched) return;
    for (int i = lane; i < fill && !written; i += 32) Set(stage, i, 0.0f);
    written = true;
    constexpr int kOfLane = (C::kKeys + 31) / 32;
    float read[kOfLane];
    unsigned kept = 0;  // pseudo-keys that count for nothing: a bit for each part of each row
#pragma unroll
    for (int n = 0; n < kOfLane; ++n) {
      const int i = lane + 32 * n;
      const bool reads = touched && i < length;
      read[n] = reads ? InRawScores(of_rows[row + i]) : 0.0f;
      if (!reads || row + i < params.key_tokens) continue;
#pragma unroll
      for (int part = 0; part < C::kBiases; ++part) {
        const bool no_use = keep[part] == nullptr || Keeps(keep[part], row + i - params.key_tokens);
        kept |= (no_use ? 1u : 0u) << (n * C::kBiases + part);
      }
    }
#pragma unroll
    for (int n = 0; n < kOfLane; ++n) {
      const int i = lane + 32 * n;
      if (i >= length) break;
#pragma unroll
      for (int part = 0; part < C::kBiases; ++part) {
        const bool no_use = (kept >> (n * C::kBiases + part) & 1u) != 0;
        Of(stage, part)[fill + i] = no_use ? kNegativeInfinity : read[n];
      }
      not_zero = not_zero || read[n] != 0.0f || kept != 0;
    }
  }

  // Ends a tile of which the first `valid` rows are keys. True if it has biases to add.
  __device__ __forceinline__ bool Close(int stage, int valid) {
    if (valid < C::kKeys) {
      for (int i = lane; i < C::kKeys; i += 32) {
        if (i >= valid) {
          Set(stage, i, kNegativeInfinity);
        } else if (!written) {
          Set(stage, i, 0.0f);
        }
      }
    }
    const bool counts = valid < C::kKeys || (written && __any_sync(0xffffffffu, not_zero));
    written = not_zero = false;
    return counts;
  }
};

// What a warpgroup does with 64 rows of queries at most, whatever tiles they attend.
template <typename C>
struct RowsOfWarpgroup {
  using T = typename C::Type;
  static constexpr int kScores = C::kKeys / 2;
  static constexpr int kOutputs = C::kHeadDim / 2;

  const HopperParams& params;
  Shared<C> shared;
  char* generic;
  int warpgroup;
  int thread;  // in the warpgroup

  __device__ __forceinline__ void SyncWarpgroup() const { NamedBarrierSync(1 + warpgroup, 128); }
  __device__ __forceinline__ void IssueScores(float (&s)[kScores], int stage) const {
    const std::uint64_t a = SwizzledDescriptor(shared.Query(warpgroup), 16, 1024);
    const std::uint64_t b = SwizzledDescriptor(shared.Keys(stage), 16, 1024);
#pragma unroll
    for (int k = 0; k < C::kHeadDim; k += 16) {
      const int in_column = k % 64 * 2, column = k / 64;
      WgmmaSharedShared<T, C::kKeys>::Issue(s, a + ((column * 64 * 128 + in_column) >> 4),
                                            b + ((column * C::kColumnBytes + in_column) >> 4),
                                            k > 0);
    }
  }
  __device__ __forceinline__ void IssueOutputs(float (&o)[kOutputs],
                                               const std::uint32_t (&p)[kScores / 2],
                                               int stage) const {
    const std::uint64_t b = SwizzledDescriptor(shared.Values(stage), C::kColumnBytes, 1024);
#pragma unroll
    for (int k = 0; k < C::kKeys; k += 16) {
      WgmmaRegisterShared<T, C::kHeadDim>::Issue(o, p + k / 4, b + (k * 128 >> 4));
    }
  }

  __device__ __forceinline__ int ReadFlag(int stage) const {
    const int flag = reinterpret_cast<const volatile int*>(generic + C::kFlagsAt)[stage];
    return __shfl_sync(0xffffffffu, flag, 0);
  }
  // Adds one of the biases of the keys of a stage.
  __device__ __forceinline__ void AddBias(float (&s)[kScores], int stage, int which) const {
    const float2* bias = reinterpret_cast<const float2*>(generic + C::kBiasAt) +
                         (stage * C::kBiases + which) * (C::kKeys / 2) + thread % 4;
#pragma unroll
    for (int i = 0; i < kScores / 4; ++i) {
      const float2 pair = bias[i * 4];
      s[4 * i] += pair.x;
      s[4 * i + 1] += pair.y;
      s[4 * i + 2] += pair.x;
      s[4 * i + 3] += pair.y;
    }
  }

  static __device__ __forceinline__ void PackScores(const float (&s)[kScores],
                                                    std::uint32_t (&p)[kScores / 2]) {
#pragma unroll
    for (int i = 0; i < kScores / 2; ++i) p[i] = Pack(s[2 * i], s[2 * i + 1], T());
  }

  __device__ __forceinline__ const std::int32_t* OrderOf(int head, bool sparse) const {
    return sparse && params.query_order != nullptr
               ? params.query_order + static_cast<std::int64_t>(head) * params.tokens
               : nullptr;
  }
  __device__ __forceinline__ std::int64_t OffsetOf(int head) const {
    return static_cast<std::int64_t>(head / params.heads) * params.strides.batch +
           static_cast<std::int64_t>(head % params.heads) * params.strides.head;
  }

  // Gathers the query rows of this warpgroup, at most 64 from position `first` on; zeros after.
  __device__ __forceinline__ void LoadQueries(int head, int first, int rows, bool sparse) {
    const std::int32_t* order = OrderOf(head, sparse);
    const std::int64_t offset = OffsetOf(head);
    constexpr int kChunks = C::kHeadDim / 8;
    const T* q = static_cast<const T*>(params.q) + offset;
    char* tile = generic + warpgroup * C::kQueryBytes;
    uint4 loaded[kChunks / 2];
#pragma unroll
    for (int n = 0; n < kChunks / 2; ++n) {
      const int index = n * 128 + thread;
      const int row = index / kChunks, chunk = index % kChunks;
      loaded[n] = make_uint4(0, 0, 0, 0);
      if (row < rows) {
        const int position = first + row;
        const int token = order == nullptr ? position : order[position];
        loaded[n] = __ldg(reinterpret_cast<const uint4*>(q + token * params.strides.token) + chunk);
      }
    }
#pragma unroll
    for (int n = 0; n < kChunks / 2; ++n) {
      const int index = n * 128 + thread;
      const int row = index / kChunks, chunk = index % kChunks;
      *reinterpret_cast<uint4*>(tile + chunk / 8 * 8192 + row * 128 +
                                ((chunk % 8) ^ (row % 8)) * 16) = loaded[n];
    }
    AsyncProxyFence();
    SyncWarpgroup();
  }

  // Normalises and scatters the output rows through the query tile.
  __device__ __forceinline__ void StoreOutputs(int head, int first, int rows, float (&o)[kOutputs],
                                               Softmax<>& softmax, bool sparse) {
    const std::int32_t* order = OrderOf(head, sparse);
    const std::int64_t offset = OffsetOf(head);
    constexpr int kChunks = C::kHeadDim / 8;
    char* tile = generic + warpgroup * C::kQueryBytes;
    const int lane = thread % 32;
    const int row = thread / 32 * 16 + lane / 4;
    float inverse[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float sum = QuadSum(softmax.sum[r]);
      inverse[r] = sum > 0.0f ? 1.0f / sum : 0.0f;
      if (params.lse != nullptr && lane % 4 == 0 &&
          row + 8 * r < rows) {
        const int position = first + row + 8 * r;
        const int token = order == nullptr ? position : order[position];
        params.lse[static_cast<std::int64_t>(head) * params.tokens + token] =
            sum > 0.0f ? softmax.maximum[r] * params.scale + logf(sum) : kNegativeInfinity;
      }
    }
    SyncWarpgroup();  // every warp has read its queries
#pragma unroll
    for (int i = 0; i < kOutputs / 4; ++i) {  // eight columns a step
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int at = row + 8 * r;
        *reinterpret_cast<std::uint32_t*>(tile + i / 8 * 8192 + at * 128 +
                                          ((i % 8) ^ (at % 8)) * 16 + lane % 4 * 4) =
            Pack(o[4 * i + 2 * r] * inverse[r], o[4 * i + 2 * r + 1] * inverse[r], T());
      }
    }
    SyncWarpgroup();
    T* output = static_cast<T*>(params.o) + offset;
#pragma unroll
    for (int n = 0; n < kChunks / 2; ++n) {
      const int index = n * 128 + thread;
      const int out_row = index / kChunks, chunk = index % kChunks;
      if (out_row < rows) {
        const int position = first + out_row;
        const int token = order == nullptr ? position : order[position];
        __stcs(reinterpret_cast<uint4*>(output + token * params.strides.token) + chunk,
               *reinterpret_cast<const uint4*>(tile + chunk / 8 * 8192 + out_row * 128 +
                                               ((chunk % 8) ^ (out_row % 8)) * 16));
      }
    }
    SyncWarpgroup();  // the tile is free for the next queries
  }
};

}  // namespace sparsedit::attention

#endif  // SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_DEVICE_CUH_
