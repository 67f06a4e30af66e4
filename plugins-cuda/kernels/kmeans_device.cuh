// The k-means kernel's phases, shared by the portable and the sm_90a build. See kmeans.h.
//
// One cooperative kernel, one block or two to a multiprocessor, runs every iteration:
//   assign    labels of all tokens, centroids in shared memory, tokens in registers (on sm_90a the
//             next ones on their way to shared memory); and a histogram of labels for each chunk of
//             tokens
//   scan      offsets, and where each chunk's tokens of each cluster go
//   scatter   stable counting sort of the tokens by label
//   sum       partial sums of the ordered tokens (segment_sums.cuh)
//   finish    centroids, and their fp16 image for the next assignment
// with a grid barrier after each. A single kernel, because the COLD step needs many more iterations
// than a warm one and the choice is made on the device: separate launches that find nothing to do
// would cost 5 launches for each of the up to 50 iterations at every warm step.
#ifndef SPARSEDIT_KERNELS_KMEANS_DEVICE_CUH_
#define SPARSEDIT_KERNELS_KMEANS_DEVICE_CUH_

#include <cooperative_groups.h>

#include "kernels/kmeans_workspace.h"
#include "kernels/segment_sums.cuh"

namespace sparsedit::kmeans {

// Queries or keys.
struct Side {
  const void* x;
  const float* incoming;
  float* centroids;
  const std::int32_t* previous_order;
  const std::int32_t* previous_offsets;
  std::int32_t* order;
  std::int32_t* offsets;
  __half* image;  // from here on as in SideWorkspace; each build arranges its image in its own way
  float* norms;
  float* scale;
  float* largest;
  std::int32_t* labels;
  float* best;
  std::int32_t* counts;
  float* partial;
  int clusters;
  GroupPlan plan;
};

struct Params {
  Side side[2];
  const std::int32_t* action;
  const std::int32_t* geometry;
  std::int64_t batch_stride, head_stride, token_stride;
  int batch_heads, heads, tokens, head_dim;
  int text;  // TextPosition
  int text_tokens;
  int iterations, init_iterations;
  int sort_chunk;         // tokens that a block sorts
  float chunks_per_tile;  // of the assignment
  int stage_at, pass_at;  // of staged tokens and an AssignPass in shared memory
};

// What the device alone knows, and what follows from it.
struct Extent {
  int video;        // tokens that are clustered
  int first_token;  // of them
  int shift;        // segments and positions before the clusters: 1 with leading text
  int base;         // position of the first clustered token
};

__device__ inline Extent ExtentOf(const Params& p) {
  int video = p.tokens - p.text_tokens;
  if (p.geometry != nullptr && p.text != static_cast<int>(TextPosition::kNone)) {
    const std::int64_t product =
        static_cast<std::int64_t>(p.geometry[0]) * p.geometry[1] * p.geometry[2];
    video = static_cast<int>(product < 0 ? 0 : product > p.tokens ? p.tokens : product);
  }
  const bool leading = p.text == static_cast<int>(TextPosition::kFirst);
  const int text = p.tokens - video;
  return {video, leading ? text : 0, leading ? 1 : 0, leading ? text : 0};
}

template <typename T>
__device__ const T* HeadTokens(const Params& p, const Side& s, Extent e, int bh) {
  return static_cast<const T*>(s.x) + bh / p.heads * p.batch_stride +
         bh % p.heads * p.head_stride + e.first_token * p.token_stride;
}

// Splits the part of a centroid or token that fp16 cannot hold off into a second fp16 number.
__device__ inline __half RoundHalf(float v) {
  return __float2half_rn(fminf(fmaxf(v, -65504.f), 65504.f));
}

// ------------------------------------------------------------------------------------ image
// Arrangement of a group's image: where element `e` of column `n` goes, in halves from the start of
// the part. Both keep four consecutive elements in two pairs of neighbours.
struct RowMajorImage {
  // Natural order; 16-byte chunks of odd rows swapped in halves of 64 bytes, so that the eight
  // lanes of a 128-bit read meet different banks.
  template <int kDim>
  __device__ static int Pair(int n, int e, int) {
    const int chunk = (e >> 3) ^ ((n & 1) << 2);
    return n * kDim + chunk * 8 + (e & 7);
  }
};

// Writes the image and norm of the centroid whose elements 4*lane.. this warp holds (0 beyond D).
template <typename Image, int kDim, int kParts>
__device__ void WriteImage(const Side& s, int bh, int cluster, float scale, float4 c) {
  const int lane = threadIdx.x & 31;
  const int columns = s.plan.columns;
  const int group = cluster / columns, n = cluster % columns;
  __half* image = s.image + (static_cast<std::int64_t>(bh) * s.plan.groups + group) *
                                kParts * columns * kDim;
  const float v[4] = {c.x * scale, c.y * scale, c.z * scale, c.w * scale};
  float norm = 0.f;
  __half2 part[kParts][2];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float rest = v[i], rounded = 0.f;
#pragma unroll
    for (int part_index = 0; part_index < kParts; ++part_index) {
      const __half h = RoundHalf(rest);
      rounded += __half2float(h);
      rest -= __half2float(h);
      // -2c: exact, and saves the multiplication in the score.
      const __half twice = __hmul(h, __float2half(-2.f));
      if (i & 1) {
        part[part_index][i >> 1].y = twice;
      } else {
        part[part_index][i >> 1].x = twice;
      }
    }
    norm += rounded * rounded;
  }
  if (lane * 4 < kDim) {
#pragma unroll
    for (int part_index = 0; part_index < kParts; ++part_index) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        *reinterpret_cast<__half2*>(image + part_index * columns * kDim +
                                    Image::template Pair<kDim>(n, lane * 4 + half * 2, columns)) =
            part[part_index][half];
      }
    }
  }
