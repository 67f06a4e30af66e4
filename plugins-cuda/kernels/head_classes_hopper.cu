// The sm_90a path of head classes.
//
// A block is persistent: a producer warp streams the keys and values of its run of tiles through a
// ring in shared memory, and three consumer warpgroups attend them with the same 64 query rows, one
// for each output. Each multiplies the scores for itself, so that the three stay independent and
// what is shared is what costs: the reads of K and V. Scores of a tile are computed while the values
// of the tile before are multiplied (FlashAttention-3, arXiv 2407.08608, section 3.2).
#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <algorithm>

#include "kernels/exponential.h"
#include "kernels/fragment_math.h"
#include "kernels/head_classes_device.cuh"
#include "kernels/hopper.h"
#include "kernels/tensor_map.h"
#include "kernels/wgmma.h"

namespace sparsedit {
namespace {

constexpr int kConsumerWarps = 4 * kProfileOutputs;
constexpr int kConsumerThreads = 32 * kConsumerWarps;
constexpr int kThreads = 128 + kConsumerThreads;
constexpr int kProducerRegisters = 32;
constexpr int kConsumerRegisters = 160;

struct ProfileMaps {
  CUtensorMap k, v;
};

template <typename T, int kHeadDim_, int kKeys_>
struct Config {
  using Type = T;
  static constexpr int kHeadDim = kHeadDim_;
  static constexpr int kKeys = kKeys_;
  static constexpr int kStages = 4;
  static constexpr int kHalves = kHeadDim / 64;  // 128-byte columns of a tile
  static constexpr int kRows = kFastProfileRows;

  static constexpr int kQueryBytes = kRows * kHeadDim * 2;
  static constexpr int kColumnBytes = kKeys * 128;
  static constexpr int kTileBytes = kColumnBytes * kHalves;
  static constexpr int kKeysAt = kQueryBytes;
  static constexpr int kValuesAt = kKeysAt + kStages * kTileBytes;
  static constexpr int kBiasAt = kValuesAt + kStages * kTileBytes;
  static constexpr int kPositionsAt = kBiasAt + kStages * kKeys * 4;
  static constexpr int kFlagsAt = kPositionsAt + kStages * 2 * kKeys * 4;
  static constexpr int kBarriersAt = kFlagsAt + kStages * 4;
  static constexpr int kSharedBytes = kBarriersAt + (2 * kStages + 2) * 8 + 1024;  // and to align
  static_assert(kSharedBytes <= 232448, "more shared memory than a block can have");
  static_assert(kColumnBytes % 1024 == 0 && kKeys % 16 == 0, "swizzle and k step");
};

template <typename C>
struct Shared {
  std::uint32_t base;
  char* generic;  // the same memory

