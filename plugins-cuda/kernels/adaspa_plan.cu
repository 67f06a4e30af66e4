#include "kernels/adaspa_plan.h"

#include "kernels/adaspa_search.h"

namespace sparsedit {
namespace {

constexpr int kWarpsInBlock = 8;
constexpr int kThreads = 32 * kWarpsInBlock;

struct SelectParams {
  AdaSpaSearchArgs search;
  MutablePlanView plan;
  const std::int32_t* previous_keep;
  const float* lse_in;
  float* dropped;  // [B H][segments]: of a row of W, what is outside its greatest
  float* total;    // [B H][segments]: of a row of W, all
  int* kept;       // [B H]
  double density;
  float recall_threshold;
};

// k(d) of n blocks.
__device__ int KeptBlocks(double density, int blocks) {
  const double nearest = floor((density + 1e-6) * blocks + 0.5);
  return nearest >= blocks ? blocks : nearest >= 1 ? static_cast<int>(nearest) : min(1, blocks);
}

__device__ float WarpSum(float x) {
#pragma unroll
  for (int distance = 16; distance > 0; distance >>= 1) {
    x += __shfl_xor_sync(0xffffffffu, x, distance);
  }
  return x;
}

// The `wanted` greatest of a row: those above `threshold`, and the first `equal` of those that equal
// it.
struct Greatest {
  std::uint32_t threshold;
  int equal;
};

// Masses are not negative, so that their bits order as they do (a NaN comes first). A radix select:
// eight bits a round, counted in `histogram` of 256. 0 < wanted <= count.
__device__ Greatest SelectGreatest(const float* row, int count, int wanted, int* histogram) {
  const int lane = threadIdx.x % 32;
  std::uint32_t prefix = 0, mask = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (int i = lane; i < 256; i += 32) histogram[i] = 0;
    __syncwarp();
    for (int i = lane; i < count; i += 32) {
      const std::uint32_t bits = __float_as_uint(row[i]);
      if ((bits & mask) == prefix) atomicAdd(&histogram[bits >> shift & 255], 1);
    }
    __syncwarp();
    // Lane l looks at the bins from 255 - 8 l down.
    int mine = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) mine += histogram[255 - lane * 8 - i];
    int through = mine;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      const int other = __shfl_up_sync(0xffffffffu, through, distance);
      if (lane >= distance) through += other;
    }
    const int owner = __ffs(__ballot_sync(0xffffffffu, through >= wanted)) - 1;
    int left = wanted - (through - mine), bin = 255 - lane * 8;
    if (lane == owner) {
      while (histogram[bin] < left) left -= histogram[bin--];
    }
    wanted = __shfl_sync(0xffffffffu, left, owner);
    bin = __shfl_sync(0xffffffffu, bin, owner);
    prefix |= static_cast<std::uint32_t>(bin) << shift;
    mask |= 255u << shift;
    __syncwarp();
  }
  return {prefix, wanted};
}

// A step without a COLD search passes LSE on; every step has the same offsets for its geometry.
__global__ void __launch_bounds__(kThreads) PassState(const SelectParams p) {
  const AdaSpaSearchArgs& a = p.search;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  const std::int64_t start = blockIdx.x * static_cast<std::int64_t>(kThreads) + threadIdx.x;
  const std::int64_t heads = static_cast<std::int64_t>(a.batch) * a.heads;
  if (!(ActionPlans(*a.action) && IsCold(*a.action)) && p.lse_in != a.lse) {
    for (std::int64_t i = start; i < heads * a.tokens; i += stride) a.lse[i] = p.lse_in[i];
  }
  const BlockSplit split = BlockSplit::Read(a);
  const bool leads = a.text == static_cast<int>(TextPosition::kFirst);
  for (std::int64_t i = start; i < heads * (a.segments + 1); i += stride) {
    const int segment = static_cast<int>(i % (a.segments + 1));
    std::int32_t offset;
    if (segment == 0) {
      offset = 0;
    } else if (segment == a.segments) {
      offset = a.tokens;
    } else {
      const std::int64_t video = static_cast<std::int64_t>(segment - (leads ? 1 : 0)) * a.block_size;
      offset = split.video_first + static_cast<int>(video < split.video ? video : split.video);
    }
    p.plan.query_offsets[i] = p.plan.key_offsets[i] = offset;
  }
}

// A warp a row of W: its sum, and what it drops at the mean density.
__global__ void __launch_bounds__(kThreads) RowRecall(const SelectParams p) {
  const AdaSpaSearchArgs& a = p.search;
  if (!ActionPlans(*a.action)) return;
  __shared__ int histograms[kWarpsInBlock][256];
  const BlockSplit split = BlockSplit::Read(a);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int row = blockIdx.x * kWarpsInBlock + warp;
  if (row >= split.Blocks()) return;
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.y) * a.segments + row;
  const float* mass = a.mass + at * a.segments;
  float total = 0.0f;
  for (int i = lane; i < split.Blocks(); i += 32) total += mass[i];
  total = WarpSum(total);
  float dropped = 0.0f;
  const int kept = KeptBlocks(p.density, split.video_blocks);
  if (row < split.video_blocks && kept < split.video_blocks) {
    const Greatest greatest =
        SelectGreatest(mass, split.video_blocks, kept, histograms[warp]);
    int equal = 0;
    for (int i = lane; i < split.video_blocks; i += 32) {
      const std::uint32_t bits = __float_as_uint(mass[i]);
      dropped += bits < greatest.threshold ? mass[i] : 0.0f;
      equal += bits == greatest.threshold;
    }
    equal = __reduce_add_sync(0xffffffffu, equal) - greatest.equal;
    dropped = WarpSum(dropped) + equal * __uint_as_float(greatest.threshold);
  }
  if (lane == 0) {
    p.dropped[at] = dropped;
    p.total[at] = total;
  }
}

