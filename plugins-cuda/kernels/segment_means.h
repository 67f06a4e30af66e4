// Means of tokens over the segments of an order: the pseudo-keys and pseudo-values of compensation
// (SVG-EAR, arXiv 2603.08982, equation 7), taken of the current K and V over the plan's key segments.
//
//   x[i]        type [B,H,S,D] or [B,S,H,D], 16-byte aligned; one or two tensors (K, V)
//   order       i32 [B,H,S], or null for the natural order
//   offsets     i32 [B,H,N+1]
//   key_bias    f32 [B,S] in token order, or null: a token weighs exp(bias), 0 where bias is -inf;
//               finite biases are at most 80, so that f32 holds the weights
//   means[i]    f32 [B,H,N,D], 16-byte aligned: weighted mean; 0 for a segment that weighs nothing
//   log_sizes   f32 [B,H,N], or null: logarithm of a segment's weight (of its length without
//               key_bias), -inf where that is 0
// Summed in f32 in a fixed order. With `action`, nothing is done or written unless the site's code
// is PLAN_SPARSE or REUSE_SPARSE; null means always.
#ifndef SPARSEDIT_KERNELS_SEGMENT_MEANS_H_
#define SPARSEDIT_KERNELS_SEGMENT_MEANS_H_

#include "kernels/plan.h"
#include "kernels/segment_slots.h"

struct CUstream_st;

namespace sparsedit {

struct SegmentMeansProblem {
  int batch = 0;
  int heads = 0;
  int tokens = 0;
  int head_dim = 0;  // 32..128 step 16
  int segments = 0;
  int tensors = 2;   // 1 or 2
  DataType type = DataType::kBFloat16;
  Layout layout = Layout::kBhsd;
};

struct SegmentMeansBuffers {
  const void* x[2] = {nullptr, nullptr};
  float* means[2] = {nullptr, nullptr};
  const std::int32_t* order = nullptr;
  const std::int32_t* offsets = nullptr;
  const std::int32_t* action = nullptr;  // the site's entry
  const float* key_bias = nullptr;
  float* log_sizes = nullptr;
};

inline Status CheckSegmentMeans(const SegmentMeansProblem& p) {
  SPARSEDIT_REQUIRE(p.head_dim > 0 && (p.tensors == 1 || p.tensors == 2),
                    Status::kInvalidArgument);
  SPARSEDIT_RETURN_IF_ERROR(CheckPlanShape({p.batch, p.heads, p.tokens, 1, p.segments}));
  SPARSEDIT_REQUIRE(p.head_dim >= 32 && p.head_dim <= 128 && p.head_dim % 16 == 0,
                    Status::kUnsupported);
  return Status::kOk;
}

// 0 if CheckSegmentMeans objects.
inline std::size_t SegmentMeansWorkspaceSize(const SegmentMeansProblem& p) {
  if (CheckSegmentMeans(p) != Status::kOk) return 0;
  // Partial sums of the tensors, then of the weights.
  return RoundUpTo(sizeof(float) * p.batch * p.heads * (p.tensors * p.head_dim + 1) *
                       static_cast<std::size_t>(SumSlots(p.tokens, p.segments)),
                   kWorkspaceAlignment);
}

Status LaunchSegmentMeans(const SegmentMeansProblem& problem, const SegmentMeansBuffers& buffers,
                          void* workspace, std::size_t workspace_size, CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_SEGMENT_MEANS_H_
