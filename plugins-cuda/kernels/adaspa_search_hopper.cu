// The sm_90a path of AdaSpa's search (arXiv 2502.21079, section 4.2).
//
// A block is persistent: a producer warp streams tiles of 128 keys through a ring; each of two
// consumer warpgroups holds the queries of two blocks in registers, as the A operands of its products.
// While a warpgroup takes exp2 of the scores of one query block, the product of the other is under
// way. Nothing is multiplied with V: the scores of a tile end as a sum for each of its two blocks
// (block mass) or for each row (LSE).
//
// At head dim 128 the special function units need as long for exp2 as the tensor cores for the
// scores, so a part of the elements takes exp2 on the FMA units, as FlashAttention-4 does
// (arXiv 2603.05451): x + 127 in fixed point, with 14 or 15 fractional bits, is the mantissa of a sum;
// shifted to the left it is the exponent of 2^x and the argument g = 1 + frac(x) of the cubic that
// stands for 2^(g - 1) (minimax, relative error 7.5e-5, 9.6e-5 with rounding, 5e-6 in the mean).
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/adaspa_search.h"
#include "kernels/fragment_math.h"
#include "kernels/hopper.h"
#include "kernels/tensor_map.h"
#include "kernels/wgmma.h"

namespace sparsedit {
namespace {

constexpr int kBlock = 64;               // tokens of a block of W
constexpr int kKeys = 2 * kBlock;        // of a tile
constexpr int kWarpgroups = 2;           // consumers
constexpr int kQueryBlocks = 2;          // of a warpgroup
constexpr int kSums = 2 * kQueryBlocks;  // of a tile, a warpgroup
constexpr int kBlocksInItem = kQueryBlocks * kWarpgroups;
constexpr int kThreads = 128 * (kWarpgroups + 1);
constexpr int kProducerRegisters = 24;
constexpr int kConsumerRegisters = 240;
constexpr int kScores = kKeys / 2;  // of 64 queries and a tile, a thread
constexpr int kChunk = 32 / kSums;  // tiles whose sums are kept before they are added up
constexpr float kInfinity = __builtin_huge_valf();
constexpr float kLog2E = 1.4426950408889634f;
constexpr float kMoveAt = 16777216.0f;  // sum of a row and tile above which the reference moves

template <typename T, int kHeadDim_>
struct Config {
  using Type = T;
  static constexpr int kHeadDim = kHeadDim_;
  static constexpr int kSteps = kHeadDim / 16;   // products of a tile and 64 queries
  static constexpr int kHalves = kHeadDim / 64;  // 128-byte columns of a tile
  static constexpr int kColumnBytes = kKeys * 128;
  static constexpr int kTileBytes = kColumnBytes * kHalves;
  static constexpr int kStages = kHeadDim == 128 ? 4 : 6;
  // Of every 16 exponentials those on the FMA units.
  static constexpr int kPolynomials = 2;

