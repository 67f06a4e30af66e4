// Block-sparse attention forward: every query segment attends the key segments that the plan keeps.
//
//   o[t] = softmax(scale q[t] K^T + bias) V over the keys of the kept segments of t's segment
//
// Shapes (B batch, H heads, S tokens, D head dim; `layout` gives the order of the axes):
//   q, k, v, o       f16, bf16 or f32 [B,H,S,D] or [B,S,H,D], 16-byte aligned
//   lse              f32 [B,H,S], original token order, or null: natural logarithm of the softmax
//                    denominator of the scaled, biased logits
//   plan             see kernels/plan.h; the natural order where query_order or key_order is null
//   key_bias         f32 [B,S], additive (0 or -inf for padding), in token order, or null. On
//                    the fast path finite ones below -3e7 count as -3e7
//   means_k, means_v f32 [B,H,Nk,D] of the current K and V, or null. With them every skipped,
//                    non-empty key segment j adds one pseudo-key (means_k[j], bias log |segment j|)
//                    with value means_v[j] (compensation, SVG-EAR, arXiv 2603.08982). Means are
//                    rounded to the type of q on the fast path.
//   means_bias       f32 [B,H,Nk], or null: taken instead of log |segment j|. Needed with key_bias,
//                    where a key counts by exp(bias): LaunchSegmentMeans gives weighted means and
//                    this bias, -inf for a segment whose keys are all masked
//   action           i32 scalar on the device, or null for PLAN_SPARSE. DENSE and PLAN_DENSE attend
//                    every key without reading the plan.
// k, v, key_bias and the keys' side of the plan have shape.key_tokens tokens where that is not 0.
// D is a multiple of 16 from 32 to 128. Scores, softmax and accumulation are f32. A row without any
// key, or with only -inf biases, gives 0 and an LSE of -inf. scale must be positive.
//
// Two paths behind one launch: sm_90 with f16 or bf16 and D of 64 or 128 (TMA, wgmma, warp
// specialisation as in FlashAttention-3, arXiv 2407.08608), and a portable one (sm_80 on).
// The launch neither allocates nor synchronises and can be captured in a CUDA graph; k and v must
// not overlap o.
#ifndef SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_H_
#define SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_H_

#include <cstddef>
#include <cstdint>

#include "kernels/plan.h"
#include "kernels/status.h"

struct CUstream_st;

