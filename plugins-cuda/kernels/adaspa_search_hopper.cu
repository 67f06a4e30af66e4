// The sm_90a path of AdaSpa's search (arXiv 2502.21079, section 4.2).
//
// A block is persistent: a producer warp streams tiles of 128 keys through a ring; each of three
// consumer warpgroups multiplies them by the queries of one block, which it holds in shared memory.
// Nothing is multiplied with V: the scores of a tile end as a sum for each of its two blocks (block
// mass) or for each row (LSE).
//
// At head dim 128 the special function units need as long for exp2 as the tensor cores for the
// scores, so both must be at work all the time: a warpgroup moves the scores of a tile, scaled and
// relative to their rows' LSE, to registers of their own, issues the next product, and takes exp2
// while it runs. Three of them have the registers for that; a loop that is short matters as much as
// one that is busy, since the chip runs at the limit of its power (bench/RESULTS.md).
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/adaspa_search.h"
#include "kernels/exponential.h"
#include "kernels/fragment_math.h"
#include "kernels/hopper.h"
#include "kernels/tensor_map.h"
#include "kernels/wgmma.h"

namespace sparsedit {
namespace {

constexpr int kBlock = 64;      // tokens of a block of W
constexpr int kKeyBlocks = 2;   // of a tile
constexpr int kKeys = kKeyBlocks * kBlock;
constexpr int kWarpgroups = 3;  // consumers, a query block each
constexpr int kThreads = 128 * (kWarpgroups + 1);
constexpr int kProducerRegisters = 24;
constexpr int kConsumerRegisters = 160;
constexpr int kScores = kKeys / 2;  // of 64 queries and a tile, a thread
constexpr int kSums = 16;           // that are added up together: of blocks of neighbouring tiles
constexpr int kChunk = kSums / kKeyBlocks;  // tiles of them
constexpr float kInfinity = __builtin_huge_valf();
constexpr float kMoveAt = 16777216.0f;  // sum of a row and tile above which the reference moves

template <typename T, int kHeadDim_>
struct Config {
  using Type = T;
  static constexpr int kHeadDim = kHeadDim_;
  static constexpr int kSteps = kHeadDim / 16;   // products of a tile and 64 queries
  static constexpr int kHalves = kHeadDim / 64;  // 128-byte columns of a tile
  static constexpr int kColumnBytes = kKeys * 128;
  static constexpr int kTileBytes = kColumnBytes * kHalves;
  static constexpr int kQueryBytes = kBlock * kHeadDim * 2;  // of a block
  static constexpr int kStages = kHeadDim == 128 ? 4 : 6;