  static constexpr int kPartsAt = kStages * kTileBytes;
  static constexpr int kPartBytes = kChunk * 32 * kSums * 4;  // of a warp: kSums a tile and lane
  static constexpr int kCrossAt = kPartsAt + 4 * kWarpgroups * kPartBytes;
  static constexpr int kCrossBytes = 4 * 32 * 4;  // of a warpgroup and one of two turns
  static constexpr int kBiasAt = kCrossAt + 2 * kWarpgroups * kCrossBytes;
  static constexpr int kFlagsAt = kBiasAt + kStages * kKeys * 4;
  static constexpr int kBarriersAt = kFlagsAt + kStages * 8;
  static constexpr int kSharedBytes = kBarriersAt + 2 * kStages * 8 + 1024;  // and to align
  static_assert(kSharedBytes <= 232448, "more shared memory than a block can have");
};

// sum + 2^x of the number whose bits are (x + 127) 2^23: its exponent, and what 2^frac(x) is of.
__device__ __forceinline__ float AddPower(std::uint32_t bits, float sum) {
  std::uint32_t g_bits;  // (bits & mantissa) | one
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(g_bits) : "r"(bits), "r"(0x7fffffu), "r"(0x3f800000u));
  const float g = __uint_as_float(g_bits);
  const float power = __uint_as_float(bits & 0x7f800000u);
  float p = fmaf(0.07802452f, g, -0.0080064125f);
  p = fmaf(p, g, 0.4777728f);
  p = fmaf(p, g, 0.4521343f);
  return fmaf(power, p, sum);
}
// sum + 2^x by arithmetic; x = scale d - ref; `scale` and `offset` are scale / 256 and
// (127 - ref) / 256. 2^x counts as 0 below x = -127 and above 129.
__device__ __forceinline__ float AddExp2(float d, float scale, float offset, float sum) {
  float u;
  asm("fma.rn.sat.f32 %0, %1, %2, %3;" : "=f"(u) : "f"(d), "f"(scale), "f"(offset));
  return AddPower(__float_as_uint(fmaf(u, 2.0f, 2.0f)) << 8, sum);
}
// The same of t = x + 639; 2^x counts as 2^127 above that.
__device__ __forceinline__ float AddBoundedExp2(float t, float sum) {
  return AddPower(__float_as_uint(fminf(fmaxf(t, 512.0f), 766.0f)) << 9, sum);
}

// Of every 16 elements kPolynomials, evenly spread.
template <int kPolynomials>
__device__ constexpr bool OnFma(int i) {
  return (i + 1) * kPolynomials / 16 != i * kPolynomials / 16;
}

struct HopperSearchParams {
  AdaSpaSearchArgs a;
};

template <typename C>
struct Shared {
  std::uint32_t base;
  char* generic;  // the same
  __device__ std::uint32_t Tile(int stage) const { return base + stage * C::kTileBytes; }
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
    return reinterpret_cast<float*>(generic + C::kCrossAt + (2 * warpgroup + turn) * C::kCrossBytes);
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

// Tiles of keys: two blocks each, those of text after those of video.
struct KeyTiles {
  BlockSplit split;
  int of_video, count;
  __device__ explicit KeyTiles(const BlockSplit& s)
      : split(s),
        of_video((s.video_blocks + 1) / 2),
        count((s.video_blocks + 1) / 2 + (s.text_blocks + 1) / 2) {}
  __device__ __forceinline__ int ItemsOfHead() const {
    return (split.Blocks() + kBlocksInItem - 1) / kBlocksInItem;
  }
  __device__ __forceinline__ int FirstBlock(int tile) const {
    return tile < of_video ? 2 * tile : split.video_blocks + 2 * (tile - of_video);
  }
  // Whether the second block of a tile exists.
  __device__ __forceinline__ bool HasSecond(int tile) const {
    const int block = FirstBlock(tile) + 1;
    return tile < of_video ? block < split.video_blocks : block < split.Blocks();
  }
};

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
      const TokenRun run = tiles.split.Tokens(tiles.FirstBlock(tile), 2);
      BarrierWait(shared.Empty(ring.stage), ring.parity ^ 1);
      if (lane == 0) BarrierExpect(shared.Full(ring.stage), C::kTileBytes);
      __syncwarp();
      if (lane < C::kHalves) {
        CopyBox(shared.Tile(ring.stage) + lane * C::kColumnBytes, map, shared.Full(ring.stage),
                lane * 64, run.first, head, batch);
      }
      bool flag = run.count < kKeys;
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
      if (lane == 0) *shared.Flag(ring.stage) = flag;
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

  std::uint32_t queries[kQueryBlocks][C::kSteps][4];
  // Of a thread's two rows of each query block, in log2: what is taken off the scores.
  float reference[kQueryBlocks][2];
  float row_sum[kQueryBlocks][2];  // kLse

  // Takes the queries of a block, zeros past their end, and finds the references.
  __device__ __forceinline__ void LoadQueries(int all_head, int block, int m) {
    const AdaSpaSearchArgs& a = params.a;
    TokenRun run = {0, 0};
    if (block < tiles.split.Blocks()) run = tiles.split.Tokens(block, 1);
    const int lane = thread % 32;
    const int row = thread / 32 * 16 + lane / 4;
    const std::uint32_t* base = reinterpret_cast<const std::uint32_t*>(
        static_cast<const typename C::Type*>(a.q) + all_head / a.heads * a.strides.batch +
        all_head % a.heads * a.strides.head);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const bool exists = row + 8 * r < run.count;
      const int token = run.first + row + 8 * r;
      const std::uint32_t* from = base + token * a.strides.token / 2 + lane % 4;
#pragma unroll
      for (int k = 0; k < C::kSteps; ++k) {
        queries[m][k][r] = exists ? __ldg(from + k * 8) : 0;
        queries[m][k][2 + r] = exists ? __ldg(from + k * 8 + 4) : 0;
      }
      reference[m][r] = kLse ? -kInfinity : kInfinity;
      if (!kLse && exists) {
        reference[m][r] =
            kLog2E * a.lse[static_cast<std::int64_t>(all_head) * a.tokens + token];
      }
      row_sum[m][r] = 0.0f;
    }
  }

  // The product of query block m and a tile of keys.
  __device__ __forceinline__ void Issue(float (&d)[kScores], int m, int stage) {
    const std::uint32_t keys =
        static_cast<std::uint32_t>(SwizzledDescriptor(shared.Tile(stage), 16, 1024));
    WgmmaFence();
#pragma unroll
    for (int k = 0; k < C::kSteps; ++k) {
      WgmmaRegisterSharedK<typename C::Type, kKeys>::Issue(
          d, queries[m][k], keys + (k / 4 * C::kColumnBytes + k % 4 * 32) / 16, k > 0);
    }
    WgmmaCommit();
  }