#pragma unroll
  for (int distance = 16; distance > 0; distance >>= 1) {
    norm += __shfl_xor_sync(0xffffffffu, norm, distance);
  }
  if (lane == 0) s.norms[static_cast<std::int64_t>(bh) * s.plan.groups * columns + cluster] = norm;
}

__device__ inline int SortChunks(const Params& p, int tokens) {
  return (tokens + p.sort_chunk - 1) / p.sort_chunk;
}

// Empties the histograms, which the next assignment adds to.
__device__ inline void ClearCounts(const Params& p) {
  for (const Side& s : p.side) {
    const std::int64_t count =
        static_cast<std::int64_t>(p.batch_heads) * SortChunks(p, p.tokens) * s.clusters;
    for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
         i < count; i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
      s.counts[i] = 0;
    }
  }
}

// A warp's share of a head's columns, and how it loads the centroids there.
constexpr int kShare = 4;
template <typename T>
struct Share {
  const Side* side;
  int bh, first;  // column
  const T* tokens;
  std::int64_t centroids;  // where the head's begin, in elements

  // Quad `lane` of each centroid, zeros where there is none.
  __device__ void Load(const Params& p, Extent e, bool cold, float4 (&c)[kShare]) const {
    const int lane = threadIdx.x & 31;
    const bool active = lane < p.head_dim / 4;
#pragma unroll
    for (int u = 0; u < kShare; ++u) {
      const int j = first + u;
      c[u] = make_float4(0.f, 0.f, 0.f, 0.f);
      if (j >= side->clusters || !active) continue;
      if (!cold) {
        c[u] = *reinterpret_cast<const float4*>(
            side->incoming + centroids + static_cast<std::int64_t>(j) * p.head_dim + lane * 4);
      } else if (e.video > 0) {
        const std::int64_t token =
            (2 * static_cast<std::int64_t>(j) + 1) * e.video / (2 * side->clusters);
        Quad<T> row;
        row.Load(tokens + token * p.token_stride + lane * 4);
        c[u] = row.Get();
      }
    }
  }
};

__device__ inline int SharesOf(const Side& s) {
  return s.plan.groups * s.plan.columns / kShare;
}

// Calls each(share, index of the share in its head) for the warp's shares of all heads.
template <typename T, typename Each>
__device__ void ForShares(const Params& p, Extent e, Each each) {
  const int warps = blockDim.x >> 5;
  const int queries = p.batch_heads * SharesOf(p.side[0]);
  const int all = queries + p.batch_heads * SharesOf(p.side[1]);
  for (int item = blockIdx.x * warps + (threadIdx.x >> 5); item < all; item += gridDim.x * warps) {
    const Side& s = p.side[item >= queries];
    const int within = item >= queries ? item - queries : item;
    const int bh = within / SharesOf(s), index = within % SharesOf(s);
    each(Share<T>{&s, bh, index * kShare, HeadTokens<T>(p, s, e, bh),
                  static_cast<std::int64_t>(bh) * s.clusters * p.head_dim},
         index);
  }
}

// The largest entry of each share of the initial centroids.
template <typename T>
__device__ void FindLargest(const Params& p, Extent e, bool cold) {
  ForShares<T>(p, e, [&](const Share<T>& share, int index) {
    float4 c[kShare];
    share.Load(p, e, cold, c);
    float largest = 0.f;
#pragma unroll
    for (int u = 0; u < kShare; ++u) {
      largest = fmaxf(largest, fmaxf(fmaxf(fabsf(c[u].x), fabsf(c[u].y)),
                                     fmaxf(fabsf(c[u].z), fabsf(c[u].w))));
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance >>= 1) {
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    }
    if ((threadIdx.x & 31) == 0) {
      share.side->largest[share.bh * SharesOf(*share.side) + index] = largest;
    }
  });
}

// Outgoing centroids from incoming ones or from tokens, the heads' scales, the first image.
template <typename T, typename Image, int kDim, int kParts>
__device__ void Prepare(const Params& p, Extent e, bool cold) {
  const int lane = threadIdx.x & 31;
  ForShares<T>(p, e, [&](const Share<T>& share, int index) {
    const Side& s = *share.side;
    float4 c[kShare];
    share.Load(p, e, cold, c);
    float largest = 0.f;
    const float* of_shares = s.largest + share.bh * SharesOf(s);
#pragma unroll 4
    for (int i = lane; i < SharesOf(s); i += 32) largest = fmaxf(largest, of_shares[i]);
#pragma unroll
    for (int distance = 16; distance > 0; distance >>= 1) {
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    }
    float scale = 1.f;
    if (largest > 0.f && largest < INFINITY) {
      const int exponent = static_cast<int>(__float_as_uint(largest) >> 23) - 127;
      scale = __uint_as_float(static_cast<unsigned>(min(max(3 - exponent, -100), 100) + 127) << 23);
    }
    if (lane == 0 && index == 0) s.scale[share.bh] = scale;
#pragma unroll
    for (int u = 0; u < kShare; ++u) {
      const int j = share.first + u;
      if (j < s.clusters && lane * 4 < p.head_dim) {
        *reinterpret_cast<float4*>(s.centroids + share.centroids +
                                   static_cast<std::int64_t>(j) * p.head_dim + lane * 4) = c[u];
      }
      WriteImage<Image, kDim, kParts>(s, share.bh, j, scale, c[u]);
      if (j >= s.clusters && lane == 0) {
        s.norms[static_cast<std::int64_t>(share.bh) * s.plan.groups * s.plan.columns + j] = INFINITY;
      }
    }
  });
}

