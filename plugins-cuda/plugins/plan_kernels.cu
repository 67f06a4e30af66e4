#include "plugins/plan_kernels.h"

namespace sparsedit::plugins {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocks = 1024;  // a grid-stride loop each

// Calls body(i) for i in [0, count), spread over the grid.
template <typename Body>
__device__ void ForEach(std::int64_t count, Body body) {
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(kThreads) + threadIdx.x; i < count;
       i += static_cast<std::int64_t>(gridDim.x) * kThreads) {
    body(i);
  }
}

__global__ void __launch_bounds__(kThreads)
    NaturalPlan(const PlanShape shape, const MutablePlanView plan, const std::int32_t* action) {
  if (ActionPlans(*action)) return;
  const std::int64_t heads = static_cast<std::int64_t>(shape.batch) * shape.heads;
  ForEach(heads * shape.tokens, [&](std::int64_t i) {
    plan.query_order[i] = plan.key_order[i] = static_cast<std::int32_t>(i % shape.tokens);
  });
  ForEach(heads * (shape.query_segments + 1), [&](std::int64_t i) {
    plan.query_offsets[i] = i % (shape.query_segments + 1) == 0 ? 0 : shape.tokens;
  });
  ForEach(heads * (shape.key_segments + 1), [&](std::int64_t i) {
    plan.key_offsets[i] = i % (shape.key_segments + 1) == 0 ? 0 : shape.tokens;
  });
  const int words = KeepWords(shape.key_segments);
  ForEach(heads * shape.query_segments * words, [&](std::int64_t i) {
    const int left = shape.key_segments - static_cast<int>(i % words) * 32;
    plan.keep[i] = static_cast<std::int32_t>(left >= 32 ? 0xffffffffu : (1u << left) - 1);
  });
}

// Whether offset i of [heads][segments + 1] fits its predecessor and its place.
__device__ bool OffsetFits(const std::int32_t* offsets, std::int64_t i, int segments, int tokens) {
  const int place = static_cast<int>(i % (segments + 1));
  const int low = place == 0 ? 0 : offsets[i - 1];
  const int offset = offsets[i];
  return place == 0 ? offset == 0 : offset >= low && (place < segments || offset == tokens);
}

__global__ void __launch_bounds__(kThreads)
    SafeAction(const PlanShape shape, const PlanView plan, std::int32_t* safe) {
  // Another block may have found a fault already: then there is nothing to add.
  if (!ActionIsSparse(*static_cast<volatile std::int32_t*>(safe))) return;
  const std::int64_t heads = static_cast<std::int64_t>(shape.batch) * shape.heads;
  bool fits = true;
  const auto check_order = [&](const std::int32_t* order, int tokens) {
    if (order == nullptr) return;
    ForEach(heads * tokens, [&](std::int64_t i) {
      fits = fits && static_cast<unsigned>(order[i]) < static_cast<unsigned>(tokens);
    });
  };
  check_order(plan.query_order, shape.tokens);
  check_order(plan.key_order, KeyTokens(shape));
  ForEach(heads * (shape.query_segments + 1), [&](std::int64_t i) {
    fits = fits && OffsetFits(plan.query_offsets, i, shape.query_segments, shape.tokens);
  });
  ForEach(heads * (shape.key_segments + 1), [&](std::int64_t i) {
    fits = fits && OffsetFits(plan.key_offsets, i, shape.key_segments, KeyTokens(shape));
  });
  const int words = KeepWords(shape.key_segments);
  const std::uint32_t unused = shape.key_segments % 32 == 0 ? 0 : ~0u << shape.key_segments % 32;
  ForEach(heads * shape.query_segments, [&](std::int64_t i) {
    fits = fits && (static_cast<std::uint32_t>(plan.keep[(i + 1) * words - 1]) & unused) == 0;
  });
  if (!fits) *safe = static_cast<std::int32_t>(Action::kDense);
}

}  // namespace

Status LaunchNaturalPlan(const PlanShape& shape, const MutablePlanView& plan,
                         const std::int32_t* action, CUstream_st* stream) {
  SPARSEDIT_RETURN_IF_ERROR(CheckPlanShape(shape));
  SPARSEDIT_RETURN_IF_ERROR(CheckPlanPointers({plan.query_order, plan.key_order,
                                               plan.query_offsets, plan.key_offsets, plan.keep}));
  SPARSEDIT_REQUIRE(IsAligned(plan.query_order, 4) && IsAligned(plan.key_order, 4) &&
                        IsAligned(action, 4),
                    Status::kInvalidArgument);
  NaturalPlan<<<kBlocks, kThreads, 0, stream>>>(shape, plan, action);
  return LaunchStatus();
}

Status LaunchSafeAction(const PlanShape& shape, const PlanView& plan, const std::int32_t* action,
                        std::int32_t* safe, CUstream_st* stream) {
  SPARSEDIT_RETURN_IF_ERROR(CheckPlanShape(shape));
  SPARSEDIT_RETURN_IF_ERROR(CheckPlanPointers(plan));
  SPARSEDIT_REQUIRE(IsAligned(action, 4) && IsAligned(safe, 4), Status::kInvalidArgument);
  if (cudaMemcpyAsync(safe, action, sizeof *safe, cudaMemcpyDeviceToDevice, stream) !=
      cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  SafeAction<<<kBlocks, kThreads, 0, stream>>>(shape, plan, safe);
  return LaunchStatus();
}

}  // namespace sparsedit::plugins