  static constexpr int kQueriesAt = kStages * kTileBytes;
  static constexpr int kPartsAt = kQueriesAt + kWarpgroups * kQueryBytes;
  static constexpr int kPartBytes = kSums * 32 * 4;  // of a warp
  static constexpr int kCrossAt = kPartsAt + 4 * kWarpgroups * kPartBytes;
  static constexpr int kCrossBytes = 4 * kSums * 4;  // of a warpgroup and one of two turns
  static constexpr int kBiasAt = kCrossAt + 2 * kWarpgroups * kCrossBytes;
  static constexpr int kFlagsAt = kBiasAt + kStages * kKeys * 4;
  static constexpr int kBarriersAt = kFlagsAt + kStages * 8;
  static constexpr int kSharedBytes = kBarriersAt + 2 * kStages * 8 + 1024;  // and to align
  static_assert(kSharedBytes <= 232448, "more shared memory than a block can have");
};

struct HopperSearchParams {
  AdaSpaSearchArgs a;
};

template <typename C>
struct Shared {
  std::uint32_t base;
  char* generic;  // the same
  __device__ std::uint32_t Tile(int stage) const { return base + stage * C::kTileBytes; }
  __device__ int QueriesAt(int warpgroup) const {
    return C::kQueriesAt + warpgroup * C::kQueryBytes;
  }
  __device__ std::uint32_t Full(int stage) const { return base + C::kBarriersAt + stage * 8; }
  __device__ std::uint32_t Empty(int stage) const {
    return base + C::kBarriersAt + (C::kStages + stage) * 8;
  }
  __device__ float* Bias(int stage) const {
    return reinterpret_cast<float*>(generic + C::kBiasAt) + stage * kKeys;
  }
  __device__ int* Flag(int stage) const {
    return reinterpret_cast<int*>(generic + C::kFlagsAt) + stage;
  }
  __device__ float* Parts(int warp) const {
    return reinterpret_cast<float*>(generic + C::kPartsAt + warp * C::kPartBytes);
  }
  __device__ float* Cross(int warpgroup, int turn) const {
    return reinterpret_cast<float*>(generic + C::kCrossAt +
                                    (2 * warpgroup + turn) * C::kCrossBytes);
  }
};

#ifdef SPARSEDIT_EVERY_LANE_ARRIVES
constexpr int kWarpArrivals = 32;
#else
constexpr int kWarpArrivals = 1;
#endif
__device__ __forceinline__ void ArriveWarp(std::uint32_t barrier) {
  __syncwarp();
  if (static_cast<int>(threadIdx.x % 32) < kWarpArrivals) BarrierArrive(barrier);
}

template <int kStages>
struct Ring {
  int stage = 0;
  std::uint32_t parity = 0;
  __device__ __forceinline__ void Advance() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// Tiles of keys: kKeyBlocks blocks each, those of text after those of video.
struct KeyTiles {
  BlockSplit split;
  int of_video, count;
  __device__ explicit KeyTiles(const BlockSplit& s)
      : split(s),
        of_video(Tiles(s.video_blocks)),
        count(Tiles(s.video_blocks) + Tiles(s.text_blocks)) {}
  static __device__ __forceinline__ int Tiles(int blocks) {
    return (blocks + kKeyBlocks - 1) / kKeyBlocks;
  }
  __device__ __forceinline__ int ItemsOfHead() const {
    return (split.Blocks() + kWarpgroups - 1) / kWarpgroups;
  }
  __device__ __forceinline__ int FirstBlock(int tile) const {
    return tile < of_video ? kKeyBlocks * tile
                           : split.video_blocks + kKeyBlocks * (tile - of_video);
  }
  // How many of a tile's blocks exist.
  __device__ __forceinline__ int BlocksOf(int tile) const {
    return (tile < of_video ? split.video_blocks : split.Blocks()) - FirstBlock(tile);
  }
  // The last tile of video and that of text may have keys that do not exist.
  __device__ __forceinline__ bool IsLast(int tile) const {
    return tile == of_video - 1 || tile == count - 1;
  }
};

// Streams the tiles of all items, each with what its keys add to scores where that is not 0: one
// warp.
template <typename C>
__device__ __forceinline__ void Produce(const HopperSearchParams& params, const CUtensorMap* map,
                                        const Shared<C>& shared, const KeyTiles& tiles) {
  const AdaSpaSearchArgs& a = params.a;
  const int lane = threadIdx.x % 32;
  const int rows = tiles.ItemsOfHead();
  Ring<C::kStages> ring;
  for (int item = blockIdx.x; item < rows * a.batch * a.heads; item += gridDim.x) {
    const int all_head = item / rows;
    const int batch = all_head / a.heads, head = all_head % a.heads;
    for (int tile = 0; tile < tiles.count; ++tile) {
      const TokenRun run = tiles.split.Tokens(tiles.FirstBlock(tile), kKeyBlocks);
      BarrierWait(shared.Empty(ring.stage), ring.parity ^ 1);
      if (lane == 0) BarrierExpect(shared.Full(ring.stage), C::kTileBytes);
      __syncwarp();
      if (lane < C::kHalves) {
        CopyBox(shared.Tile(ring.stage) + lane * C::kColumnBytes, map, shared.Full(ring.stage),
                lane * 64, run.first, head, batch);
      }
      bool flag = tiles.IsLast(tile);
      if (flag || a.key_bias != nullptr) {
        float bias[kKeys / 32];
#pragma unroll
        for (int i = 0; i < kKeys / 32; ++i) {
          const int key = i * 32 + lane;
          bias[i] = key >= run.count ? -kInfinity
                    : a.key_bias == nullptr
                        ? 0.0f
                        : kLog2E * a.key_bias[static_cast<std::int64_t>(batch) * a.tokens +
                                              run.first + key];
          flag = flag || bias[i] != 0.0f;
        }
        flag = __any_sync(0xffffffffu, flag);
        if (flag) {
#pragma unroll
          for (int i = 0; i < kKeys / 32; ++i) shared.Bias(ring.stage)[i * 32 + lane] = bias[i];
        }
      }
      if (a.key_bias != nullptr && lane == 0) *shared.Flag(ring.stage) = flag;
      ArriveWarp(shared.Full(ring.stage));
      ring.Advance();
    }
  }
}

// A consumer warpgroup. kLse: the sums are of rows; else of blocks.
template <typename C, bool kLse>
struct Consumer {
  const HopperSearchParams& params;
  const Shared<C>& shared;
  const KeyTiles& tiles;
  int warpgroup, thread;