  __device__ std::uint32_t Keys(int stage) const {
    return base + C::kKeysAt + stage * C::kTileBytes;
  }
  __device__ std::uint32_t Values(int stage) const {
    return base + C::kValuesAt + stage * C::kTileBytes;
  }
  __device__ std::uint32_t Full(int stage) const { return base + C::kBarriersAt + stage * 8; }
  __device__ std::uint32_t Empty(int stage) const {
    return base + C::kBarriersAt + (C::kStages + stage) * 8;
  }
  // Every warp is done with the query rows; every warp has written its part of the next ones.
  __device__ std::uint32_t QueriesFree() const {
    return base + C::kBarriersAt + 2 * C::kStages * 8;
  }
  __device__ std::uint32_t QueriesFull() const { return QueriesFree() + 8; }
  // What is added to the scores of a tile's keys, in log2, if the flag is set.
  __device__ float* Bias(int stage) const {
    return reinterpret_cast<float*>(generic + C::kBiasAt) + stage * C::kKeys;
  }
  __device__ int* Flag(int stage) const {
    return reinterpret_cast<int*>(generic + C::kFlagsAt) + stage;
  }
  // Positions of a tile's keys by SeenBy::Position.
  __device__ int* Positions(int stage, int temporal) const {
    return reinterpret_cast<int*>(generic + C::kPositionsAt) + (2 * stage + temporal) * C::kKeys;
  }
};

// See SPARSEDIT_EVERY_LANE_ARRIVES in block_sparse_attention_hopper.cu.
#ifdef SPARSEDIT_EVERY_LANE_ARRIVES
constexpr int kWarpArrivals = 32;
#else
constexpr int kWarpArrivals = 1;
#endif
__device__ __forceinline__ void ArriveWarp(std::uint32_t barrier) {
  __syncwarp();
  if (static_cast<int>(threadIdx.x % 32) < kWarpArrivals) BarrierArrive(barrier);
}

// Streams the tiles of this block: one warp.
template <typename C>
__device__ __forceinline__ void Produce(const ProfileParams& p, const ProfileMaps& maps,
                                        const Shared<C>& shared) {
  constexpr int kLaneKeys = (C::kKeys + 31) / 32;
  const int lane = threadIdx.x % 32;
  const SeenBy seen(p);
  const std::int64_t first = FirstTile(p, blockIdx.x);
  const std::int64_t count = FirstTile(p, blockIdx.x + 1) - first;
  int unit = static_cast<int>(first / p.tiles);
  int tile = static_cast<int>(first - static_cast<std::int64_t>(unit) * p.tiles);
  for (std::int64_t i = 0; i < count; ++i) {
    const int bh = unit / p.row_groups, batch = bh / p.heads, head = bh % p.heads;
    const int first_key = tile * C::kKeys;
    const int stage = static_cast<int>(i % C::kStages);
    float bias[kLaneKeys];
    int positions[2][kLaneKeys];
    bool flag = false;
#pragma unroll
    for (int n = 0; n < kLaneKeys; ++n) {
      const int token = first_key + n * 32 + lane;
      bias[n] = kNegativeInfinity;
      positions[0][n] = positions[1][n] = 0;
      if (token < p.tokens) {
        bias[n] = p.key_bias == nullptr
                      ? 0.0f
                      : kLog2E * __ldg(p.key_bias + static_cast<std::int64_t>(batch) * p.tokens +
                                       token);
        positions[0][n] = seen.Position(token, false);
        positions[1][n] = seen.Position(token, true);
      }
      flag = flag || (n * 32 + lane < C::kKeys && bias[n] != 0.0f);
    }
    BarrierWait(shared.Empty(stage), static_cast<std::uint32_t>(i / C::kStages + 1) & 1);
    if (lane == 0) {
      BarrierExpect(shared.Full(stage), 2 * C::kTileBytes);
#pragma unroll
      for (int half = 0; half < C::kHalves; ++half) {
        CopyBox(shared.Keys(stage) + half * C::kColumnBytes, &maps.k, shared.Full(stage),
                half * 64, first_key, head, batch);
        CopyBox(shared.Values(stage) + half * C::kColumnBytes, &maps.v, shared.Full(stage),
                half * 64, first_key, head, batch);
      }
    }
    flag = __any_sync(0xffffffffu, flag);
#pragma unroll
    for (int n = 0; n < kLaneKeys; ++n) {
      const int key = n * 32 + lane;
      if (key < C::kKeys) {
        shared.Bias(stage)[key] = bias[n];
        shared.Positions(stage, 0)[key] = positions[0][n];
        shared.Positions(stage, 1)[key] = positions[1][n];
      }
    }
    if (lane == 0) *shared.Flag(stage) = flag;
    ArriveWarp(shared.Full(stage));
    if (++tile == p.tiles) {
      tile = 0;
      ++unit;
    }
  }
}

// A warpgroup that computes one output: kMasked for the two of the classes.
template <typename C, bool kMasked>
struct Consumer {
  using T = typename C::Type;
  static constexpr int kScores = C::kKeys / 2;
  static constexpr int kOutputs = C::kHeadDim / 2;

  const ProfileParams& p;
  const Shared<C>& shared;
  int output;  // 0 all keys, 1 spatial, 2 temporal
  int thread;  // in the warpgroup
  SeenRange ranges[2] = {};
  std::uint32_t turn = 0;  // parity of the query rows' barriers