  // Scores in log2 with the bias of their keys.
  __device__ __forceinline__ void AddBias(float (&d)[kScores], int stage, float scale) {
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

  // Sum of exp2(scale d - ref) over the first (half 0) or the second block of keys.
  template <int half>
  __device__ __forceinline__ float BlockSum(const float (&d)[kScores], float scale,
                                            const float (&ref)[2]) {
    const float minus[2] = {-ref[0], -ref[1]};
    const float part = scale * 0.00390625f;
    const float offset[2] = {(127.0f - ref[0]) * 0.00390625f, (127.0f - ref[1]) * 0.00390625f};
    float sums[4] = {};
#pragma unroll
    for (int i = half * kScores / 2; i < (half + 1) * kScores / 2; ++i) {
      const int r = i / 2 % 2;
      if (OnFma<C::kPolynomials>(i)) {
        sums[i % 4] = AddExp2(d[i], part, offset[r], sums[i % 4]);
      } else {
        sums[i % 4] += Exp2(fmaf(d[i], scale, minus[r]));
      }
    }
    float sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    asm volatile("" : "+f"(sum)::"memory");  // here, before the registers of d are taken again
    return sum;
  }

  // The sums of a thread's two rows grow; each is relative to a reference of the thread's own, which
  // moves only where a tile would exceed it by far.
  __device__ __forceinline__ void RowSums(const float (&d)[kScores], float scale, float (&ref)[2],
                                          float (&sum)[2]) {
    const float minus[2] = {-ref[0], -ref[1]};
    const float shifted[2] = {639.0f - ref[0], 639.0f - ref[1]};
    float sums[2][2] = {};
#pragma unroll
    for (int i = 0; i < kScores; ++i) {
      const int r = i / 2 % 2;
      float& part = sums[r][i % 2];
      if (OnFma<C::kPolynomials>(i)) {
        part = AddBoundedExp2(fmaf(d[i], scale, shifted[r]), part);
      } else {
        part += Exp2(fmaf(d[i], scale, minus[r]));
      }
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float all = sums[r][0] + sums[r][1];
      if (ref[r] > -kInfinity && all < kMoveAt) {
        sum[r] += all;
        continue;
      }
      float high = ref[r];
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
      sum[r] = sum[r] * Exp2(ref[r] - high) + again;
      ref[r] = high;
    }
  }

  // LSE of this thread's rows of a query block, over the four lanes that share them.
  __device__ __forceinline__ void StoreLse(int all_head, int block, const float (&ref)[2],
                                           const float (&sum)[2]) {
    if (block >= tiles.split.Blocks()) return;
    const AdaSpaSearchArgs& a = params.a;
    const TokenRun run = tiles.split.Tokens(block, 1);
    const int lane = thread % 32;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float high = fmaxf(ref[r], __shfl_xor_sync(0xffffffffu, ref[r], 1));
      high = fmaxf(high, __shfl_xor_sync(0xffffffffu, high, 2));
      float all = ref[r] > -kInfinity ? sum[r] * Exp2(ref[r] - high) : 0.0f;
      all += __shfl_xor_sync(0xffffffffu, all, 1);
      all += __shfl_xor_sync(0xffffffffu, all, 2);
      const int row = thread / 32 * 16 + lane / 4 + 8 * r;
      if (lane % 4 == 0 && row < run.count) {
        a.lse[static_cast<std::int64_t>(all_head) * a.tokens + run.first + row] =
            high > -kInfinity ? high / kLog2E + logf(all) : kInfinity;
      }
    }
  }

  // Adds up the parts of `count` tiles from `first` on and stores them. All four warps take part.
  __device__ __forceinline__ void StoreBlockSums(int all_head, int query_block, int first, int count,
                                                 int turn) {
    const AdaSpaSearchArgs& a = params.a;
    const int warp = thread / 32, lane = thread % 32;
    const int of_tile = lane / kSums, op = lane % kSums;
    const float* parts = shared.Parts(4 * warpgroup + warp);
    __syncwarp();
    float sum = 0.0f;
#pragma unroll 8
    for (int i = 0; i < 32; ++i) {  // rotated, so that no two lanes meet in a bank
      sum += parts[of_tile * (32 * kSums) + (i + of_tile) % 32 * kSums + op];
    }
    float* cross = shared.Cross(warpgroup, turn % 2);
    cross[warp * 32 + lane] = sum;
    NamedBarrierSync(1 + warpgroup, 128);
    if (warp != turn % 4) return;
    const float all = (cross[lane] + cross[32 + lane]) + (cross[64 + lane] + cross[96 + lane]);
    const int row = query_block + op % kQueryBlocks, tile = first + of_tile;
    const bool second = op / kQueryBlocks == 1;
    if (of_tile < count && row < tiles.split.Blocks() && (!second || tiles.HasSecond(tile))) {
      a.mass[(static_cast<std::int64_t>(all_head) * a.segments + row) * a.segments +
             tiles.FirstBlock(tile) + (second ? 1 : 0)] = all;
    }
  }

