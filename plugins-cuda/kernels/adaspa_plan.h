// AdaSpaPlan: the planner of AdaSpa (arXiv 2502.21079). Blocks of tokens in their natural order are
// the segments; a query block keeps the key blocks that exact attention gives most of its mass to.
//
//   q, k                     type [B,H,S,D] or [B,S,H,D]   16-byte aligned, D in 32..128 step 16
//   key_bias                 f32 [B,S] or null              added to the scaled scores; -inf hides
//   lse (in, out)            f32 [B,H,S]                    by token
//   query/key_offsets        i32 [B,H,N+1]                  N = AdaSpaSegments(S, block_size, text)
//   keep                     i32 [B,H,N,ceil(N/32)]
//
// On a step that plans, of every head (section 4.2, algorithms 1 and 2; `exp` where they print Log):
//   S = scale q k^T + key_bias
//   LSE[r] = log sum_c exp(S[r,c]) if COLD, else the incoming one; +inf where all keys are hidden
//   W[i,j] = sum of exp(S[r,c] - LSE[r]) over r in block i, c in block j
// then (section 4.3) the recall of each head at the mean density
//   recall = 1 - (what the video rows of W have outside their k(density) greatest) / (sum of W)
// text included in the sum, and of each element of the batch
//   n = min(heads of a recall above the threshold, floor(H / 2)),   spread = min(d / 2, 1 - d)
//   the n heads of the greatest recall get d - spread, the n of the least d + spread, others d
// and the keep bits of each video block: its k(density of the head) greatest video blocks,
//   k(d) = floor((d + 1e-6) n + 1/2), from 1 to n, in f64, n video blocks.
// Equal masses rank by key block, equal recalls by head.
//
// Segments. n = ceil(video / block_size) blocks, the last of which may be shorter, room for
// ceil(S / block_size), the rest of it empty; text is one segment before or behind all of these,
// which visits all and which all visit. Empty blocks visit text only.
//
// Action, read on the device. PLAN with COLD: two passes over q and k. PLAN: one, with the incoming
// LSE, which is passed on (section 4.2, "LSE cache"). DENSE and REUSE: LSE is passed on; keep is the
// previous one where given, else everything. The offsets are always written.
//
// Precision. The sm_90a path multiplies on tensor cores with f32 accumulators and takes exp2 by
// ex2.approx, to a relative 2^-22; the portable one multiplies and adds in f32 with expf. All sums
// are f32 in an order that the shapes fix: equal inputs give equal bits on a GPU of one kind. With an
// incoming LSE the sm_90a path needs S - LSE below 88.
#ifndef SPARSEDIT_KERNELS_ADASPA_PLAN_H_
#define SPARSEDIT_KERNELS_ADASPA_PLAN_H_

#include "kernels/kmeans.h"
#include "kernels/plan.h"

struct CUstream_st;

namespace sparsedit {

struct AdaSpaProblem {
  int batch = 0;
  int heads = 0;
  int tokens = 0;    // S, text included
  int head_dim = 0;  // D
  DataType type = DataType::kBFloat16;
  Layout layout = Layout::kBhsd;
  float scale = 1.0f;
  int block_size = 64;
  float density = 0.2f;           // kept part of the video blocks, mean over heads; above 0
  float recall_threshold = 0.8f;  // above 1: all heads alike
  TextPosition text = TextPosition::kNone;
};

struct AdaSpaBuffers {
  const void* q = nullptr;
  const void* k = nullptr;
  const std::int32_t* action = nullptr;    // the site's entry
  const std::int32_t* geometry = nullptr;  // [3]: text tokens = S - frames*height*width; without
                                           // text it is not read
  const float* key_bias = nullptr;
  const float* lse_in = nullptr;
  float* lse = nullptr;  // may be the incoming one
  const std::int32_t* previous_keep = nullptr;
  MutablePlanView plan;  // offsets and keep; the order is the natural one
};

// Which code searches. kAuto takes the sm_90a kernel where device, type, head dim and block size
// allow: f16 or bf16, 64 or 128, 64.
enum class AdaSpaPath : int { kAuto = 0, kPortable = 1, kHopper = 2 };

// Segments of queries and of keys.
constexpr int AdaSpaSegments(int tokens, int block_size, TextPosition text) {
  return static_cast<int>(CeilDiv(tokens, block_size)) + TextSegments(text);
}

// kInvalidArgument: an extent below one, a density that is not above 0.
// kUnsupported: a head dim, more than 65,535 segments, 2^24 tokens, 8,192 heads or 65,535 in all.
inline Status CheckAdaSpa(const AdaSpaProblem& p) {
  SPARSEDIT_REQUIRE(p.batch > 0 && p.heads > 0 && p.tokens > 0 && p.head_dim > 0 &&
                        p.block_size > 0 && p.density > 0.0f,
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(p.heads <= 8192, Status::kUnsupported);
  SPARSEDIT_REQUIRE(p.head_dim >= 32 && p.head_dim <= 128 && p.head_dim % 16 == 0,
                    Status::kUnsupported);
  const int segments = AdaSpaSegments(p.tokens, p.block_size, p.text);
  return CheckPlanShape({p.batch, p.heads, p.tokens, segments, segments});
}

// Bytes of workspace, the same on every device. It begins with W, [B,H,N,N], which is nearly all of
// it: video blocks, then those of text, in both axes. 0 if CheckAdaSpa objects.
std::size_t AdaSpaWorkspaceSize(const AdaSpaProblem& problem);

// Enqueues the planner. The workspace needs no initialisation and carries nothing from call to call.
// kUnsupported also where kHopper is asked for and device or problem rule it out.
Status LaunchAdaSpaPlan(const AdaSpaProblem& problem, const AdaSpaBuffers& buffers, void* workspace,
                        std::size_t workspace_size, CUstream_st* stream,
                        AdaSpaPath path = AdaSpaPath::kAuto);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_ADASPA_PLAN_H_