// A block an element of the batch: recalls, and how many blocks each head keeps.
__global__ void __launch_bounds__(kThreads) ClassifyHeads(const SelectParams p) {
  const AdaSpaSearchArgs& a = p.search;
  if (!ActionPlans(*a.action)) return;
  extern __shared__ float recalls[];
  const BlockSplit split = BlockSplit::Read(a);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int head = warp; head < a.heads; head += kWarpsInBlock) {
    const std::int64_t at = (static_cast<std::int64_t>(blockIdx.x) * a.heads + head) * a.segments;
    float dropped = 0.0f, total = 0.0f;
    for (int row = lane; row < split.Blocks(); row += 32) {
      dropped += p.dropped[at + row];
      total += p.total[at + row];
    }
    dropped = WarpSum(dropped);
    total = WarpSum(total);
    if (lane == 0) recalls[head] = 1.0f - dropped / (total > 0.0f ? total : 1.0f);
  }
  __syncthreads();
  int concentrated = 0;
  for (int first = 0; first < a.heads; first += kThreads) {
    const int head = first + threadIdx.x;
    concentrated += __syncthreads_count(head < a.heads && recalls[head] > p.recall_threshold);
  }
  const int giving = min(concentrated, a.heads / 2);
  const double room = p.density < 1.0 ? 1.0 - p.density : 0.0;
  const double spread = p.density * 0.5 < room ? p.density * 0.5 : room;
  for (int head = threadIdx.x; head < a.heads; head += kThreads) {
    int rank = 0;
    for (int other = 0; other < a.heads; ++other) {
      rank += recalls[other] > recalls[head] || (recalls[other] == recalls[head] && other < head);
    }
    const double density = rank < giving             ? p.density - spread
                           : rank >= a.heads - giving ? p.density + spread
                                                      : p.density;
    p.kept[blockIdx.x * a.heads + head] = KeptBlocks(density, split.video_blocks);
  }
}

// A warp a row of keep.
__global__ void __launch_bounds__(kThreads) SelectBlocks(const SelectParams p) {
  const AdaSpaSearchArgs& a = p.search;
  __shared__ int histograms[kWarpsInBlock][256];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int segment = blockIdx.x * kWarpsInBlock + warp;
  if (segment >= a.segments) return;
  const int words = KeepWords(a.segments);
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.y) * a.segments + segment;
  std::int32_t* keep = p.plan.keep + at * words;
  const bool plans = ActionPlans(*a.action);
  if (!plans && p.previous_keep != nullptr) {
    if (p.previous_keep == p.plan.keep) return;
    for (int i = lane; i < words; i += 32) keep[i] = p.previous_keep[at * words + i];
    return;
  }
  const BlockSplit split = BlockSplit::Read(a);
  const bool text = a.text != static_cast<int>(TextPosition::kNone);
  const int shift = a.text == static_cast<int>(TextPosition::kFirst) ? 1 : 0;
  const int text_segment = !text ? -1 : shift == 1 ? 0 : a.segments - 1;
  const int block = segment - shift;
  const bool everything = !plans || segment == text_segment;
  const bool exists = block >= 0 && block < split.video_blocks;
  const float* mass =
      a.mass + (static_cast<std::int64_t>(blockIdx.y) * a.segments + block) * a.segments;
  Greatest greatest = {0xffffffffu, 0};
  bool whole = false;  // all video blocks
  if (!everything && exists) {
    const int kept = p.kept[blockIdx.y];
    whole = kept >= split.video_blocks;
    if (!whole) greatest = SelectGreatest(mass, split.video_blocks, kept, histograms[warp]);
  }
  int equal_before = 0;
  for (int word = 0; word < words; ++word) {
    const int column = word * 32 + lane, other = column - shift;
    const bool is_block = exists && other >= 0 && other < split.video_blocks;
    bool bit = column < a.segments && (everything || column == text_segment);
    if (!everything) {
      const std::uint32_t bits = is_block && !whole ? __float_as_uint(mass[other]) : 0;
      const bool equals = is_block && !whole && bits == greatest.threshold;
      const unsigned equals_here = __ballot_sync(0xffffffffu, equals);
      const int before = equal_before + __popc(equals_here & ((1u << lane) - 1));
      bit = bit || (is_block && (whole || bits > greatest.threshold ||
                                 (equals && before < greatest.equal)));
      equal_before += __popc(equals_here);
    }
    const unsigned bits_of_word = __ballot_sync(0xffffffffu, bit);
    if (lane == 0) keep[word] = static_cast<std::int32_t>(bits_of_word);
  }
}