  // Takes the scores with query block m, when only `kPending` later products are under way. Gives the
  // sums of the blocks. The tile of keys goes after its last product.
  template <int kPending>
  __device__ __forceinline__ void Take(float (&d)[kScores], int m, int stage, bool flag,
                                       float (&sums)[kSums]) {
    float scale = params.a.scale * kLog2E;
    // Each branch waits by itself: with one wait before the branch ptxas 13.0 takes the products for
    // unfinished past the end of the loop, and runs them one by one (C7514).
    if (flag) {
      WgmmaWait<kPending>();
      PinRegisters(d);
      AddBias(d, stage, scale);
    } else {
      WgmmaWait<kPending>();
      PinRegisters(d);
    }
    if (m == kQueryBlocks - 1) ArriveWarp(shared.Empty(stage));
    if (flag) scale = 1.0f;
    if constexpr (kLse) {
      RowSums(d, scale, reference[m], row_sum[m]);
    } else {
      sums[m] = BlockSum<0>(d, scale, reference[m]);
      sums[kQueryBlocks + m] = BlockSum<1>(d, scale, reference[m]);
    }
  }
  // Keeps the sums of a tile; those of kChunk tiles are stored together.
  __device__ __forceinline__ void Keep(const float (&sums)[kSums], int all_head, int block, int tile,
                                       int& turn) {
    if constexpr (!kLse) {
      float* parts = shared.Parts(4 * warpgroup + thread / 32) +
                     (tile % kChunk * 32 + thread % 32) * kSums;
      *reinterpret_cast<float4*>(parts) = {sums[0], sums[1], sums[2], sums[3]};
      if (tile % kChunk == kChunk - 1 || tile == tiles.count - 1) {
        const int first = tile / kChunk * kChunk;
        StoreBlockSums(all_head, block, first, tile + 1 - first, turn++);
        __syncwarp();
      }
    }
  }
  __device__ __forceinline__ bool WaitKeys(const Ring<C::kStages>& ring) {
    BarrierWait(shared.Full(ring.stage), ring.parity);
    return __shfl_sync(0xffffffffu, *shared.Flag(ring.stage), 0) != 0;
  }

  __device__ __forceinline__ void Run() {
    const AdaSpaSearchArgs& a = params.a;
    const int rows = tiles.ItemsOfHead();
    Ring<C::kStages> ring;
    int turn = 0;
    float d[kQueryBlocks][kScores];  // of the products of a tile
    for (int item = blockIdx.x; item < rows * a.batch * a.heads; item += gridDim.x) {
      const int all_head = item / rows;
      const int block = item % rows * kBlocksInItem + kQueryBlocks * warpgroup;
#pragma unroll
      for (int m = 0; m < kQueryBlocks; ++m) LoadQueries(all_head, block + m, m);
      bool flag = WaitKeys(ring);
      int stage = ring.stage;
      ring.Advance();
      float sums[kSums];
#pragma unroll
      for (int m = 0; m < kQueryBlocks; ++m) Issue(d[m], m, stage);
#pragma unroll 1
      for (int tile = 1; tile < tiles.count; ++tile) {
        const bool next_flag = WaitKeys(ring);
#pragma unroll
        for (int m = 0; m < kQueryBlocks; ++m) {
          Take<kQueryBlocks - 1>(d[m], m, stage, flag, sums);
          Issue(d[m], m, ring.stage);
        }
        Keep(sums, all_head, block, tile - 1, turn);
        stage = ring.stage;
        flag = next_flag;
        ring.Advance();
      }
      TakeLast<0>(d, sums, stage, flag);
      Keep(sums, all_head, block, tiles.count - 1, turn);
      if constexpr (kLse) {
#pragma unroll
        for (int m = 0; m < kQueryBlocks; ++m) {
          StoreLse(all_head, block + m, reference[m], row_sum[m]);
        }
      }
    }
  }
  template <int m>
  __device__ __forceinline__ void TakeLast(float (&d)[kQueryBlocks][kScores], float (&sums)[kSums],
                                           int stage, bool flag) {
    if constexpr (m < kQueryBlocks) {
      Take<kQueryBlocks - 1 - m>(d[m], m, stage, flag, sums);
      TakeLast<m + 1>(d, sums, stage, flag);
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
