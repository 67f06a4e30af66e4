#include "kernels/band_plan.h"

#include <cuda_runtime_api.h>

#include <algorithm>

namespace sparsedit {
namespace {

constexpr int kThreads = 256;
constexpr int kMostBlocksOfHead = 256;

// One block for each class: its m, by bisection where the density is a budget.
__global__ void __launch_bounds__(kThreads)
    FindBands(const __grid_constant__ BandPlanProblem p, const std::int32_t* geometry,
              std::int32_t* bands) {
  const BandBlocks blocks(p, geometry);
  const bool temporal = blockIdx.x == 1;
  if (!p.budget) {
    if (threadIdx.x == 0) {
      bands[blockIdx.x] = PublishedBandBlocks(blocks, p.density, p.text, p.tokens);
    }
    return;
  }
  __shared__ long long of_warps[kThreads / 32];
  const std::int64_t limit =
      PairsInBudget(blocks.video.count, p.density) -
      static_cast<std::int64_t>(SinkKeys(blocks)) * blocks.video.count;
  int fits = 0, exceeds = blocks.room;  // 0 holds whether it fits or not
  while (exceeds - fits > 1) {
    const int m = fits + (exceeds - fits) / 2;
    long long pairs = 0;
    for (int i = threadIdx.x; i < blocks.count; i += kThreads) {
      pairs += static_cast<long long>(blocks.Start(i + 1) - blocks.Start(i)) *
               BandKeys(blocks, i, m, temporal);
    }
    for (int d = 16; d > 0; d /= 2) pairs += __shfl_xor_sync(0xffffffffu, pairs, d);
    __syncthreads();
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = pairs;
    __syncthreads();
    pairs = 0;
    for (int i = 0; i < kThreads / 32; ++i) pairs += of_warps[i];
    (pairs <= limit ? fits : exceeds) = m;
  }
  if (threadIdx.x == 0) bands[blockIdx.x] = fits;
}

// Bits of word `word` that belong to [first, end).
__device__ std::uint32_t BitsOf(int word, int first, int end) {
  const int low = max(first - word * 32, 0), high = min(end - word * 32, 32);
  if (low >= high) return 0;
  return (high == 32 ? ~0u : (1u << high) - 1) & ~((1u << low) - 1);
}

// blockIdx.y is the head; the blocks of a head share each tensor.
__global__ void __launch_bounds__(kThreads)
    WritePlan(const __grid_constant__ BandPlanProblem p, const std::int32_t* geometry,
              const std::int32_t* classes, const std::int32_t* bands, const MutablePlanView plan) {
  const BandBlocks blocks(p, geometry);
  const VideoTokens& video = blocks.video;
  const int bh = blockIdx.y;
  const std::int32_t head_class = classes[bh];
  const bool temporal = head_class == static_cast<std::int32_t>(HeadClass::kTemporal);
  const bool everything =
      !temporal && head_class != static_cast<std::int32_t>(HeadClass::kSpatial);
  const int first = blockIdx.x * kThreads + threadIdx.x, step = gridDim.x * kThreads;

  std::int32_t* query_order = plan.query_order + static_cast<std::int64_t>(bh) * p.tokens;
  std::int32_t* key_order = plan.key_order + static_cast<std::int64_t>(bh) * p.tokens;
  for (int i = first; i < p.tokens; i += step) {
    const int position = i - video.start;
    const bool is_video = position >= 0 && position < video.count;
    const int token = is_video ? video.start + video.Token(position, temporal) : i;
    query_order[i] = token;
    key_order[i] = is_video && blocks.sink == FrameSink::kCorrected
                       ? video.start + blocks.KeyToken(position, temporal)
                       : token;
  }

  // Segments before the blocks, of queries and of keys, and the column of the text.
  const int lead = p.text == TextPosition::kFirst ? 1 : 0;
  const int key_lead = lead + (blocks.sink == FrameSink::kCorrected ? 1 : 0);
  const int query_segments = QuerySegments(p), key_segments = KeySegments(p);
  const int sink_keys = key_lead > lead ? video.per_frame : 0;
  const bool has_text = p.text != TextPosition::kNone;
  const int text_segment = lead == 1 ? 0 : key_segments - 1;

  std::int32_t* offsets =
      plan.query_offsets + static_cast<std::int64_t>(bh) * (query_segments + 1);
  for (int i = first; i <= query_segments; i += step) {
    const int block = i - lead;
    offsets[i] = block < 0 ? 0 : block > blocks.room ? p.tokens : video.start + blocks.Start(block);
  }
  offsets = plan.key_offsets + static_cast<std::int64_t>(bh) * (key_segments + 1);
  for (int i = first; i <= key_segments; i += step) {
    const int block = i - key_lead;
    offsets[i] = i < lead        ? 0
                 : block < 0     ? video.start
                 : block > blocks.room
                     ? p.tokens
                     : video.start + sink_keys + blocks.KeysBefore(block, temporal);
  }

  const int words = KeepWords(key_segments), sink_blocks = min(blocks.SinkBlocks(), blocks.count);
  const int band = bands[temporal ? 1 : 0];
  std::int32_t* keep = plan.keep + static_cast<std::int64_t>(bh) * query_segments * words;
  for (int i = first; i < query_segments * words; i += step) {
    const int block = i / words - lead, word = i % words;
    std::uint32_t bits = 0;
    if (everything || block < 0 || block >= blocks.room) {  // the text's row
      bits = BitsOf(word, 0, key_segments);
    } else {
      if (block < blocks.count) {
        const int from = max(block - band, 0);
        const int to = band < blocks.count - block ? block + band + 1 : blocks.count;
        // The corrected sink is the segment before the blocks.
        bits = BitsOf(word, key_lead + from, key_lead + to) |
               BitsOf(word, key_lead, key_lead + sink_blocks) | BitsOf(word, lead, key_lead);
      }
      if (has_text) bits |= BitsOf(word, text_segment, text_segment + 1);
    }
    keep[i] = static_cast<std::int32_t>(bits);
  }
}

}  // namespace

Status LaunchBandPlan(const BandPlanProblem& problem, const BandPlanBuffers& b, void* workspace,
                      std::size_t workspace_size, CUstream_st* stream) {
  SPARSEDIT_RETURN_IF_ERROR(CheckBandPlan(problem));
  SPARSEDIT_RETURN_IF_ERROR(CheckPlanPointers({b.plan.query_order, b.plan.key_order,
                                               b.plan.query_offsets, b.plan.key_offsets,
                                               b.plan.keep}));
  SPARSEDIT_REQUIRE(IsAligned(b.plan.query_order, 4) && IsAligned(b.plan.key_order, 4) &&
                        IsAligned(b.geometry, 4) && IsAligned(b.classes, 4),
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(IsAligned(workspace, 16), Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(workspace_size >= BandPlanWorkspaceSize(problem), Status::kWorkspaceTooSmall);
  std::int32_t* bands = static_cast<std::int32_t*>(workspace);
  FindBands<<<2, kThreads, 0, stream>>>(problem, b.geometry, bands);
  SPARSEDIT_RETURN_IF_ERROR(LaunchStatus());
  const dim3 grid(static_cast<unsigned>(std::min<std::int64_t>(
                      CeilDiv(problem.tokens, kThreads), kMostBlocksOfHead)),
                  static_cast<unsigned>(problem.batch * problem.heads));
  WritePlan<<<grid, kThreads, 0, stream>>>(problem, b.geometry, b.classes, bands, b.plan);
  return LaunchStatus();
}

}  // namespace sparsedit
