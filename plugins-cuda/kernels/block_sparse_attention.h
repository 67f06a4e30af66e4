// Block-sparse attention forward: every query segment attends the key segments that the plan keeps.
//
//   o[t] = softmax(scale q[t] K^T + bias) V over the keys of the kept segments of t's segment
//
// Shapes (B batch, H heads, S tokens, D head dim; `layout` gives the order of the axes):
//   q, k, v, o       f16, bf16 or f32 [B,H,S,D] or [B,S,H,D], 16-byte aligned
//   lse              f32 [B,H,S], original token order, or null: natural logarithm of the softmax
//                    denominator of the scaled, biased logits
//   plan             see kernels/plan.h; the natural order where query_order or key_order is null
//   key_bias         f32 [B,S], additive (0 or -inf for padding), in token order, or null
//   means_k, means_v f32 [B,H,Nk,D] of the current K and V, or null. With them every skipped,
//                    non-empty key segment j adds one pseudo-key (means_k[j], bias log |segment j|)
//                    with value means_v[j] (compensation, SVG-EAR, arXiv 2603.08982). Means are
//                    rounded to the type of q on the fast path.
//   means_bias       f32 [B,H,Nk], or null: taken instead of log |segment j|. Needed with key_bias,
//                    where a key counts by exp(bias): LaunchSegmentMeans gives weighted means and
//                    this bias, -inf for a segment whose keys are all masked
//   action           i32 scalar on the device, or null for PLAN_SPARSE. DENSE and PLAN_DENSE attend
//                    every key without reading the plan.
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

// A piece of work of a thread block: one part, or two of different segments of a head, of which the
// first has at least as many keys.
struct AttentionItem {
  std::int32_t head;  // b * H + h
  std::int32_t unused[3];
  AttentionPart parts[2];
};

// The parts of a workspace; with a null base only `bytes` is meaningful.
struct BlockSparseAttentionWorkspace {
  std::int32_t* counters;  // [2]: items made, items taken
  std::int32_t* costs;     // [B,H,Nq]: keys that a query segment attends
  std::int32_t* rests[2];  // [B,H,Nq]: segments that leave 1, 2 groups of rows to share an item
  AttentionItem* items;
  void* keys;              // [B,H,S + Nk,D] in key order, pseudo-keys last
  void* values;
  std::int64_t item_capacity;
  std::size_t bytes;
};

// Rows of an item: what one thread block of each path works on.
constexpr int kPortableAttentionRows = 32;

inline BlockSparseAttentionWorkspace CarveBlockSparseAttentionWorkspace(const PlanShape& shape,
                                                                        int head_dim, DataType type,
                                                                        bool compensate,
                                                                        void* base) {
  const std::int64_t all_heads = static_cast<std::int64_t>(shape.batch) * shape.heads;
  WorkspaceCarver carver(base);
  BlockSparseAttentionWorkspace parts{};
  parts.counters = carver.Take<std::int32_t>(2);
  parts.costs = carver.Take<std::int32_t>(all_heads * shape.query_segments);
  for (std::int32_t*& rest : parts.rests) {
    rest = carver.Take<std::int32_t>(all_heads * shape.query_segments);
  }
  parts.item_capacity =
      all_heads * (CeilDiv(shape.tokens, kPortableAttentionRows) + shape.query_segments);
  parts.items = carver.Take<AttentionItem>(parts.item_capacity);
  if (HasFastAttention(type, head_dim)) {
    const std::int64_t rows = shape.tokens + (compensate ? shape.key_segments : 0);
    parts.keys = carver.Take<std::uint16_t>(all_heads * rows * head_dim);
    parts.values = carver.Take<std::uint16_t>(all_heads * rows * head_dim);
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

Status LaunchBlockSparseAttention(const BlockSparseAttentionArgs& args, void* workspace,
                                  std::size_t workspace_bytes, CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_H_