  __device__ __forceinline__ void IssueScores(float (&s)[kScores], int stage) const {
    const std::uint64_t a = SwizzledDescriptor(shared.base, 16, 1024);
    const std::uint64_t b = SwizzledDescriptor(shared.Keys(stage), 16, 1024);
#pragma unroll
    for (int k = 0; k < C::kHeadDim; k += 16) {
      const int in_column = k % 64 * 2, column = k / 64;
      WgmmaSharedShared<T, C::kKeys>::Issue(s, a + ((column * C::kRows * 128 + in_column) >> 4),
                                            b + ((column * C::kColumnBytes + in_column) >> 4),
                                            k > 0);
    }
  }
  __device__ __forceinline__ void IssueOutputs(float (&o)[kOutputs],
                                               const std::uint32_t (&packed)[kScores / 2],
                                               int stage) const {
    const std::uint64_t b = SwizzledDescriptor(shared.Values(stage), C::kColumnBytes, 1024);
#pragma unroll
    for (int k = 0; k < C::kKeys; k += 16) {
      WgmmaRegisterShared<T, C::kHeadDim>::Issue(o, packed + k / 4, b + (k * 128 >> 4));
    }
  }
  static __device__ __forceinline__ void PackScores(const float (&s)[kScores],
                                                    std::uint32_t (&packed)[kScores / 2]) {
#pragma unroll
    for (int i = 0; i < kScores / 2; ++i) packed[i] = Pack(s[2 * i], s[2 * i + 1], T());
  }

  // Scales the raw scores of a tile, adds the bias and hides the keys that the rows do not see.
  __device__ __forceinline__ void Finish(float (&s)[kScores], int stage) const {
    const int quad = thread % 4;
    const int flag = *const_cast<const volatile int*>(shared.Flag(stage));
    if (__shfl_sync(0xffffffffu, flag, 0) == 0) {
#pragma unroll
      for (int i = 0; i < kScores; ++i) s[i] *= p.scale_log2;
    } else {
      const float2* bias = reinterpret_cast<const float2*>(shared.Bias(stage)) + quad;
#pragma unroll
      for (int i = 0; i < kScores / 4; ++i) {
        const float2 pair = bias[i * 4];
        s[4 * i] = fmaf(s[4 * i], p.scale_log2, pair.x);
        s[4 * i + 1] = fmaf(s[4 * i + 1], p.scale_log2, pair.y);
        s[4 * i + 2] = fmaf(s[4 * i + 2], p.scale_log2, pair.x);
        s[4 * i + 3] = fmaf(s[4 * i + 3], p.scale_log2, pair.y);
      }
    }
    if constexpr (kMasked) {
      const int2* positions =
          reinterpret_cast<const int2*>(shared.Positions(stage, output - 1)) + quad;
#pragma unroll
      for (int i = 0; i < kScores / 4; ++i) {
        const int2 pair = positions[i * 4];
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          if (!ranges[r].Has(pair.x)) s[4 * i + 2 * r] = kNegativeInfinity;
          if (!ranges[r].Has(pair.y)) s[4 * i + 2 * r + 1] = kNegativeInfinity;
        }
      }
    }
  }

  // Gathers the sampled rows of a unit, with the other warpgroups; zeros past the last.
  __device__ __forceinline__ void LoadQueries(const SeenBy& seen, int unit) {
    constexpr int kChunks = C::kHeadDim / 8;
    const int bh = unit / p.row_groups, first_row = unit % p.row_groups * C::kRows;
    const T* q = static_cast<const T*>(p.q) +
                 static_cast<std::int64_t>(bh / p.heads) * p.strides.batch +
                 static_cast<std::int64_t>(bh % p.heads) * p.strides.head;
    ArriveWarp(shared.QueriesFree());
    BarrierWait(shared.QueriesFree(), turn);
    for (int i = output * 128 + thread; i < C::kRows * kChunks; i += kConsumerThreads) {
      const int row = i / kChunks, chunk = i % kChunks;
      uint4 loaded = make_uint4(0, 0, 0, 0);
      if (first_row + row < p.sampled_rows) {
        const std::int64_t token = seen.RowToken(first_row + row);
        loaded = __ldg(reinterpret_cast<const uint4*>(q + token * p.strides.token) + chunk);
      }
      *reinterpret_cast<uint4*>(shared.generic + chunk / 8 * (C::kRows * 128) + row * 128 +
                                ((chunk % 8) ^ (row % 8)) * 16) = loaded;
    }
    AsyncProxyFence();
    ArriveWarp(shared.QueriesFull());
    BarrierWait(shared.QueriesFull(), turn);
    turn ^= 1;
  }