// The workspace, or only its size.
struct Workspace {
  float* mass;
  float* dropped;
  float* total;
  int* kept;

  Workspace(const AdaSpaProblem& p, WorkspaceCarver& carver) {
    const std::int64_t heads = static_cast<std::int64_t>(p.batch) * p.heads;
    const std::int64_t segments = AdaSpaSegments(p.tokens, p.block_size, p.text);
    mass = carver.Take<float>(heads * segments * segments);
    dropped = carver.Take<float>(heads * segments);
    total = carver.Take<float>(heads * segments);
    kept = carver.Take<int>(heads);
  }
};

bool HopperCovers(const AdaSpaProblem& p) {
  return p.type != DataType::kFloat32 && (p.head_dim == 64 || p.head_dim == 128) &&
         p.block_size == 64;
}

}  // namespace

std::size_t AdaSpaWorkspaceSize(const AdaSpaProblem& problem) {
  if (CheckAdaSpa(problem) != Status::kOk) return 0;
  WorkspaceCarver carver(nullptr);
  Workspace(problem, carver);
  return carver.used();
}

Status LaunchAdaSpaPlan(const AdaSpaProblem& problem, const AdaSpaBuffers& b, void* workspace,
                        std::size_t workspace_size, CUstream_st* stream, AdaSpaPath path) {
  SPARSEDIT_RETURN_IF_ERROR(CheckAdaSpa(problem));
  SPARSEDIT_REQUIRE(IsAligned(b.q, 16) && IsAligned(b.k, 16) && IsAligned(b.action, 4) &&
                        IsAligned(b.lse_in, 4) && IsAligned(b.lse, 4) &&
                        IsAligned(b.plan.query_offsets, 4) && IsAligned(b.plan.key_offsets, 4) &&
                        IsAligned(b.plan.keep, 4) && IsAligned(workspace, 16),
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(problem.text == TextPosition::kNone || IsAligned(b.geometry, 4),
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(workspace_size >= AdaSpaWorkspaceSize(problem), Status::kWorkspaceTooSmall);
  int device = 0, major = 0, multiprocessors = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device) !=
          cudaSuccess) {
    cudaGetLastError();
    return Status::kUnsupported;
  }
  const bool covered = major == 9 && HopperCovers(problem);
  SPARSEDIT_REQUIRE(path != AdaSpaPath::kHopper || covered, Status::kUnsupported);

  WorkspaceCarver carver(workspace);
  const Workspace parts(problem, carver);
  SelectParams p = {};
  p.search.q = b.q;
  p.search.k = b.k;
  p.search.action = b.action;
  p.search.geometry = b.geometry;
  p.search.key_bias = b.key_bias;
  p.search.lse = b.lse;
  p.search.mass = parts.mass;
  p.search.batch = problem.batch;
  p.search.heads = problem.heads;
  p.search.tokens = problem.tokens;
  p.search.head_dim = problem.head_dim;
  p.search.block_size = problem.block_size;
  p.search.segments = AdaSpaSegments(problem.tokens, problem.block_size, problem.text);
  p.search.strides = StridesOf(
      {problem.batch, problem.heads, problem.tokens, p.search.segments, p.search.segments},
      problem.head_dim, problem.layout);
  p.search.text = static_cast<int>(problem.text);
  p.search.scale = problem.scale;
  p.plan = b.plan;
  p.previous_keep = b.previous_keep;
  p.lse_in = b.lse_in;
  p.dropped = parts.dropped;
  p.total = parts.total;
  p.kept = parts.kept;
  p.density = problem.density;
  p.recall_threshold = problem.recall_threshold;

  PassState<<<8 * multiprocessors, kThreads, 0, stream>>>(p);
  SPARSEDIT_RETURN_IF_ERROR(LaunchStatus());
  if (path != AdaSpaPath::kPortable && covered) {
    SPARSEDIT_RETURN_IF_ERROR(
        LaunchHopperSearch(p.search, problem.type, multiprocessors, stream));
  } else {
    SPARSEDIT_RETURN_IF_ERROR(LaunchPortableLse(p.search, problem.type, stream));
    SPARSEDIT_RETURN_IF_ERROR(LaunchPortableMass(p.search, problem.type, stream));
  }
  const dim3 rows(static_cast<unsigned>(CeilDiv(p.search.segments, kWarpsInBlock)),
                  problem.batch * problem.heads);
  RowRecall<<<rows, kThreads, 0, stream>>>(p);
  SPARSEDIT_RETURN_IF_ERROR(LaunchStatus());
  // The compiler reads four recalls at a time, also past the last.
  ClassifyHeads<<<problem.batch, kThreads, CeilDiv(problem.heads, 4) * 4 * sizeof(float), stream>>>(
      p);
  SPARSEDIT_RETURN_IF_ERROR(LaunchStatus());
  SelectBlocks<<<rows, kThreads, 0, stream>>>(p);
  return LaunchStatus();
}

}  // namespace sparsedit