// ------------------------------------------------------------------------------- assignment
// Registers of a warp's 16 tokens: part, 16-wide step of the head dim, fragment register. Row
// lane/4 (+8) and, of every 32 elements, the 8 from 8*(lane%4) on: one 16-byte load. The tensor
// core's order of elements within a product is thereby permuted; the image is permuted alike.
template <int kDim, int kParts>
struct Fragment {
  std::uint32_t a[kParts][kDim / 16][4];
};

// A pair of fp16 numbers, infinity and what is beyond fp16 as 65,504; NaN stays.
__device__ inline std::uint32_t PackSaturated(float low, float high) {
  std::uint32_t pair;
  asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
__device__ inline float2 Unpack(std::uint32_t pair) {
  return __half22float2(*reinterpret_cast<const __half2*>(&pair));
}

template <typename T>
struct Octet;  // eight consecutive elements
template <>
struct Octet<__nv_bfloat16> {
  uint4 raw;
  __device__ void Load(const __nv_bfloat16* p) { raw = __ldg(reinterpret_cast<const uint4*>(p)); }
  __device__ void Zero() { raw = make_uint4(0, 0, 0, 0); }
  __device__ void Split(float scale, std::uint32_t (&out)[1][4]) const {
    const std::uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
    const __nv_bfloat162 factor = __float2bfloat162_rn(scale);  // a power of two: exact
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const __nv_bfloat162 pair =
          __hmul2(*reinterpret_cast<const __nv_bfloat162*>(&words[i]), factor);
      out[0][i] = PackSaturated(__low2float(pair), __high2float(pair));
    }
  }
};
template <>
struct Octet<__half> {
  uint4 raw;
  __device__ void Load(const __half* p) { raw = __ldg(reinterpret_cast<const uint4*>(p)); }
  __device__ void Zero() { raw = make_uint4(0, 0, 0, 0); }
  __device__ void Split(float scale, std::uint32_t (&out)[1][4]) const {
    const std::uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 v = Unpack(words[i]);
      out[0][i] = PackSaturated(v.x * scale, v.y * scale);
    }
  }
};
template <>
struct Octet<float> {
  float4 raw[2];
  __device__ void Load(const float* p) {
    raw[0] = __ldg(reinterpret_cast<const float4*>(p));
    raw[1] = __ldg(reinterpret_cast<const float4*>(p) + 1);
  }
  __device__ void Zero() { raw[0] = raw[1] = make_float4(0.f, 0.f, 0.f, 0.f); }
  __device__ void Split(float scale, std::uint32_t (&out)[2][4]) const {
    const float v[8] = {raw[0].x, raw[0].y, raw[0].z, raw[0].w,
                        raw[1].x, raw[1].y, raw[1].z, raw[1].w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float low = v[2 * i] * scale, high = v[2 * i + 1] * scale;
      out[0][i] = PackSaturated(low, high);
      const float2 taken = Unpack(out[0][i]);
      out[1][i] = PackSaturated(low - taken.x, high - taken.y);
    }
  }
};

// The tokens of a head, where a lane finds the pieces of its warp's 16 rows.
template <typename T, int kDim>
struct TokenRows {
  const T* x;
  std::int64_t token_stride;
  int head_dim;

  // Calls each(i, from, exists) for pieces i = 2 m + half: the eight elements from 32 m + 8 (lane%4)
  // on of the lane's row half. `from` must not be read past the last row or element.
  template <typename Each>
  __device__ void ForPieces(int row, int rows, Each each) const {
    const int lane = threadIdx.x & 31;
    const int token = row + lane / 4, element = (lane & 3) * 8;
    const T* from[2];
    from[0] = x + static_cast<std::int64_t>(token) * static_cast<int>(token_stride) + element;
    from[1] = from[0] + 8 * token_stride;
#pragma unroll
    for (int m = 0; m < kDim / 32; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        each(2 * m + half, from[half] + m * 32,
             token + half * 8 < rows && m * 32 + element < head_dim);
      }
    }
  }
};

template <typename T, int kDim, int kParts>
__device__ void Split(const Octet<T>& octet, int half, int m, float scale,
                      Fragment<kDim, kParts>& f) {
  std::uint32_t out[kParts][4];
  octet.Split(scale, out);
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    f.a[part][2 * m][half] = out[part][0];
    f.a[part][2 * m][half + 2] = out[part][1];
    f.a[part][2 * m + 1][half] = out[part][2];
    f.a[part][2 * m + 1][half + 2] = out[part][3];
  }
}

// Where the norm of a group's column goes in shared memory: the four that a lane needs for two
// accumulator fragments lie together.
__device__ inline int NormPlace(int column) {
  return (column & ~15) | (column >> 1 & 3) << 2 | (column >> 3 & 1) << 1 | (column & 1);
}

// Running minimum of a thread's two rows over the columns that it sees.
struct Minimum {
  float score[2];
  float found[2] = {-1.f, -1.f};  // first column of the best four; none was below the initial score
  float four[2][3];               // their scores, but for the last

