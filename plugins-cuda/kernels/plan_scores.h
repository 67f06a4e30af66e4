// Which key clusters each query cluster visits: the selection half of Svg2Plan (SVG2, arXiv
// 2505.18875, section 4.2 "centroid-based top-p selection").
//
//   S_ij = scale * qc_i . kc_j                      f32
//   P_ij = |K_j| exp(S_ij) / sum_k |K_k| exp(S_ik)  an empty cluster has P = 0
// Row i keeps the shortest prefix of its clusters in descending P, ties to the lower j, that
//   top-p     exceeds the mass p, crossing cluster included; p >= 1 keeps all
//   density   exceeds the share `p` of the clustered keys, crossing cluster included, so that a row
//             is over its budget by less than one cluster
// and at least the first floor(min_kept * clusters) of that order. The order is that of
// S_ij + ln |K_j|, which is P's without its underflow. Masses are summed in units of 2^-30, exactly,
// so that the result does not depend on the order of summation.
//
//   query/key_centroids  f32 [B,H,C,D], 16-byte aligned
//   key_offsets          i32 [B,H,Nk+1] of the plan whose `keep` is written: gives |K_j|
//   keep                 i32 [B,H,Nq,ceil(Nk/32)], unused bits 0
// With text, segment 0 (leading) or the last one is the text: its row and its column are kept.
//
// Action, read on the device: PLAN selects; DENSE and REUSE copy `previous_keep` where given.
#ifndef SPARSEDIT_KERNELS_PLAN_SCORES_H_
#define SPARSEDIT_KERNELS_PLAN_SCORES_H_

#include <cmath>

#include "kernels/kmeans.h"

namespace sparsedit {

enum class Selection : int { kTopP = 0, kDensity = 1 };

struct PlanScoresProblem {
  int batch = 0;
  int heads = 0;
  int query_clusters = 0;
  int key_clusters = 0;
  int head_dim = 0;
  TextPosition text = TextPosition::kNone;
  float scale = 0.f;
  Selection selection = Selection::kTopP;
  float p = 0.9f;         // mass, or density
  float min_kept = 0.1f;  // share of the key clusters, in 0..1
};

struct PlanScoresBuffers {
  const float* query_centroids = nullptr;
  const float* key_centroids = nullptr;
  const std::int32_t* key_offsets = nullptr;
  const std::int32_t* action = nullptr;  // the site's entry
  const std::int32_t* previous_keep = nullptr;  // may be null, may be `keep`
  std::int32_t* keep = nullptr;
};

// floor(min_kept * clusters), as the kernel and its reference take it.
inline int MinimumKept(float min_kept, int clusters) {
  return static_cast<int>(static_cast<double>(min_kept) * clusters + 1e-6 * clusters);
}

// kInvalidArgument: an extent below one, p or min_kept negative or NaN, min_kept above one.
// kUnsupported: head dim, more than kMaxClusters clusters.
inline Status CheckPlanScores(const PlanScoresProblem& p) {
  SPARSEDIT_REQUIRE(p.batch > 0 && p.heads > 0 && p.query_clusters > 0 && p.key_clusters > 0 &&
                        p.head_dim > 0,
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(p.p >= 0.f && p.min_kept >= 0.f && p.min_kept <= 1.f && std::isfinite(p.scale),
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(p.head_dim >= 32 && p.head_dim <= 128 && p.head_dim % 16 == 0,
                    Status::kUnsupported);
  SPARSEDIT_REQUIRE(p.query_clusters <= kMaxClusters && p.key_clusters <= kMaxClusters,
                    Status::kUnsupported);
  return CheckPlanShape({p.batch, p.heads, 1, SegmentsOf(p.query_clusters, p.text),
                         SegmentsOf(p.key_clusters, p.text)});
}

// Bytes for the scores, f32 [B,H,Cq,Ck]; 0 if CheckPlanScores objects.
inline std::size_t PlanScoresWorkspaceSize(const PlanScoresProblem& p) {
  if (CheckPlanScores(p) != Status::kOk) return 0;
  return RoundUpTo(sizeof(float) * p.batch * p.heads * p.query_clusters * p.key_clusters,
                   kWorkspaceAlignment);
}

Status LaunchPlanScores(const PlanScoresProblem& problem, const PlanScoresBuffers& buffers,
                        void* workspace, std::size_t workspace_size, CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_PLAN_SCORES_H_
