// Which heads are spatial and which temporal: the online profiling of SVG (Sparse VideoGen, arXiv
// 2502.01776, section 4.2), made deterministic.
//
// For each head and R evenly spaced video tokens as queries (SampledToken):
//   O   = softmax(scale q K^T + bias) V over all keys
//   Oc  = the same over the keys that class c lets a query see: text, the sink, and the video tokens
//         whose block of `block_size` positions in the order of class c is less than
//         ProfileReach(profile_frames, P, block_size) blocks away from the query's
//   class = temporal if sum (O_temporal - O)^2 + kHeadClassSlack sum O^2 < sum (O_spatial - O)^2,
//           else spatial: differences that rounding makes do not decide
// Sinks are exact positions (kPublished: below P) or tokens (kCorrected: below P), not blocks. A row
// that sees no key, or whose biases are all -inf, has an output of 0.
//
//   q, k, v        f16, bf16 or f32 [B,H,S,D] or [B,S,H,D], 16-byte aligned, D in 32..128 step 16
//   geometry       i32 [3] on the device: frames, height, width (SplitTokens)
//   key_bias       f32 [B,S], additive (0 or -inf for padding), in token order, or null
//   last_classes   i32 [B,H] or null
//   action         i32 scalar on the device
//   classes        i32 [B,H]: 0 spatial, 1 temporal. A step that does not plan copies last_classes,
//                  with anything but 1 as 0; without them it writes kNoHeadClass
//   errors         f32 [B,H,2] or null: the two sums of squares, spatial first; written by steps
//                  that plan
// Scores, softmax and sums are f32; the fast path rounds probabilities to the type of v. Sums run in
// a fixed order: equal inputs give equal bits on any GPU of one kind.
//
// K and V are read once for up to 64 rows. The keys of all heads are one stream that the thread
// blocks share evenly; what a block gathers of a head is a partial result, and the last kernel joins
// them. Two paths: sm_90 with f16 or bf16 and D of 64 or 128 (TMA, wgmma; a warpgroup each for O and
// the two Oc), and a portable one (sm_80 on).
#ifndef SPARSEDIT_KERNELS_HEAD_CLASSES_H_
#define SPARSEDIT_KERNELS_HEAD_CLASSES_H_

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/plan.h"
#include "kernels/status.h"
#include "kernels/video_tokens.h"

struct CUstream_st;

namespace sparsedit {

enum class HeadClassesPath : int {
  kAuto = 0,      // the fast path where the device, type and head dim have one
  kPortable = 1,  // the portable path everywhere
};

// What `classes` holds where a step neither plans nor has last classes.
constexpr std::int32_t kNoHeadClass = 2;

constexpr int kMaxSampledRows = 65536;

// Outputs that differ by 1e-5 of their norm count as equal.
constexpr float kHeadClassSlack = 1e-10f;

struct HeadClassesProblem {
  int batch = 0;
  int heads = 0;
  int tokens = 0;    // S, text included
  int head_dim = 0;  // D
  DataType type = DataType::kBFloat16;
  Layout layout = Layout::kBhsd;
  float scale = 0.0f;
  TextPosition text = TextPosition::kNone;
  FrameSink sink = FrameSink::kNone;
  int block_size = 128;
  float profile_frames = 2.0f;
  int sampled_rows = 64;  // R
  HeadClassesPath path = HeadClassesPath::kAuto;
};

struct HeadClassesBuffers {
  const void* q = nullptr;
  const void* k = nullptr;
  const void* v = nullptr;
  const std::int32_t* geometry = nullptr;
  const float* key_bias = nullptr;
  const std::int32_t* last_classes = nullptr;
  const std::int32_t* action = nullptr;
  std::int32_t* classes = nullptr;
  float* errors = nullptr;
};

// kInvalidArgument: an extent, a number of rows or frames, or a scale that is not above 0.
// kUnsupported: head dim, more than 2^24 tokens, kMaxSampledRows rows or 65,535 heads in all.
inline Status CheckHeadClasses(const HeadClassesProblem& p) {
  SPARSEDIT_RETURN_IF_ERROR(CheckPlanShape({p.batch, p.heads, p.tokens, 1, 1}));
  SPARSEDIT_REQUIRE(p.block_size > 0 && p.sampled_rows > 0, Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(p.profile_frames > 0.0f && p.scale > 0.0f && p.scale < 1e30f,
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(p.head_dim >= 32 && p.head_dim <= 128 && p.head_dim % 16 == 0,
                    Status::kUnsupported);
  SPARSEDIT_REQUIRE(p.sampled_rows <= kMaxSampledRows, Status::kUnsupported);
  return Status::kOk;
}

// Bytes of workspace, the same on every device; 0 if CheckHeadClasses objects.
std::size_t HeadClassesWorkspaceSize(const HeadClassesProblem& problem);

Status LaunchHeadClasses(const HeadClassesProblem& problem, const HeadClassesBuffers& buffers,
                         void* workspace, std::size_t workspace_size, CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_HEAD_CLASSES_H_