  // The four columns base + at + 0, 1, 8, 9. Minima and comparisons go to one pipe, at half the rate
  // of others: five of them for four columns. Predicated additions go to another; of predicated
  // moves ptxas makes selects, which go to the first.
  __device__ void Take(int r, float a, float b, float c, float d, float base, float at) {
    asm("{\n"
        ".reg .pred below;\n"
        ".reg .f32 low, high;\n"
        "min.f32 low, %5, %6;\n"
        "min.f32 high, %7, %8;\n"
        "min.f32 low, low, high;\n"
        "setp.lt.f32 below, low, %0;\n"
        "min.f32 %0, %0, low;\n"
        "@below add.f32 %1, %9, %10;\n"
        "@below add.f32 %2, %5, 0f00000000;\n"
        "@below add.f32 %3, %6, 0f00000000;\n"
        "@below add.f32 %4, %7, 0f00000000;\n"
        "}\n"
        : "+f"(score[r]), "+f"(found[r]), "+f"(four[r][0]), "+f"(four[r][1]), "+f"(four[r][2])
        : "f"(a), "f"(b), "f"(c), "f"(d), "f"(base), "f"(at));
  }

  // acc[kTiles or more][4]: scores of 8 kTiles columns from `first` on; thread t of four holds 8j+2t and
  // 8j+2t+1. Calls taken(j) when acc[j] and acc[j + 1] are not needed any more.
  template <int kTiles, typename Acc, typename Taken>
  __device__ void Update(Acc& acc, int first, Taken taken) {
    const float base = static_cast<float>(first + (threadIdx.x & 3) * 2);
#pragma unroll
    for (int j = 0; j < kTiles; j += 2) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        Take(r, acc[j][2 * r], acc[j][2 * r + 1], acc[j + 1][2 * r], acc[j + 1][2 * r + 1], base,
             static_cast<float>(j * 8));
      }
      taken(j);
    }
  }

  // Minimum over the four threads of a row, in all of them; `column` is -1 where none was below the
  // initial score. Both rows side by side and without branches: what takes long is to wait.
  __device__ void Reduce(float (&column)[2]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float place = score[r] == four[r][0]   ? 0.f
                          : score[r] == four[r][1] ? 1.f
                          : score[r] == four[r][2] ? 8.f
                                                   : 9.f;
      column[r] = found[r] < 0.f ? -1.f : found[r] + place;
    }
#pragma unroll
    for (int distance = 1; distance <= 2; distance <<= 1) {
      float other[2], other_column[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        other[r] = __shfl_xor_sync(0xffffffffu, score[r], distance);
        other_column[r] = __shfl_xor_sync(0xffffffffu, column[r], distance);
      }
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const bool better = (other[r] < score[r]) |
                            ((other[r] == score[r]) & (other_column[r] < column[r]));
        score[r] = better ? other[r] : score[r];
        column[r] = better ? other_column[r] : column[r];
      }
    }
  }
};

// The assignment's work in one line: query tiles, then key tiles, each head's in turn, cut into
// equal costs. A tile is kRows tokens; its cost is counted in columns that it is multiplied with.
constexpr int kTileCost = 128;  // of loading a tile and writing its labels

struct TileRange {
  std::int64_t first, last;  // within [0, 2 * heads * tiles)
};

__device__ inline TileRange TilesOfBlock(const Params& p, int tiles) {
  const std::int64_t each = static_cast<std::int64_t>(p.batch_heads) * tiles;
  const std::int64_t cost[2] = {
      p.side[0].plan.groups * (p.side[0].plan.columns + kTileCost),
      p.side[1].plan.groups * (p.side[1].plan.columns + kTileCost)};
  const std::int64_t total = each * (cost[0] + cost[1]);
  std::int64_t bound[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const std::int64_t at = total / gridDim.x * (blockIdx.x + i) +
                            total % gridDim.x * (blockIdx.x + i) / gridDim.x;
    bound[i] = at < each * cost[0] ? at / cost[0] : each + (at - each * cost[0]) / cost[1];
  }
  return {bound[0], bound[1]};
}

// One group of centroids against a run of a head's tiles. The block's next one is described in shared
// memory, which costs a thread no registers while it multiplies.
struct AssignPass {
  std::int64_t at, last;  // in the line of tiles: where this run starts, where the block's work ends
  const void* x;          // the head's clustered tokens
  const __half* image;
  const float* norms;
  std::int32_t* labels;
  float* best;
  std::int32_t* counts;  // of the head
  float scale;
  int tile, tile_last;   // none left where equal
  int group, groups, columns, clusters;
  int used;              // columns of the group that are centroids
};

// Goes on to the next group, or the next head's tiles. One thread.
template <typename T, int kDim, int kParts>
__device__ void NextPass(const Params& p, Extent e, int tiles, AssignPass& pass) {
  if (++pass.group >= pass.groups) {
    pass.at += pass.tile_last - pass.tile;
    pass.tile = pass.tile_last = 0;
    if (pass.at >= pass.last) return;
    pass.group = 0;
  }
  const std::int64_t each = static_cast<std::int64_t>(p.batch_heads) * tiles;
  const Side& s = p.side[pass.at >= each];
  const std::int64_t within = pass.at >= each ? pass.at - each : pass.at;
  const int bh = static_cast<int>(within / tiles);
  pass.tile = static_cast<int>(within % tiles);
  pass.tile_last = static_cast<int>(
      min(static_cast<std::int64_t>(tiles), pass.tile + (pass.last - pass.at)));
  pass.groups = s.plan.groups;
  pass.columns = s.plan.columns;
  pass.clusters = s.clusters;
  pass.used = min(pass.columns, s.clusters - pass.group * pass.columns);
  pass.x = HeadTokens<T>(p, s, e, bh);
  const std::int64_t columns_before =
      (static_cast<std::int64_t>(bh) * pass.groups + pass.group) * pass.columns;
  pass.image = s.image + columns_before * kParts * kDim;
  pass.norms = s.norms + columns_before;
  pass.labels = s.labels + static_cast<std::int64_t>(bh) * p.tokens;
  pass.best = s.best + static_cast<std::int64_t>(bh) * p.tokens;
  pass.counts = s.counts + static_cast<std::int64_t>(bh) * SortChunks(p, p.tokens) * s.clusters;
  pass.scale = s.scale[bh];
}