  // Of a thread's two rows, in log2: what is taken off the scores.
  float reference[2];
  float row_sum[2];  // kLse

  // Copies the queries of a block to shared memory, zeros past their end, and finds the references.
  __device__ __forceinline__ void LoadQueries(int all_head, int block) {
    const AdaSpaSearchArgs& a = params.a;
    TokenRun run = {0, 0};
    if (block < tiles.split.Blocks()) run = tiles.split.Tokens(block, 1);
    const typename C::Type* q = static_cast<const typename C::Type*>(a.q) +
                                all_head / a.heads * a.strides.batch +
                                all_head % a.heads * a.strides.head;
    char* to = shared.generic + shared.QueriesAt(warpgroup);
    constexpr int kChunks = C::kHeadDim / 8;  // of 16 bytes, a row
    NamedBarrierSync(1 + warpgroup, 128);     // the last item's queries have been read
#pragma unroll 8
    for (int i = thread; i < kBlock * kChunks; i += 128) {
      const int row = i / kChunks, chunk = i % kChunks;
      uint4 values = {0, 0, 0, 0};
      if (row < run.count) {
        values =
            __ldg(reinterpret_cast<const uint4*>(q + (run.first + row) * a.strides.token) + chunk);
      }
      *reinterpret_cast<uint4*>(to + chunk / 8 * (kBlock * 128) + row * 128 +
                                ((chunk % 8) ^ (row % 8)) * 16) = values;
    }
    const int row = thread / 32 * 16 + thread % 32 / 4;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      reference[r] = kLse ? -kInfinity : kInfinity;
      if (!kLse && row + 8 * r < run.count) {
        reference[r] = kLog2E * a.lse[static_cast<std::int64_t>(all_head) * a.tokens + run.first +
                                      row + 8 * r];
      }
      row_sum[r] = 0.0f;
    }
    AsyncProxyFence();
    NamedBarrierSync(1 + warpgroup, 128);
  }

  // The product of the queries and a tile of keys.
  __device__ __forceinline__ void Issue(float (&d)[kScores], int stage) const {
    const std::uint64_t from =
        SwizzledDescriptor(shared.base + shared.QueriesAt(warpgroup), 16, 1024);
    // A sum of 64 bits takes fewer instructions than a descriptor made anew.
    const std::uint64_t keys =
        SwizzledDescriptor(shared.Tile(0), 16, 1024) +
        static_cast<std::uint32_t>(stage) * std::uint64_t{C::kTileBytes / 16};
    WgmmaFence();
#pragma unroll
    for (int k = 0; k < C::kSteps; ++k) {
      WgmmaSharedShared<typename C::Type, kKeys>::Issue(
          d, from + (k / 4 * (kBlock * 128) + k % 4 * 32) / 16,
          keys + (k / 4 * C::kColumnBytes + k % 4 * 32) / 16, k > 0);
    }
    WgmmaCommit();
  }

