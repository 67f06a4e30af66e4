// The plan's own rules: action codes, keep bits, argument checks, workspace carving.
#include "kernels/plan.h"

#include "test/check.h"

namespace sparsedit::test {
namespace {

void TestActions() {
  CHECK(ActionOf(2) == Action::kPlanSparse && ActionOf(6) == Action::kPlanSparse);
  CHECK(!IsCold(3) && IsCold(4) && IsCold(7));
  CHECK(!ActionPlans(0) && ActionPlans(1) && ActionPlans(2) && !ActionPlans(3));
  CHECK(!ActionIsSparse(0) && !ActionIsSparse(5) && ActionIsSparse(2) && ActionIsSparse(7));
}

void TestKeepBits() {
  CHECK(KeepWords(1) == 1 && KeepWords(32) == 1 && KeepWords(33) == 2);
  const std::int32_t row[2] = {static_cast<std::int32_t>(0x80000001u), 2};
  CHECK(Keeps(row, 0) && !Keeps(row, 1) && Keeps(row, 31) && !Keeps(row, 32) && Keeps(row, 33));
}

void TestArguments() {
  PlanShape shape{1, 2, 100, 3, 4};
  CHECK(CheckPlanShape(shape) == Status::kOk);
  shape.tokens = 0;
  CHECK(CheckPlanShape(shape) == Status::kInvalidArgument);
  shape.tokens = 1 << 25;
  CHECK(CheckPlanShape(shape) == Status::kUnsupported);
  shape = {1, 2, 100, 3, 70000};
  CHECK(CheckPlanShape(shape) == Status::kUnsupported);
  PlanView plan;
  CHECK(CheckPlanPointers(plan) == Status::kInvalidArgument);
  alignas(4) std::int32_t word = 0;
  plan.query_offsets = plan.key_offsets = plan.keep = &word;
  CHECK(CheckPlanPointers(plan) == Status::kOk);
  plan.keep = reinterpret_cast<const std::int32_t*>(reinterpret_cast<const char*>(&word) + 1);
  CHECK(CheckPlanPointers(plan) == Status::kInvalidArgument);
}

void TestCarver() {
  WorkspaceCarver measure(nullptr);
  CHECK(measure.Take<float>(3) == nullptr && measure.used() == kWorkspaceAlignment);
  alignas(16) char memory[4 * kWorkspaceAlignment];
  WorkspaceCarver carve(memory);
  CHECK(static_cast<void*>(carve.Take<char>(1)) == memory);
  CHECK(reinterpret_cast<char*>(carve.Take<float>(300)) == memory + kWorkspaceAlignment);
  CHECK(carve.used() == 3 * kWorkspaceAlignment);
}

}  // namespace
}  // namespace sparsedit::test

int main() {
  sparsedit::test::TestActions();
  sparsedit::test::TestKeepBits();
  sparsedit::test::TestArguments();
  sparsedit::test::TestCarver();
  return sparsedit::test::Report("plan_test");
}