// A build has kThreads, the Image that it reads, ImageWritten (after ordinary stores of it to shared
// memory), a Source of a head's tokens (Fetch of a warp's 16, then Take), and Scan, which runs the
// minimum of them over the used ones of the columns of the group in shared memory.
template <typename Build, typename T, int kDim, int kParts>
__device__ void Assign(const Params& p, Extent e, char* shared) {
  constexpr int kRows = Build::kThreads / 32 * kWarpRows;
  static_assert(Build::kThreads % kRows == 0, "a tile lies within a chunk of the sort");
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int tiles = (e.video + kRows - 1) / kRows;
  if (tiles == 0) return;
  AssignPass* next = reinterpret_cast<AssignPass*>(shared + p.pass_at);
  const volatile AssignPass& pass = *next;  // read where it is used
  if (threadIdx.x == 0) {
    const TileRange range = TilesOfBlock(p, tiles);
    *next = {};
    next->at = range.first;
    next->last = range.last;
  }
  const auto source = [&] {
    return typename Build::template Source<T, kDim>(static_cast<const T*>(pass.x), p.token_stride,
                                                    p.head_dim, shared + p.stage_at);
  };
  while (true) {
    __syncthreads();  // the last pass and its image are no longer read
    if (threadIdx.x == 0) NextPass<T, kDim, kParts>(p, e, tiles, *next);
    __syncthreads();
    const int columns = pass.columns;
    const int image_bytes = columns * kParts * kDim * 2;
    float* norms = reinterpret_cast<float*>(shared + image_bytes);
    int tile = pass.tile;
    if (tile == pass.tile_last) break;
    source().Fetch(tile * kRows + warp * kWarpRows, e.video);
    {
      const uint4* image = reinterpret_cast<const uint4*>(pass.image);
      const std::uint32_t image_at = SharedAddress(shared);
#pragma unroll 4
      for (int i = threadIdx.x; i < image_bytes / 16; i += Build::kThreads) {
        CopyAsync(image_at + i * 16, image + i);
      }
      const float* from = pass.norms;
      for (int i = threadIdx.x; i < columns; i += Build::kThreads) norms[NormPlace(i)] = from[i];
    }
    WaitCopies<0>();
    Build::ImageWritten();
    __syncthreads();
#pragma unroll 1
    for (; tile < pass.tile_last; ++tile) {
      const int row = tile * kRows + warp * kWarpRows;
      // Rows of this thread, and the token whose result it writes.
      const int first = row + lane / 4, which = lane & 3;
      const int token = first + which * 8;
      const bool writes = which < 2 && token < e.video;
      Fragment<kDim, kParts> tokens;
      source().Take(row, e.video, pass.scale, tokens);
      // After the wait for the tokens, which would be one for these too.
      Minimum minimum;
      int earlier = 0;  // label of `token` so far
      if (pass.group == 0) {
        minimum.score[0] = minimum.score[1] = INFINITY;
      } else {
        const float* best = pass.best;
        minimum.score[0] = first < e.video ? best[first] : 0.f;
        minimum.score[1] = first + 8 < e.video ? best[first + 8] : 0.f;
        if (writes) earlier = pass.labels[token];
      }
      if (tile + 1 < pass.tile_last) source().Fetch(row + kRows, e.video);
      Build::template Scan<kDim, kParts>(minimum, tokens, shared, norms, columns, pass.used);
      const int group = pass.group, groups = pass.groups, clusters = pass.clusters;
      std::int32_t* labels = pass.labels;
      std::int32_t* counts = pass.counts;
      float* best = pass.best;
      float columns_found[2];
      minimum.Reduce(columns_found);
      if (writes) {
        const float column = which == 0 ? columns_found[0] : columns_found[1];
        const bool found = column >= 0.f;
        const int label = found ? group * columns + static_cast<int>(column) : earlier;
        if (group == 0 || found) labels[token] = label;
        if (group + 1 < groups) {
          best[token] = which == 0 ? minimum.score[0] : minimum.score[1];
        } else {
          // A tile lies within a chunk; the half keeps the product away from whole numbers.
          const int chunk = static_cast<int>((tile + .5f) * p.chunks_per_tile);
          atomicAdd(counts + static_cast<std::int64_t>(chunk) * clusters + label, 1);
        }
      }
    }
  }
}

