// Batched k-means of queries and keys, and the token order it implies: the clustering half of
// Svg2Plan (SVG2, arXiv 2505.18875, section 4.1 "semantic-aware permutation", Algorithm 1).
//
// One launch clusters Q and K of every batch and head:
//   assignment   label(x) = argmin_j |c_j|^2 - 2 x.c_j, accumulated in f32, ties to the lower j
//   update       c_j = mean of its tokens; an empty cluster keeps its centroid
// for a fixed number of iterations, then leaves the tokens ordered by the labels of the last
// assignment (ascending token inside a cluster), the segment offsets, and the updated centroids.
// Sums run in a fixed order, so that equal inputs give equal bits on any GPU of one kind.
//
//   q, k                        type [B,H,S,D] or [B,S,H,D]   16-byte aligned, D in 32..128 step 16
//   query/key_centroids (_in)   f32 [B,H,C,D]                 16-byte aligned
//   orders                      i32 [B,H,S]
//   offsets                     i32 [B,H,C+1], or C+2 with text
//
// Text. The text tokens at one end of the sequence are not clustered. They form one segment at
// that end: segment 0 (clusters follow from 1) or segment C, in their own order.
//
// Action, read on the device. PLAN with COLD: initial centroid j is video token
// floor((j+.5)*S/C), `init_iterations` follow. PLAN: incoming centroids, `iterations`. DENSE and
// REUSE: incoming centroids, and the previous plan where given, are copied to the outputs; without
// a previous plan the plan outputs are left alone.
//
// Precision. Tensor cores multiply in fp16 after a scaling by a power of two, chosen for each head
// so that the largest incoming centroid entry lies in [8, 16): bf16 and fp16 tokens are exact there,
// centroids are rounded to 11 bits, and |c|^2 is that of the rounded centroid, so that a label is
// the nearest of the rounded centroids. A token may differ from the exact label only where the two
// scores differ by less than 2^-11 (|x-c||c| + |x-c'||c'|). f32 tokens and their centroids are
// split into two fp16 parts each (22 bits). Tokens above 4,096 times the largest centroid entry
// saturate. Means are taken of the unscaled tokens in f32. A token with NaN gets a valid label.
#ifndef SPARSEDIT_KERNELS_KMEANS_H_
#define SPARSEDIT_KERNELS_KMEANS_H_

#include "kernels/plan.h"

struct CUstream_st;

namespace sparsedit {

constexpr int kMaxClusters = 4096;

struct KmeansProblem {
  int batch = 0;
  int heads = 0;
  int tokens = 0;    // S, text included
  int head_dim = 0;  // D
  DataType type = DataType::kBFloat16;
  Layout layout = Layout::kBhsd;
  int query_clusters = 0;
  int key_clusters = 0;
  TextPosition text = TextPosition::kNone;
  int text_tokens = 0;  // 0 without text; unused where `geometry` is given
  int iterations = 2;
  int init_iterations = 50;
};

struct KmeansBuffers {
  const void* q = nullptr;
  const void* k = nullptr;
  const std::int32_t* action = nullptr;    // the site's entry
  const std::int32_t* geometry = nullptr;  // [3] or null; text tokens = S - frames*height*width
  const float* query_centroids_in = nullptr;
  const float* key_centroids_in = nullptr;
  float* query_centroids = nullptr;        // may be the incoming ones
  float* key_centroids = nullptr;
  PlanView previous;                       // orders and offsets: all four or none; keep is not used
  MutablePlanView plan;                    // orders and offsets; keep is not used
};

// Which code runs. kAuto takes the sm_90a kernel where device and type allow.
enum class KmeansPath : int { kAuto = 0, kPortable = 1, kHopper = 2 };

// Segments of a side with `clusters` clusters.
constexpr int SegmentsOf(int clusters, TextPosition text) {
  return clusters + TextSegments(text);
}

// kInvalidArgument: an extent below one, text tokens against the text position.
// kUnsupported: head dim, or more than kMaxClusters clusters, 2^24 tokens or 65,535 heads in all.
inline Status CheckKmeans(const KmeansProblem& p) {
  SPARSEDIT_REQUIRE(p.batch > 0 && p.heads > 0 && p.tokens > 0 && p.head_dim > 0 &&
                        p.query_clusters > 0 && p.key_clusters > 0 && p.iterations > 0 &&
                        p.init_iterations > 0,
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(p.text_tokens >= 0 && p.text_tokens <= p.tokens, Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(p.text != TextPosition::kNone || p.text_tokens == 0, Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(p.head_dim >= 32 && p.head_dim <= 128 && p.head_dim % 16 == 0,
                    Status::kUnsupported);
  SPARSEDIT_REQUIRE(p.query_clusters <= kMaxClusters && p.key_clusters <= kMaxClusters,
                    Status::kUnsupported);
  return CheckPlanShape({p.batch, p.heads, p.tokens, SegmentsOf(p.query_clusters, p.text),
                         SegmentsOf(p.key_clusters, p.text)});
}

// Bytes of workspace, the same on every device; 0 if CheckKmeans objects.
std::size_t KmeansWorkspaceSize(const KmeansProblem& problem);

// Enqueues one cooperative kernel. The workspace needs no initialisation and carries nothing from
// call to call. kUnsupported also where kHopper is asked for and device or type rule it out.
Status LaunchKmeans(const KmeansProblem& problem, const KmeansBuffers& buffers, void* workspace,
                    std::size_t workspace_size, CUstream_st* stream,
                    KmeansPath path = KmeansPath::kAuto);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_KMEANS_H_