  __device__ __forceinline__ void Store(int unit, const float (&o)[kOutputs],
                                        const Softmax<true>& softmax) const {
    const int lane = thread % 32;
    const std::int64_t first =
        ((static_cast<std::int64_t>(blockIdx.x) + unit) * kProfileOutputs + output) * C::kRows +
        thread / 32 * 16 + lane / 4;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const std::int64_t row = first + 8 * r;
      const float sum = QuadSum(softmax.sum[r]);
      if (lane % 4 == 0) p.sums[row] = make_float2(softmax.maximum[r], sum);
      float2* to = reinterpret_cast<float2*>(p.outputs + row * C::kHeadDim) + lane % 4;
#pragma unroll
      for (int i = 0; i < kOutputs / 4; ++i) {
        to[i * 4] = make_float2(o[4 * i + 2 * r], o[4 * i + 2 * r + 1]);
      }
    }
  }

  static __device__ __forceinline__ int Stage(std::uint32_t number) { return number % C::kStages; }
  static __device__ __forceinline__ std::uint32_t Parity(std::uint32_t number) {
    return number / C::kStages % 2;
  }

  __device__ __forceinline__ void Run() {
    const SeenBy seen(p);
    const std::int64_t end = FirstTile(p, blockIdx.x + 1);
    std::int64_t at = FirstTile(p, blockIdx.x);
    std::uint32_t number = 0;  // of the tile in this block
    while (at < end) {
      const int unit = static_cast<int>(at / p.tiles);
      const std::int64_t unit_end = (static_cast<std::int64_t>(unit) + 1) * p.tiles;
      const int count = __shfl_sync(
          0xffffffffu, static_cast<int>((end < unit_end ? end : unit_end) - at), 0);
      at += count;
      LoadQueries(seen, unit);
      if constexpr (kMasked) {
        const int row = unit % p.row_groups * C::kRows + thread / 32 * 16 + thread % 32 / 4;
#pragma unroll
        for (int r = 0; r < 2; ++r) ranges[r] = seen.RangeOf(row + 8 * r, output == 2);
      }
      Attend(unit, number, count);
      number += count;
    }
  }

  // Attends `count` tiles from tile `number` on.
  __device__ __forceinline__ void Attend(int unit, std::uint32_t number, int count) const {
    float o[kOutputs];
#pragma unroll
    for (int i = 0; i < kOutputs; ++i) o[i] = 0.0f;
    Softmax<true> softmax;
    float s[kScores];
    std::uint32_t packed[kScores / 2];
    int stage = Stage(number);
    BarrierWait(shared.Full(stage), Parity(number));
    WgmmaFence();
    IssueScores(s, stage);
    WgmmaCommit();
    WgmmaWait<0>();
    PinRegisters(s);
    Finish(s, stage);
    softmax.Update(s);
    PackScores(s, packed);
    for (int j = 1; j < count; ++j) {
      const int last = stage;
      stage = Stage(++number);
      BarrierWait(shared.Full(stage), Parity(number));
      PinRegisters(s);
      PinRegisters(o);
      PinRegisters(packed);
      WgmmaFence();
      IssueScores(s, stage);
      WgmmaCommit();
      IssueOutputs(o, packed, last);
      WgmmaCommit();
      WgmmaWait<1>();
      PinRegisters(s);
      Finish(s, stage);
      const bool rescale = softmax.Update(s);
      WgmmaWait<0>();
      PinRegisters(o);
      PinRegisters(packed);
      ArriveWarp(shared.Empty(last));
      PackScores(s, packed);
      if (rescale) {
#pragma unroll
        for (int i = 0; i < kOutputs; ++i) o[i] *= softmax.correction[i / 2 % 2];
      }
    }
    PinRegisters(o);
    PinRegisters(packed);
    WgmmaFence();
    IssueOutputs(o, packed, stage);
    WgmmaCommit();
    WgmmaWait<0>();
    PinRegisters(o);
    ArriveWarp(shared.Empty(stage));
    Store(unit, o, softmax);
  }
};