// ----------------------------------------------------------------------------- counting sort
// Turns each chunk's counts into positions, and writes the offsets. A head a block.
__device__ inline void Scan(const Params& p, Extent e, char* shared) {
  int* running = reinterpret_cast<int*>(shared);  // [32] warp totals
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  const int chunks = SortChunks(p, e.video);
  const bool text = p.text != static_cast<int>(TextPosition::kNone);
  for (int item = blockIdx.x; item < 2 * p.batch_heads; item += gridDim.x) {
    const Side& s = p.side[item / p.batch_heads];
    const int bh = item % p.batch_heads;
    std::int32_t* counts =
        s.counts + static_cast<std::int64_t>(bh) * SortChunks(p, p.tokens) * s.clusters;
    std::int32_t* offsets =
        s.offsets + static_cast<std::int64_t>(bh) * (s.clusters + (text ? 1 : 0) + 1);
    int start = e.base;  // position of the first cluster of this round
    for (int first = 0; first < s.clusters; first += blockDim.x) {
      const int j = first + threadIdx.x;
      int total = 0;
      if (j < s.clusters) {
#pragma unroll 8
        for (int c = 0; c < chunks; ++c) total += counts[c * s.clusters + j];
      }
      int inclusive = total;
#pragma unroll
      for (int distance = 1; distance < 32; distance <<= 1) {
        const int other = __shfl_up_sync(0xffffffffu, inclusive, distance);
        if (lane >= distance) inclusive += other;
      }
      __syncthreads();
      if (lane == 31) running[warp] = inclusive;
      __syncthreads();
      int before = 0, all = 0;
      for (int w = 0; w < warps; ++w) {
        if (w < warp) before += running[w];
        all += running[w];
      }
      int position = start + before + inclusive - total;
      if (j < s.clusters) {
        offsets[e.shift + j] = position;
        for (int c0 = 0; c0 < chunks; c0 += 8) {
          int value[8];
#pragma unroll
          for (int u = 0; u < 8; ++u) {
            value[u] = c0 + u < chunks ? counts[(c0 + u) * s.clusters + j] : 0;
          }
#pragma unroll
          for (int u = 0; u < 8; ++u) {
            if (c0 + u < chunks) counts[(c0 + u) * s.clusters + j] = position;
            position += value[u];
          }
        }
      }
      start += all;
    }
    if (threadIdx.x == 0) {
      if (e.shift) offsets[0] = 0;
      offsets[e.shift + s.clusters] = start;
      if (text && !e.shift) offsets[s.clusters + 1] = p.tokens;
    }
  }
}

// A warp takes a contiguous piece of a chunk; its rank among equal labels keeps the token order.
template <int kThreads>
__device__ void Scatter(const Params& p, Extent e, char* shared) {
  constexpr int kWarps = kThreads / 32, kMostEach = MostSortEach(kThreads);
  const int each = p.sort_chunk / kThreads, piece = each * 32;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int chunks = SortChunks(p, e.video);
  const int items = 2 * p.batch_heads * chunks;
  for (int item = blockIdx.x; item < items; item += gridDim.x) {
    const int chunk = item % chunks;
    const Side& s = p.side[item / chunks / p.batch_heads];
    const int bh = item / chunks % p.batch_heads;
    const std::int32_t* positions =
        s.counts + (static_cast<std::int64_t>(bh) * SortChunks(p, p.tokens) + chunk) * s.clusters;
    std::int32_t* order = s.order + static_cast<std::int64_t>(bh) * p.tokens;
    int* totals = reinterpret_cast<int*>(shared);                                // [warps]
    int* start = totals + kWarps;                                                // [C]
    std::uint16_t* counters = reinterpret_cast<std::uint16_t*>(start + s.clusters);  // [warps][C]
    std::uint16_t* mine = counters + warp * s.clusters;
    const int first = chunk * p.sort_chunk + warp * piece;
    const int last = min(first + piece, e.video);
    int label[kMostEach];
#pragma unroll
    for (int i = 0; i < kMostEach; ++i) {
      if (i >= each) break;
      const int token = first + i * 32 + lane;
      label[i] = token < last ? s.labels[static_cast<std::int64_t>(bh) * p.tokens + token] : -1;
    }
    __syncthreads();
    for (int j = threadIdx.x; j < s.clusters; j += kThreads) {
      start[j] = positions[j];
#pragma unroll
      for (int w = 0; w < kWarps; ++w) counters[w * s.clusters + j] = 0;
    }
    __syncthreads();
    // Lanes of equal labels, bit by bit, which is faster than __match_any_sync.
    unsigned equal[kMostEach];
#pragma unroll
    for (int i = 0; i < kMostEach; ++i) equal[i] = 0xffffffffu;
#pragma unroll 1
    for (int bit = 1; bit <= s.clusters; bit <<= 1) {  // -1, no label, has bits that no label has
#pragma unroll
      for (int i = 0; i < kMostEach; ++i) {
        if (i >= each) break;
        const bool set = (label[i] & bit) != 0;
        const unsigned votes = __ballot_sync(0xffffffffu, set);
        equal[i] &= set ? votes : ~votes;
      }
    }
    int rank[kMostEach];  // within the piece
#pragma unroll
    for (int i = 0; i < kMostEach; ++i) {
      if (i >= each) break;
      const int leader = __ffs(equal[i]) - 1;
      int before = 0;
      if (label[i] >= 0 && lane == leader) {
        before = mine[label[i]];
        mine[label[i]] = static_cast<std::uint16_t>(before + __popc(equal[i]));
      }
      __syncwarp();
      rank[i] = __shfl_sync(0xffffffffu, before, leader) + __popc(equal[i] & ((1u << lane) - 1));
    }
    // Places within the chunk's sorted tokens, a cluster a thread; `start` becomes what is between them
    // and the positions.
    int placed = 0;  // tokens of the clusters before this round's
    for (int j0 = 0; j0 < s.clusters; j0 += kThreads) {
      const int j = j0 + threadIdx.x;
      __syncthreads();  // the counters are complete, the totals free
      int sum = 0;
      if (j < s.clusters) {
#pragma unroll
        for (int w = 0; w < kWarps; ++w) sum += counters[w * s.clusters + j];
      }
      int inclusive = sum;
#pragma unroll
      for (int distance = 1; distance < 32; distance <<= 1) {
        const int other = __shfl_up_sync(0xffffffffu, inclusive, distance);
        if (lane >= distance) inclusive += other;
      }
      if (lane == 31) totals[warp] = inclusive;
      __syncthreads();
      int before = placed;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) {
        const int total = totals[w];
        before += w < warp ? total : 0;
        placed += total;
      }
      if (j < s.clusters) {
        int place = before + inclusive - sum;
        start[j] -= place;
#pragma unroll
        for (int w = 0; w < kWarps; ++w) {
          const int count = counters[w * s.clusters + j];
          counters[w * s.clusters + j] = static_cast<std::uint16_t>(place);
          place += count;
        }
      }
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kMostEach; ++i) {
      if (i >= each) break;
      if (label[i] >= 0) rank[i] += mine[label[i]];
    }
    __syncthreads();
    // Sorted before they are written: neighbours of a cluster in one go.
    std::uint32_t* sorted = reinterpret_cast<std::uint32_t*>(counters);
#pragma unroll
    for (int i = 0; i < kMostEach; ++i) {
      if (i >= each) break;
      if (label[i] >= 0) {
        sorted[rank[i]] = static_cast<std::uint32_t>(label[i]) << 16 |
                          static_cast<std::uint32_t>(warp * piece + i * 32 + lane);
      }
    }
    __syncthreads();
    const int here = min(p.sort_chunk, e.video - chunk * p.sort_chunk);
    const int token = e.first_token + chunk * p.sort_chunk;
    for (int i = threadIdx.x; i < here; i += kThreads) {
      const std::uint32_t entry = sorted[i];
      order[start[entry >> 16] + i] = token + static_cast<int>(entry & 0xffff);
    }
  }
}

