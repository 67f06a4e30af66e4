// Which key clusters each query cluster visits: the selection half of Svg2Plan (SVG2, arXiv
// 2505.18875, section 4.2 "centroid-based top-p selection").
//
//   S_ij = scale * qc_i . kc_j                      f32
//   P_ij = |K_j| exp(S_ij) / sum_k |K_k| exp(S_ik)  an empty cluster has P = 0
// By top-p row i keeps the shortest prefix of its clusters in descending P, ties to the lower j,
// that exceeds the mass p, crossing cluster included; p >= 1 keeps all; and at least the first
// floor((min_kept + 1e-6) Ck) of that order. The order is that of S_ij + ln |K_j|, which is P's
// without its underflow. Masses are summed in units of 2^-30, exactly, so that the result does not
// depend on the order of summation.
//
// By a density budget (docs/methods.md, "A density instead of a threshold"), with N clustered tokens:
//   by mass            of each row in that order; budget floor((density + 1e-6) N) keys a row
//   by mass per token  of all pairs of a head in descending P_ij / |K_j|, taken in f32 as
//                      (S_ij + ln |K_j|) - lse_i - ln |K_j|, -inf where |K_j| is 0; equals to the lower
//                      i, then the greater mass, then the lower j; budget floor((density + 1e-6) N N)
//                      pairs of tokens a head, |Q_i| |K_j| each
// A pair is kept if what those before it hold is less than the budget: so it is exceeded by less than
// one cluster. The first max(1, floor((min_kept + 1e-6) Ck)) of each row by mass are kept in any case,
// come first by mass per token, and count. A density of 1 or more keeps everything.
//
//   query/key_centroids  f32 [B,H,C,D], 16-byte aligned
//   key_offsets          i32 [B,H,Nk+1] of the plan whose `keep` is written: gives |K_j|
//   query_offsets        i32 [B,H,Nq+1] of it: gives |Q_i|; only read by mass per token
//   keep                 i32 [B,H,Nq,ceil(Nk/32)], unused bits 0
// With text, segment 0 (leading) or the last one is the text: its row and its column are kept.
//
// Action, read on the device: PLAN selects; DENSE and REUSE copy `previous_keep` where given.
#ifndef SPARSEDIT_KERNELS_PLAN_SCORES_H_
#define SPARSEDIT_KERNELS_PLAN_SCORES_H_

#include <cmath>

#include "kernels/kmeans.h"

namespace sparsedit {

enum class Selection : int { kTopP = 0, kBudgetByMass = 1, kBudgetByMassPerToken = 2 };

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
  const std::int32_t* query_offsets = nullptr;  // may be null unless by mass per token
  const std::int32_t* action = nullptr;  // the site's entry
  const std::int32_t* previous_keep = nullptr;  // may be null, may be `keep`
  std::int32_t* keep = nullptr;
};

// floor((min_kept + 1e-6) clusters).
inline int MinimumKept(float min_kept, int clusters) {
  return static_cast<int>((static_cast<double>(min_kept) + 1e-6) * clusters);
}

// The clusters of a row that are kept in any case.
inline int LeastKept(const PlanScoresProblem& p) {
  const int least = MinimumKept(p.min_kept, p.key_clusters);
  return p.selection == Selection::kTopP || least > 1 ? least : 1;
}

// floor((density + 1e-6) whole) of `whole` keys or pairs; density below 1.
SPARSEDIT_HOST_DEVICE inline std::int64_t DensityBudget(float density, std::int64_t whole) {
  return static_cast<std::int64_t>((static_cast<double>(density) + 1e-6) *
                                   static_cast<double>(whole));
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
  SPARSEDIT_REQUIRE(p.selection == Selection::kTopP || p.selection == Selection::kBudgetByMass ||
                        p.selection == Selection::kBudgetByMassPerToken,
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(p.query_clusters <= kMaxClusters && p.key_clusters <= kMaxClusters,
                    Status::kUnsupported);
  return CheckPlanShape({p.batch, p.heads, 1, SegmentsOf(p.query_clusters, p.text),
                         SegmentsOf(p.key_clusters, p.text)});
}

struct alignas(8) ClusterSize {
  float log;  // ln |K_j|
  std::int32_t keys;
};

// What the selection by mass per token knows of a row, and of a head.
struct RankedRow {
  float lse;                // log sum_j |K_j| exp(S_ij)
  std::uint32_t least_top;  // of the clusters that are kept in any case: rank by mass and
  std::int32_t least_until; // segment of the last
  std::int32_t queries;     // |Q_i|
};
struct RankedHead {
  static constexpr int kRounds = 3, kCuts = 15;
  unsigned long long first;                  // pairs of tokens that are kept in any case
  unsigned long long above[kRounds][kCuts];  // pairs of tokens whose rank is at or above a cut
  std::uint32_t lowest, highest;             // ranks
  std::int32_t candidates;                   // pairs of clusters that are left after the rounds
  // The last pair that is kept: rank, row, rank by mass, segment.
  std::uint32_t rank;
  std::int32_t row;
  std::uint32_t mass;
  std::int32_t segment;
};

// The parts of a workspace; with a null base only `bytes` is meaningful. All but scores and sizes are
// of the selection by mass per token.
struct PlanScoresWorkspace {
  float* scores;             // [B,H,Cq,Ck]
  ClusterSize* sizes;        // [B,H,Ck]
  RankedRow* rows;           // [B,H,Cq]
  RankedHead* heads;         // [B,H]
  std::int32_t* candidates;  // [B,H,Cq Ck]
  std::size_t bytes;
};

inline PlanScoresWorkspace CarvePlanScoresWorkspace(const PlanScoresProblem& p, void* base) {
  const std::int64_t heads = static_cast<std::int64_t>(p.batch) * p.heads;
  const std::int64_t pairs = heads * p.query_clusters * p.key_clusters;
  WorkspaceCarver carver(base);
  PlanScoresWorkspace parts = {};
  parts.scores = carver.Take<float>(pairs);
  parts.sizes = carver.Take<ClusterSize>(heads * p.key_clusters);
  if (p.selection == Selection::kBudgetByMassPerToken) {
    parts.rows = carver.Take<RankedRow>(heads * p.query_clusters);
    parts.heads = carver.Take<RankedHead>(heads);
    parts.candidates = carver.Take<std::int32_t>(pairs);
  }
  parts.bytes = carver.used();
  return parts;
}

// Bytes of workspace; 0 if CheckPlanScores objects.
inline std::size_t PlanScoresWorkspaceSize(const PlanScoresProblem& p) {
  if (CheckPlanScores(p) != Status::kOk) return 0;
  return CarvePlanScoresWorkspace(p, nullptr).bytes;
}

Status LaunchPlanScores(const PlanScoresProblem& problem, const PlanScoresBuffers& buffers,
                        void* workspace, std::size_t workspace_size, CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_PLAN_SCORES_H_