template <typename C>
__global__ void __launch_bounds__(kThreads, 1)
    HopperProfile(const __grid_constant__ ProfileParams p,
                  const __grid_constant__ ProfileMaps maps) {
  extern __shared__ char dynamic_shared[];
  if (!ActionPlans(*p.action)) return;
  const std::uint32_t unaligned = SharedAddress(dynamic_shared);
  const std::uint32_t base = (unaligned + 1023) / 1024 * 1024;
  const Shared<C> shared{base, dynamic_shared + (base - unaligned)};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < C::kStages; ++stage) {
      BarrierInit(shared.Full(stage), kWarpArrivals);
      BarrierInit(shared.Empty(stage), kConsumerWarps * kWarpArrivals);
    }
    BarrierInit(shared.QueriesFree(), kConsumerWarps * kWarpArrivals);
    BarrierInit(shared.QueriesFull(), kConsumerWarps * kWarpArrivals);
    BarrierInitFence();
  }
  __syncthreads();
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0);
  const int thread = static_cast<int>(threadIdx.x) % 128;
  if (warp < 4) {
    ShrinkRegisters<kProducerRegisters>();
    if (warp == 0) Produce<C>(p, maps, shared);
  } else {
    GrowRegisters<kConsumerRegisters>();
    if (warp < 8) {
      Consumer<C, false>{p, shared, 0, thread}.Run();
    } else {
      Consumer<C, true>{p, shared, warp / 4 - 1, thread}.Run();
    }
  }
}

// Boxes of 64 columns and `keys` rows of [batch, head, token, column].
bool EncodeMap(EncodeTiled encode, CUtensorMap* map, const HeadClassesProblem& problem,
               const Strides& strides, const void* data, int keys) {
  const cuuint64_t extents[4] = {
      static_cast<cuuint64_t>(problem.head_dim), static_cast<cuuint64_t>(problem.tokens),
      static_cast<cuuint64_t>(problem.heads), static_cast<cuuint64_t>(problem.batch)};
  const cuuint64_t bytes[3] = {static_cast<cuuint64_t>(strides.token) * 2,
                               static_cast<cuuint64_t>(strides.head) * 2,
                               static_cast<cuuint64_t>(strides.batch) * 2};
  const cuuint32_t steps[4] = {1, 1, 1, 1};
  const cuuint32_t box[4] = {64, static_cast<cuuint32_t>(keys), 1, 1};
  return encode(map,
                problem.type == DataType::kBFloat16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                                    : CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
                4, const_cast<void*>(data), extents, bytes, box, steps,
                CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

template <typename C>
Status Launch(ProfileParams& p, const HeadClassesProblem& problem, int multiprocessors,
              CUstream_st* stream) {
  const EncodeTiled encode = FindEncodeTiled();
  SPARSEDIT_REQUIRE(encode != nullptr, Status::kUnsupported);
  ShareTiles(p, problem.batch * problem.heads, C::kRows, C::kKeys,
             std::min(multiprocessors, kMostFastWorkers));
  ProfileMaps maps;
  SPARSEDIT_REQUIRE(EncodeMap(encode, &maps.k, problem, p.strides, p.k, C::kKeys) &&
                        EncodeMap(encode, &maps.v, problem, p.strides, p.v, C::kKeys),
                    Status::kUnsupported);
  if (cudaFuncSetAttribute(HopperProfile<C>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           C::kSharedBytes) != cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  HopperProfile<C><<<p.workers, kThreads, C::kSharedBytes, stream>>>(p, maps);
  return LaunchStatus();
}

}  // namespace

Status LaunchHopperProfile(ProfileParams& p, const HeadClassesProblem& problem,
                           int multiprocessors, CUstream_st* stream) {
  if (problem.head_dim == 128) {
    return problem.type == DataType::kBFloat16
               ? Launch<Config<__nv_bfloat16, 128, 80>>(p, problem, multiprocessors, stream)
               : Launch<Config<__half, 128, 80>>(p, problem, multiprocessors, stream);
  }
  return problem.type == DataType::kBFloat16
             ? Launch<Config<__nv_bfloat16, 64, 128>>(p, problem, multiprocessors, stream)
             : Launch<Config<__half, 64, 128>>(p, problem, multiprocessors, stream);
}

}  // namespace sparsedit