// The text segment's positions, in token order.
__device__ inline void OrderText(const Params& p, Extent e) {
  const int text = p.tokens - e.video;
  const int first = e.shift ? 0 : e.video;
  const std::int64_t all = static_cast<std::int64_t>(2) * p.batch_heads * text;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; i < all;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const int token = first + static_cast<int>(i % text);
    const std::int64_t head = i / text;
    const Side& s = p.side[head >= p.batch_heads];
    s.order[head % p.batch_heads * p.tokens + token] = token;
  }
}

// ------------------------------------------------------------------------------------ update
template <typename T>
__device__ SegmentedTokens Clusters(const Params& p, const Side& s, Extent e, int bh) {
  const bool text = p.text != static_cast<int>(TextPosition::kNone);
  SegmentedTokens t;
  t.x = HeadTokens<T>(p, s, e, bh) - e.first_token * p.token_stride;
  t.token_stride = p.token_stride;
  t.order = s.order + static_cast<std::int64_t>(bh) * p.tokens + e.base;
  t.offsets = s.offsets + static_cast<std::int64_t>(bh) * (s.clusters + (text ? 1 : 0) + 1) + e.shift;
  t.base = e.base;
  t.segments = s.clusters;
  t.length = e.video;
  t.head_dim = p.head_dim;
  return t;
}

__device__ inline float* PartialOf(const Params& p, const Side& s, int bh) {
  return s.partial + bh * SumSlots(p.tokens, s.clusters) * p.head_dim;
}

// Not inlined: its registers would be spilled around the assignment's.
template <typename T, int kDim>
__device__ __noinline__ void Sum(const Params& p, Extent e, char* shared) {
  constexpr int kLanes = kDim == 64 ? kNarrowSumLanes : kWideSumLanes;
  const int warps = blockDim.x >> 5;
  const int chunks = SumChunks(e.video);
  const int items = 2 * p.batch_heads * chunks;
  char* ring = shared + (threadIdx.x >> 5) * kSumRingBytes;
  for (int item = blockIdx.x * warps + (threadIdx.x >> 5); item < items;
       item += gridDim.x * warps) {
    const Side& s = p.side[item / chunks / p.batch_heads];
    const int bh = item / chunks % p.batch_heads;
    SumChunkByWarp<T, kLanes>(Clusters<T>(p, s, e, bh), item % chunks, PartialOf(p, s, bh), ring);
  }
}

struct Cluster {
  const Side* side;
  int bh, index;
  const std::int32_t* offsets;  // of the head's clusters
};

// Clusters in one line: a head's query clusters, its key clusters, the next head's.
__device__ inline Cluster ClusterOf(const Params& p, Extent e, int item) {
  const int all = p.side[0].clusters + p.side[1].clusters;
  const int bh = item / all, within = item % all;
  const int which = within >= p.side[0].clusters;
  const Side& s = p.side[which];
  const bool text = p.text != static_cast<int>(TextPosition::kNone);
  return {&s, bh, within - (which ? p.side[0].clusters : 0),
          s.offsets + static_cast<std::int64_t>(bh) * (s.clusters + (text ? 1 : 0) + 1) + e.shift};
}

__device__ inline const float4* PartialAt(const Params& p, const Cluster& c, int chunk,
                                          int element) {
  return reinterpret_cast<const float4*>(
      PartialOf(p, *c.side, c.bh) + static_cast<std::int64_t>(chunk + c.index) * p.head_dim +
      element);
}