  // Scores in log2 with the bias of their keys.
  __device__ __forceinline__ void AddBias(float (&d)[kScores], int stage, float scale) const {
    const float* bias = shared.Bias(stage) + thread % 4 * 2;
#pragma unroll
    for (int n = 0; n < kScores / 4; ++n) {
      const float2 b = *reinterpret_cast<const float2*>(bias + n * 8);
      d[4 * n] = fmaf(d[4 * n], scale, b.x);
      d[4 * n + 1] = fmaf(d[4 * n + 1], scale, b.y);
      d[4 * n + 2] = fmaf(d[4 * n + 2], scale, b.x);
      d[4 * n + 3] = fmaf(d[4 * n + 3], scale, b.y);
    }
  }

  // The sums of a thread's two rows grow; each is relative to a reference of the thread's own,
  // which moves only where a tile would exceed it by far.
  __device__ __forceinline__ void RowSums(const float (&d)[kScores], float scale) {
    const float minus[2] = {-reference[0], -reference[1]};
    float sums[2][2] = {};
#pragma unroll
    for (int i = 0; i < kScores; ++i) {
      const int r = i / 2 % 2;
      sums[r][i % 2] += Exp2(fmaf(d[i], scale, minus[r]));
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float all = sums[r][0] + sums[r][1];
      if (reference[r] > -kInfinity && all < kMoveAt) {
        row_sum[r] += all;
        continue;
      }
      float high = reference[r];
#pragma unroll
      for (int i = 0; i < kScores; ++i) {
        if (i / 2 % 2 == r) high = fmaxf(high, d[i] * scale);
      }
      if (!(high > -kInfinity)) continue;
      float again = 0.0f;
#pragma unroll
      for (int i = 0; i < kScores; ++i) {
        if (i / 2 % 2 == r) again += Exp2(fmaf(d[i], scale, -high));
      }
      row_sum[r] = row_sum[r] * Exp2(reference[r] - high) + again;
      reference[r] = high;
    }
  }

  // LSE of this thread's rows of a query block, over the four lanes that share them.
  __device__ __forceinline__ void StoreLse(int all_head, int block) const {
    if (block >= tiles.split.Blocks()) return;
    const AdaSpaSearchArgs& a = params.a;
    const TokenRun run = tiles.split.Tokens(block, 1);
    const int lane = thread % 32;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float high = fmaxf(reference[r], __shfl_xor_sync(0xffffffffu, reference[r], 1));
      high = fmaxf(high, __shfl_xor_sync(0xffffffffu, high, 2));
      float all = reference[r] > -kInfinity ? row_sum[r] * Exp2(reference[r] - high) : 0.0f;
      all += __shfl_xor_sync(0xffffffffu, all, 1);
      all += __shfl_xor_sync(0xffffffffu, all, 2);
      const int row = thread / 32 * 16 + lane / 4 + 8 * r;
      if (lane % 4 == 0 && row < run.count) {
        a.lse[static_cast<std::int64_t>(all_head) * a.tokens + run.first + row] =
            high > -kInfinity ? high / kLog2E + logf(all) : kInfinity;
      }
    }
  }

