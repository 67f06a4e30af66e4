// The plan: which key segments each query segment visits. Every method produces one, the
// block-sparse attention kernel executes it. Usable from host code without CUDA.
//
// Shapes, with B batch, H heads, S tokens, Nq and Nk query and key segments:
//   query_order, key_order      i32 [B,H,S]     position -> token; null for the natural order
//   query_offsets, key_offsets  i32 [B,H,N+1]   segment starts; first 0, last S; empty allowed
// Attention takes keys of another number of tokens than queries too: those of key_order and key_offsets.
//   keep                        i32 [B,H,Nq,ceil(Nk/32)]   bit j%32 of word j/32, lowest bit first
#ifndef SPARSEDIT_KERNELS_PLAN_H_
#define SPARSEDIT_KERNELS_PLAN_H_

#include <cstdint>

#include "kernels/status.h"

#ifdef __CUDACC__
#define SPARSEDIT_HOST_DEVICE __host__ __device__
#else
#define SPARSEDIT_HOST_DEVICE
#endif

namespace sparsedit {

enum class DataType : int { kFloat16 = 0, kBFloat16 = 1, kFloat32 = 2 };

constexpr int SizeOf(DataType type) { return type == DataType::kFloat32 ? 4 : 2; }

// Order of the axes of q, k, v and o.
enum class Layout : int { kBhsd = 0, kBshd = 1 };

// Where the text tokens of a sequence of video and text tokens stand.
enum class TextPosition : int { kNone = 0, kFirst = 1, kLast = 2 };

// Segments that text adds to those of the video: one of its own, where there is text.
constexpr int TextSegments(TextPosition text) { return text == TextPosition::kNone ? 0 : 1; }

// What a site does at a step: the low two bits of its entry in the `action` tensor.
enum class Action : std::int32_t {
  kDense = 0,        // dense output, no planning
  kPlanDense = 1,    // plan and state updated, output dense
  kPlanSparse = 2,   // plan and state updated, output by the new plan
  kReuseSparse = 3,  // output by the plan that is held in state
};
constexpr std::int32_t kActionCold = 4;  // added to a code: incoming state is ignored

SPARSEDIT_HOST_DEVICE constexpr Action ActionOf(std::int32_t code) {
  return static_cast<Action>(code & 3);
}
SPARSEDIT_HOST_DEVICE constexpr bool IsCold(std::int32_t code) {
  return (code & kActionCold) != 0;
}
// Whether the planner computes a plan, and whether attention follows one.
SPARSEDIT_HOST_DEVICE constexpr bool ActionPlans(std::int32_t code) {
  return ActionOf(code) == Action::kPlanDense || ActionOf(code) == Action::kPlanSparse;
}
SPARSEDIT_HOST_DEVICE constexpr bool ActionIsSparse(std::int32_t code) {
  return ActionOf(code) == Action::kPlanSparse || ActionOf(code) == Action::kReuseSparse;
}

struct PlanShape {
  int batch = 0;           // B
  int heads = 0;           // H
  int tokens = 0;          // S
  int query_segments = 0;  // Nq
  int key_segments = 0;    // Nk
  int key_tokens = 0;      // tokens of the keys where they are others than the queries; else 0
};

SPARSEDIT_HOST_DEVICE constexpr int KeyTokens(const PlanShape& shape) {
  return shape.key_tokens == 0 ? shape.tokens : shape.key_tokens;
}

SPARSEDIT_HOST_DEVICE constexpr int KeepWords(int key_segments) { return (key_segments + 31) / 32; }

// Read-only view of a plan in device (or, in references, host) memory.
struct PlanView {
  const std::int32_t* query_order = nullptr;
  const std::int32_t* key_order = nullptr;
  const std::int32_t* query_offsets = nullptr;
  const std::int32_t* key_offsets = nullptr;
  const std::int32_t* keep = nullptr;
};

// The same for planners, which write it.
struct MutablePlanView {
  std::int32_t* query_order = nullptr;
  std::int32_t* key_order = nullptr;
  std::int32_t* query_offsets = nullptr;
  std::int32_t* key_offsets = nullptr;
  std::int32_t* keep = nullptr;
};

// Whether query segment i visits key segment j; `keep_row` is the row of segment i.
SPARSEDIT_HOST_DEVICE constexpr bool Keeps(const std::int32_t* keep_row, int key_segment) {
  return (static_cast<std::uint32_t>(keep_row[key_segment >> 5]) >> (key_segment & 31) & 1u) != 0;
}

// Extents that every kernel over a plan relies on: indices within a head fit an int with room.
inline Status CheckPlanShape(const PlanShape& shape) {
  SPARSEDIT_REQUIRE(shape.batch > 0 && shape.heads > 0 && shape.tokens > 0,
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(shape.query_segments > 0 && shape.key_segments > 0, Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(shape.key_tokens >= 0, Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(shape.tokens <= (1 << 24) && shape.key_tokens <= (1 << 24),
                    Status::kUnsupported);
  SPARSEDIT_REQUIRE(shape.query_segments <= 65535 && shape.key_segments <= 65535,
                    Status::kUnsupported);
  SPARSEDIT_REQUIRE(static_cast<std::int64_t>(shape.batch) * shape.heads <= 65535,
                    Status::kUnsupported);
  return Status::kOk;
}

// The orders may be null (natural order); the rest may not.
inline Status CheckPlanPointers(const PlanView& plan) {
  SPARSEDIT_REQUIRE(IsAligned(plan.query_offsets, 4) && IsAligned(plan.key_offsets, 4) &&
                        IsAligned(plan.keep, 4),
                    Status::kInvalidArgument);
  return Status::kOk;
}

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_PLAN_H_