template <typename Image, int kDim, int kParts>
__device__ void Finish(const Params& p, Extent e, bool again) {
  const int lane = threadIdx.x & 31, warps = blockDim.x >> 5;
  const int all = p.side[0].clusters + p.side[1].clusters;
  const int items = p.batch_heads * all;
  // Several clusters at a time, and several partial sums of each: most have no more, and all these loads
  // are under way together.
  constexpr int kBatch = 4, kAhead = 3;
  const int element = lane * 4;
  const bool active = element < p.head_dim;
  for (int item0 = (blockIdx.x * warps + (threadIdx.x >> 5)) * kBatch; item0 < items;
       item0 += gridDim.x * warps * kBatch) {
    int begin[kBatch], end[kBatch];
#pragma unroll
    for (int u = 0; u < kBatch; ++u) {
      const Cluster c = ClusterOf(p, e, min(item0 + u, items - 1));
      begin[u] = c.offsets[c.index] - e.base;
      end[u] = item0 + u < items ? c.offsets[c.index + 1] - e.base : begin[u];
    }
    const auto last_of = [&](int u) {  // chunk; before the first where there is none
      return end[u] > begin[u] ? (end[u] - 1) / kSumChunk : begin[u] / kSumChunk - 1;
    };
    float4 part[kBatch][kAhead];
#pragma unroll
    for (int u = 0; u < kBatch; ++u) {
      const Cluster c = ClusterOf(p, e, min(item0 + u, items - 1));
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        const int chunk = begin[u] / kSumChunk + i;
        part[u][i] = active && chunk <= last_of(u) ? *PartialAt(p, c, chunk, element)
                                                   : make_float4(0.f, 0.f, 0.f, 0.f);
      }
    }
    float4 sum[kBatch];
    const auto add = [](float4& to, const float4& v) {
      to = make_float4(to.x + v.x, to.y + v.y, to.z + v.z, to.w + v.w);
    };
#pragma unroll
    for (int u = 0; u < kBatch; ++u) {
      const Cluster c = ClusterOf(p, e, min(item0 + u, items - 1));
      sum[u] = part[u][0];
#pragma unroll
      for (int i = 1; i < kAhead; ++i) add(sum[u], part[u][i]);
#pragma unroll 4
      for (int chunk = begin[u] / kSumChunk + kAhead; chunk <= last_of(u); ++chunk) {
        if (active) add(sum[u], *PartialAt(p, c, chunk, element));
      }
    }
#pragma unroll
    for (int u = 0; u < kBatch; ++u) {
      if (end[u] == begin[u]) continue;  // keeps its centroid, whose image stands
      const Cluster c = ClusterOf(p, e, item0 + u);
      const float count = static_cast<float>(end[u] - begin[u]);
      const float4 mean =
          make_float4(sum[u].x / count, sum[u].y / count, sum[u].z / count, sum[u].w / count);
      if (active) {
        *reinterpret_cast<float4*>(
            c.side->centroids +
            (static_cast<std::int64_t>(c.bh) * c.side->clusters + c.index) * p.head_dim + element) =
            mean;
      }
      if (again) {
        WriteImage<Image, kDim, kParts>(*c.side, c.bh, c.index, c.side->scale[c.bh], mean);
      }
    }
  }
  if (again) ClearCounts(p);
}

// -------------------------------------------------------------------------------------- all
template <typename V>
__device__ void CopyThrough(V* to, const V* from, std::int64_t count) {
  if (from == nullptr || to == from) return;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    to[i] = from[i];
  }
}

template <typename Build, typename T, int kDim, int kParts>
__device__ void Run(const Params& p, char* shared) {
  const std::int32_t code = *p.action;
  if (!ActionPlans(code)) {
    const bool text = p.text != static_cast<int>(TextPosition::kNone);
    for (const Side& s : p.side) {
      CopyThrough(s.centroids, s.incoming,
                  static_cast<std::int64_t>(p.batch_heads) * s.clusters * p.head_dim);
      CopyThrough(s.order, s.previous_order, static_cast<std::int64_t>(p.batch_heads) * p.tokens);
      CopyThrough(s.offsets, s.previous_offsets,
                  static_cast<std::int64_t>(p.batch_heads) * (s.clusters + (text ? 1 : 0) + 1));
    }
    return;
  }
  using Image = typename Build::Image;
  const cooperative_groups::grid_group grid = cooperative_groups::this_grid();
  const Extent e = ExtentOf(p);
  const bool cold = IsCold(code);
  const int iterations = cold ? p.init_iterations : p.iterations;
  OrderText(p, e);
  ClearCounts(p);
  FindLargest<T>(p, e, cold);
  grid.sync();
  Prepare<T, Image, kDim, kParts>(p, e, cold);
  grid.sync();
#pragma unroll 1
  for (int i = 0; i < iterations; ++i) {
    Assign<Build, T, kDim, kParts>(p, e, shared);
    grid.sync();
    Scan(p, e, shared);
    grid.sync();
    Scatter<Build::kThreads>(p, e, shared);
    grid.sync();
    Sum<T, kDim>(p, e, shared);
    grid.sync();
    const bool again = i + 1 < iterations;
    Finish<Image, kDim, kParts>(p, e, again);
    if (again) grid.sync();
  }
}

// The kernel of a build for tokens of type T; PortableKernel for __half, __nv_bfloat16 and float,
// HopperKernel for the first two.
template <typename T>
const void* PortableKernel(int padded_dim);
template <typename T>
const void* HopperKernel(int padded_dim);

}  // namespace sparsedit::kmeans

#endif  // SPARSEDIT_KERNELS_KMEANS_DEVICE_CUH_