  // Takes the scores of a tile, once they are there, lets the tile go, and issues the product with
  // the next one if there is one. Gives this thread's sums of the two blocks.
  template <bool kNext>
  __device__ __forceinline__ float2 Take(float (&d)[kScores], bool flag, int stage, int next) {
    float scale = params.a.scale * kLog2E;
    WgmmaWait<0>();
    PinRegisters(d);
    if (flag) {
      AddBias(d, stage, scale);
      scale = 1.0f;
    }
    ArriveWarp(shared.Empty(stage));
    float sums[kKeyBlocks] = {};
    if constexpr (kLse) {
      RowSums(d, scale);
      if constexpr (kNext) Issue(d, next);
    } else {
      const float minus[2] = {-reference[0], -reference[1]};
      float x[kScores];
#pragma unroll
      for (int i = 0; i < kScores; ++i) x[i] = fmaf(d[i], scale, minus[i / 2 % 2]);
      PinRegisters(x);
      if constexpr (kNext) Issue(d, next);
#pragma unroll
      for (int block = 0; block < kKeyBlocks; ++block) {
        const float* of_block = x + block * (kScores / kKeyBlocks);
        float parts[2] = {Exp2(of_block[0]), Exp2(of_block[1])};
#pragma unroll
        for (int i = 2; i < kScores / kKeyBlocks; ++i) parts[i % 2] += Exp2(of_block[i]);
        sums[block] = parts[0] + parts[1];
      }
    }
    return {sums[0], sums[1]};
  }
  // Keeps the sums of a tile; those of kChunk tiles are added up and stored together.
  __device__ __forceinline__ void Keep(float2 sums, int all_head, int block, int tile,
                                       int& turn) const {
    if constexpr (!kLse) {
      const int of_chunk = static_cast<std::uint32_t>(tile) % kChunk;
      float* parts = shared.Parts(4 * warpgroup + thread / 32) +
                     (of_chunk * 32 + thread % 32) * kKeyBlocks;
      *reinterpret_cast<float2*>(parts) = sums;
      if (of_chunk == kChunk - 1 || tile == tiles.count - 1) {
        StoreBlockSums(all_head, block, tile - of_chunk, of_chunk + 1, turn++);
        __syncwarp();
      }
    }
  }

  // Adds up the parts of `count` tiles from `first` on and stores them. All four warps take part.
  __device__ __forceinline__ void StoreBlockSums(int all_head, int query_block, int first,
                                                 int count, int turn) const {
    const AdaSpaSearchArgs& a = params.a;
    const int warp = thread / 32, lane = thread % 32;
    const int sum_of = lane % kSums, half = lane / kSums;  // two lanes a sum
    const int of_tile = sum_of / kKeyBlocks, of_block = sum_of % kKeyBlocks;
    const float* parts = shared.Parts(4 * warpgroup + warp);
    __syncwarp();
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 16; ++i) {  // rotated, so that no two lanes meet in a bank
      const int part = half * 16 + (i + of_tile + half * kChunk) % 16;
      sum += parts[(of_tile * 32 + part) * kKeyBlocks + of_block];
    }
    sum += __shfl_xor_sync(0xffffffffu, sum, kSums);
    float* cross = shared.Cross(warpgroup, turn % 2);
    if (half == 0) cross[warp * kSums + lane] = sum;
    NamedBarrierSync(1 + warpgroup, 128);
    if (warp != turn % 4 || half != 0) return;
    const float all = (cross[lane] + cross[kSums + lane]) +
                      (cross[2 * kSums + lane] + cross[3 * kSums + lane]);
    const int tile = first + of_tile;
    if (of_tile < count && query_block < tiles.split.Blocks() && of_block < tiles.BlocksOf(tile)) {
      a.mass[(static_cast<std::int64_t>(all_head) * a.segments + query_block) * a.segments +
             tiles.FirstBlock(tile) + of_block] = all;
    }
  }

  // Waits for a tile of keys. True if its scores need a bias.
  __device__ __forceinline__ bool WaitKeys(const Ring<C::kStages>& ring, int tile) const {
    BarrierWait(shared.Full(ring.stage), ring.parity);
    return tiles.IsLast(tile) ||
           (params.a.key_bias != nullptr &&
            __shfl_sync(0xffffffffu, *shared.Flag(ring.stage), 0) != 0);
  }

