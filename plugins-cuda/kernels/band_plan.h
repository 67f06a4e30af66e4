// The plan of SVG (Sparse VideoGen, arXiv 2502.01776, sections 4.1 and 4.3) from the classes of
// heads: a head takes its tokens in the order of its class (video_tokens.h), cut into blocks of
// `block_size`; every query block keeps the key blocks of a band around it, and the sink.
//
//   blocks         n = ceil(V / size) of video tokens, and room for ceil(S / size); those beyond n
//                  are empty. Text is a segment of its own, before or after all of them, that keeps
//                  all segments and is kept by all
//   band           blocks up to m away. By the published formula: with L = S tokens, T of them
//                  text, s = density - 2 T / L in 0..1, w = L (1 - sqrt(1 - s)), m = w / size,
//                  rounded up without text and down with text, to 1e-4 of a block. As a budget: the
//                  greatest m with which sink and band keep at most floor(density V^2) pairs of
//                  video tokens, and at least 0
//   sink           kPublished: the key blocks that begin below position P. kCorrected: the tokens
//                  of the first frame as one key segment before the blocks, which have them no more
//
//   geometry       i32 [3] on the device: frames, height, width (SplitTokens)
//   classes        i32 [B,H]: 0 spatial, 1 temporal; anything else: spatial, with all bits set
//   plan           Nq = QuerySegments, Nk = KeySegments; both orders are written
#ifndef SPARSEDIT_KERNELS_BAND_PLAN_H_
#define SPARSEDIT_KERNELS_BAND_PLAN_H_

#include <cstddef>
#include <cstdint>

#include "kernels/plan.h"
#include "kernels/status.h"
#include "kernels/video_tokens.h"

struct CUstream_st;

namespace sparsedit {

struct BandPlanProblem {
  int batch = 0;
  int heads = 0;
  int tokens = 0;  // S, text included
  TextPosition text = TextPosition::kNone;
  FrameSink sink = FrameSink::kNone;
  int block_size = 128;
  float density = 0.0f;  // everything is kept from 1 on
  bool budget = false;
};

struct BandPlanBuffers {
  const std::int32_t* geometry = nullptr;
  const std::int32_t* classes = nullptr;
  MutablePlanView plan;
};

// Blocks that a plan has room for.
constexpr int BlockRoom(int tokens, int block_size) {
  return static_cast<int>(CeilDiv(tokens, block_size));
}
constexpr int QuerySegments(const BandPlanProblem& p) {
  return BlockRoom(p.tokens, p.block_size) + TextSegments(p.text);
}
constexpr int KeySegments(const BandPlanProblem& p) {
  return QuerySegments(p) + (p.sink == FrameSink::kCorrected ? 1 : 0);
}

// kInvalidArgument: an extent, block size or density that is not above 0. kUnsupported: as
// CheckPlanShape.
inline Status CheckBandPlan(const BandPlanProblem& p) {
  SPARSEDIT_REQUIRE(p.block_size > 0 && p.density > 0.0f, Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(p.tokens > 0, Status::kInvalidArgument);
  return CheckPlanShape({p.batch, p.heads, p.tokens, QuerySegments(p), KeySegments(p)});
}

// Bytes of workspace; 0 if CheckBandPlan objects.
inline std::size_t BandPlanWorkspaceSize(const BandPlanProblem& p) {
  return CheckBandPlan(p) == Status::kOk ? kWorkspaceAlignment : 0;
}

Status LaunchBandPlan(const BandPlanProblem& problem, const BandPlanBuffers& buffers,
                      void* workspace, std::size_t workspace_size, CUstream_st* stream);

// How the blocks of a site lie: what a plan is made of. Usable on host and device.
struct BandBlocks {
  VideoTokens video;
  FrameSink sink;
  int size;   // tokens of a block
  int count;  // blocks with tokens, n
  int room;   // blocks that a plan has room for

  SPARSEDIT_HOST_DEVICE BandBlocks(const BandPlanProblem& p, const std::int32_t* geometry)
      : video(SplitTokens(geometry, p.text, p.tokens)),
        sink(p.sink),
        size(p.block_size),
        count((video.count - 1) / p.block_size + 1),
        room((p.tokens - 1) / p.block_size + 1) {}

  // First position of a block.
  SPARSEDIT_HOST_DEVICE int Start(int block) const {
    const std::int64_t start = static_cast<std::int64_t>(block) * size;
    return start < video.count ? static_cast<int>(start) : video.count;
  }
  // Key blocks that are kept because of the published sink.
  SPARSEDIT_HOST_DEVICE int SinkBlocks() const {
    return sink == FrameSink::kPublished ? (video.per_frame - 1) / size + 1 : 0;
  }
  // Key tokens of the blocks before one.
  SPARSEDIT_HOST_DEVICE int KeysBefore(int block, bool temporal) const {
    const int position = Start(block);
    if (sink != FrameSink::kCorrected) return position;
    // Less those of the first frame, which are every frames-th position of a temporal head.
    if (temporal) return position - (position + video.frames - 1) / video.frames;
    return position > video.per_frame ? position - video.per_frame : 0;
  }
  // Token, of video tokens, at a position of the keys.
  SPARSEDIT_HOST_DEVICE int KeyToken(int position, bool temporal) const {
    if (sink != FrameSink::kCorrected) return video.Token(position, temporal);
    if (position < video.per_frame || !temporal) return position;
    const int later = position - video.per_frame, frames = video.frames - 1;
    return (1 + later % frames) * video.per_frame + later / frames;
  }
};

// The band's m by the published formula.
SPARSEDIT_HOST_DEVICE inline int PublishedBandBlocks(const BandBlocks& blocks, float density,
                                                     TextPosition text, int tokens) {
  const double all = tokens;
  const double strips = 2.0 * blocks.video.text / all;
  const double share = static_cast<double>(density) - strips;
  const double wanted = 1.0 - share;
  const double rest = wanted < 0.0 ? 0.0 : wanted > 1.0 ? 1.0 : wanted;
  const double width = all * (1.0 - sqrt(rest));
  const double slack = 1e-4;  // f32 holds decimal fractions a little off
  const double rounding = text == TextPosition::kNone ? 1.0 - slack : slack;
  return static_cast<int>(floor(width / blocks.size + rounding));
}

// Pairs of video tokens that a budget holds.
SPARSEDIT_HOST_DEVICE inline std::int64_t PairsInBudget(int count, float density) {
  const double all = static_cast<double>(static_cast<std::int64_t>(count) * count);
  const double limit = floor(all * static_cast<double>(density));
  return limit > 4e18 ? static_cast<std::int64_t>(4e18) : static_cast<std::int64_t>(limit);
}

// Key tokens that query block `block` keeps with a band of m, the sink apart.
SPARSEDIT_HOST_DEVICE inline int BandKeys(const BandBlocks& blocks, int block, int m,
                                          bool temporal) {
  const int sink = blocks.SinkBlocks();
  const int first = block - m, end = block < blocks.room - m ? block + m + 1 : blocks.room;
  return blocks.KeysBefore(end < sink ? sink : end, temporal) -
         blocks.KeysBefore(first < sink ? sink : first, temporal);
}

// Key tokens of the sink.
SPARSEDIT_HOST_DEVICE inline int SinkKeys(const BandBlocks& blocks) {
  switch (blocks.sink) {
    case FrameSink::kNone: break;
    case FrameSink::kPublished: return blocks.Start(blocks.SinkBlocks());
    case FrameSink::kCorrected: return blocks.video.per_frame;
  }
  return 0;
}

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_BAND_PLAN_H_