namespace sparsedit {

enum class AttentionPath : int {
  kAuto = 0,      // the fast path where the device, type and head dim have one
  kPortable = 1,  // the portable path everywhere
};

struct BlockSparseAttentionArgs {
  PlanShape shape;
  int head_dim = 0;
  DataType type = DataType::kBFloat16;
  Layout layout = Layout::kBhsd;
  float scale = 0.0f;
  const void* q = nullptr;
  const void* k = nullptr;
  const void* v = nullptr;
  void* o = nullptr;
  float* lse = nullptr;
  PlanView plan;
  const float* key_bias = nullptr;
  const float* means_k = nullptr;
  const float* means_v = nullptr;
  const float* means_bias = nullptr;
  const std::int32_t* action = nullptr;
  AttentionPath path = AttentionPath::kAuto;
};

// Whether type and head dim have a fast path (on a device that has one).
constexpr bool HasFastAttention(DataType type, int head_dim) {
  return type != DataType::kFloat32 && (head_dim == 64 || head_dim == 128);
}

// Consecutive query positions of one query segment, with the keys that they attend.
struct AttentionPart {
  std::int32_t segment;  // query segment, or -1 for dense
  std::int32_t row;      // first query position
  std::int32_t rows;     // 0: no part
  std::int32_t keys;     // keys of the kept segments, without pseudo-keys
};

// A piece of work of a thread block. Packed: one part, or two of a head, as a rule of different
// segments, of which the first has at least as many keys. Of runs: three parts of 64 rows at most.
struct AttentionItem {
  std::int32_t head;     // b * H + h
  std::int32_t ordered;  // whether the head's keys are read in key order; else as they are given
  // The first key with a bias other than 0, as a position in the order they are read in, and the
  // one after the last; both 0 if no key has one. Of the fast path.
  std::int32_t biased_from, biased_to;
  AttentionPart parts[3];
};

// How the keys of an item come; each kind has its own queue.
enum class AttentionKind : int {
  kPacked = 0,     // a stream of tiles for each part, packed without gaps
  kShortRuns = 1,  // one stream for all parts, tiles that are cut where the parts that keep change
  kLongRuns = 2,   // the same with larger tiles
};
constexpr int kAttentionKinds = 3;

struct AttentionQueue {
  std::int32_t made, taken;  // items
};

// What is known of a head's plan and key bias.
struct AttentionHead {
  std::int32_t ordered;     // whether its key order differs from the natural one
  std::int32_t runs;        // of neighbouring kept key segments, over all its query segments
  unsigned long long keys;  // in those
  // S less the position of the first key with a bias other than 0, and one more than that of the
  // last; both 0 if no key has one.
  std::int32_t biased_rest, biased_to;
};

// The parts of a workspace; with a null base only `bytes` is meaningful.
struct BlockSparseAttentionWorkspace {
  AttentionQueue* queues;                 // [kAttentionKinds]
  AttentionHead* heads;                   // [B,H]
  std::size_t zeroed;                     // bytes from `queues` on that have to start as zeros
  std::int32_t* costs;                    // [B,H,Nq]: keys that a query segment attends
  std::int32_t* rests;                    // [B,H,2,Nq]: see attention_schedule.cu
  AttentionItem* items[kAttentionKinds];  // the last two are null off the fast path
  void* keys;              // [B,H,S + Nk,D] in key order, pseudo-keys last
  void* values;
  float* biases;           // [B,H,S + Nk] of those
  std::int64_t item_capacity;  // of kPacked
  std::size_t bytes;
};

// Rows of an item: what one thread block of each path works on; of the fast one groups of rows.
constexpr int kPortableAttentionRows = 32;
constexpr int kAttentionGroupRows = 64;
constexpr int kAttentionGroups = 3;

inline BlockSparseAttentionWorkspace CarveBlockSparseAttentionWorkspace(const PlanShape& shape,
                                                                        int head_dim, DataType type,
                                                                        bool compensate,
                                                                        void* base) {
  const std::int64_t all_heads = static_cast<std::int64_t>(shape.batch) * shape.heads;
  WorkspaceCarver carver(base);
  BlockSparseAttentionWorkspace parts{};
  parts.queues = carver.Take<AttentionQueue>(kAttentionKinds);
  parts.heads = carver.Take<AttentionHead>(all_heads);
  parts.zeroed = carver.used();
  parts.costs = carver.Take<std::int32_t>(all_heads * shape.query_segments);
  parts.rests = carver.Take<std::int32_t>(2 * all_heads * shape.query_segments);
  parts.item_capacity =
      all_heads * (CeilDiv(shape.tokens, kPortableAttentionRows) + shape.query_segments);
  parts.items[0] = carver.Take<AttentionItem>(parts.item_capacity);
  if (HasFastAttention(type, head_dim)) {
    const std::int64_t groups = CeilDiv(shape.tokens, kAttentionGroupRows) + shape.query_segments;
    for (int kind = 1; kind < kAttentionKinds; ++kind) {
      parts.items[kind] =
          carver.Take<AttentionItem>(all_heads * CeilDiv(groups, kAttentionGroups));
    }
    const std::int64_t rows = KeyTokens(shape) + (compensate ? shape.key_segments : 0);
    parts.keys = carver.Take<std::uint16_t>(all_heads * rows * head_dim);
    parts.values = carver.Take<std::uint16_t>(all_heads * rows * head_dim);
    parts.biases = carver.Take<float>(all_heads * rows);
  }
  parts.bytes = carver.used();
  return parts;
}

// Bytes of workspace that LaunchBlockSparseAttention needs, whatever the device and the plan.
inline std::size_t BlockSparseAttentionWorkspaceBytes(const PlanShape& shape, int head_dim,
                                                      DataType type, bool compensate) {
  return CarveBlockSparseAttentionWorkspace(shape, head_dim, type, compensate, nullptr).bytes;
}

// The checks of LaunchBlockSparseAttention: everything that can be known without a device.
// kInvalidArgument: an extent below one, a scale that is not above 0 (or is 1e30 and more), a null or
// misaligned tensor of q, k, v, o or the plan, one of the means without the other, means with key_bias
// but without means_bias, a workspace that is not on 256 bytes. kUnsupported: head dim, or more than 2^24
// tokens, 65,535 segments of a side or 65,535 heads in all. kWorkspaceTooSmall.
inline Status CheckBlockSparseAttention(const BlockSparseAttentionArgs& args,
                                        const void* workspace, std::size_t workspace_bytes) {
  SPARSEDIT_RETURN_IF_ERROR(CheckPlanShape(args.shape));
  SPARSEDIT_REQUIRE(args.head_dim >= 32 && args.head_dim <= 128 && args.head_dim % 16 == 0,
                    Status::kUnsupported);
  SPARSEDIT_REQUIRE(args.type == DataType::kFloat16 || args.type == DataType::kBFloat16 ||
                        args.type == DataType::kFloat32,
                    Status::kUnsupported);
  SPARSEDIT_REQUIRE(args.layout == Layout::kBhsd || args.layout == Layout::kBshd,
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(args.scale > 0.0f && args.scale < 1e30f, Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(IsAligned(args.q, 16) && IsAligned(args.k, 16) && IsAligned(args.v, 16) &&
                        IsAligned(args.o, 16),
                    Status::kInvalidArgument);
  SPARSEDIT_RETURN_IF_ERROR(CheckPlanPointers(args.plan));
  SPARSEDIT_REQUIRE((args.means_k == nullptr) == (args.means_v == nullptr),
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(args.means_k == nullptr || args.key_bias == nullptr ||
                        args.means_bias != nullptr,
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(IsAligned(workspace, 256), Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(
      workspace_bytes >= BlockSparseAttentionWorkspaceBytes(args.shape, args.head_dim, args.type,
                                                            args.means_k != nullptr),
      Status::kWorkspaceTooSmall);
  return Status::kOk;
}

// Enqueues schedule, gather and attention. The workspace needs no initialisation and carries nothing
// from call to call. kUnsupported also before sm_80.
Status LaunchBlockSparseAttention(const BlockSparseAttentionArgs& args, void* workspace,
                                  std::size_t workspace_bytes, CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_H_