  __device__ __forceinline__ void Run() {
    const AdaSpaSearchArgs& a = params.a;
    const int rows = tiles.ItemsOfHead();
    Ring<C::kStages> ring;
    int turn = 0;
    float d[kScores];
    for (int item = blockIdx.x; item < rows * a.batch * a.heads; item += gridDim.x) {
      const int all_head = item / rows;
      const int block = item % rows * kWarpgroups + warpgroup;
      LoadQueries(all_head, block);
      bool flag = WaitKeys(ring, 0);
      int stage = ring.stage;
      Issue(d, stage);
      ring.Advance();
#pragma unroll 1
      for (int tile = 1; tile < tiles.count; ++tile) {
        const bool next_flag = WaitKeys(ring, tile);
        const float2 sums = Take<true>(d, flag, stage, ring.stage);
        flag = next_flag;
        stage = ring.stage;
        ring.Advance();
        Keep(sums, all_head, block, tile - 1, turn);
      }
      Keep(Take<false>(d, flag, stage, 0), all_head, block, tiles.count - 1, turn);
      if constexpr (kLse) StoreLse(all_head, block);
    }
  }
};

template <typename C, bool kLse>
__global__ void __launch_bounds__(kThreads, 1)
    HopperSearch(const __grid_constant__ HopperSearchParams params,
                 const __grid_constant__ CUtensorMap map) {
  const std::int32_t action = __shfl_sync(0xffffffffu, *params.a.action, 0);
  if (!ActionPlans(action) || (kLse && !IsCold(action))) return;
  extern __shared__ char dynamic_shared[];
  const std::uint32_t unaligned = SharedAddress(dynamic_shared);
  const std::uint32_t base = (unaligned + 1023) / 1024 * 1024;
  const Shared<C> shared{base, dynamic_shared + (base - unaligned)};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < C::kStages; ++stage) {
      BarrierInit(shared.Full(stage), kWarpArrivals);
      BarrierInit(shared.Empty(stage), 4 * kWarpgroups * kWarpArrivals);
    }
    BarrierInitFence();
  }
  __syncthreads();
  const KeyTiles tiles(BlockSplit::Read(params.a));
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0);
  if (warp < 4) {
    ShrinkRegisters<kProducerRegisters>();
    if (warp == 0) Produce<C>(params, &map, shared, tiles);
  } else {
    GrowRegisters<kConsumerRegisters>();
    Consumer<C, kLse> consumer{params, shared, tiles, warp / 4 - 1,
                               static_cast<int>(threadIdx.x % 128)};
    consumer.Run();
  }
}

template <typename C, bool kLse>
Status LaunchPass(const HopperSearchParams& params, const CUtensorMap& map, int blocks,
                  CUstream_st* stream) {
  if (cudaFuncSetAttribute(HopperSearch<C, kLse>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           C::kSharedBytes) != cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  HopperSearch<C, kLse><<<blocks, kThreads, C::kSharedBytes, stream>>>(params, map);
  return LaunchStatus();
}

template <typename T, int kHeadDim>
Status LaunchPasses(const HopperSearchParams& params, const CUtensorMap& map, int blocks,
                    CUstream_st* stream) {
  using C = Config<T, kHeadDim>;
  SPARSEDIT_RETURN_IF_ERROR((LaunchPass<C, true>(params, map, blocks, stream)));
  return LaunchPass<C, false>(params, map, blocks, stream);
}

}  // namespace

Status LaunchHopperSearch(const AdaSpaSearchArgs& args, DataType type, int multiprocessors,
                          CUstream_st* stream) {
  const EncodeTiled encode = FindEncodeTiled();
  SPARSEDIT_REQUIRE(encode != nullptr, Status::kUnsupported);
  CUtensorMap map;
  SPARSEDIT_REQUIRE(EncodeTokenMap(encode, &map, type, args.k, args.batch, args.heads, args.tokens,
                                   args.head_dim, args.strides, kKeys),
                    Status::kUnsupported);
  const HopperSearchParams params{args};
  if (args.head_dim == 128) {
    return type == DataType::kBFloat16
               ? LaunchPasses<__nv_bfloat16, 128>(params, map, multiprocessors, stream)
               : LaunchPasses<__half, 128>(params, map, multiprocessors, stream);
  }
  return type == DataType::kBFloat16
             ? LaunchPasses<__nv_bfloat16, 64>(params, map, multiprocessors, stream)
             : LaunchPasses<__half, 64>(params, map, multiprocessors, stream);
}

}  // namespace sparsedit
