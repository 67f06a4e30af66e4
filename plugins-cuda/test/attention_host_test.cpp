// What of block-sparse attention can be checked without a GPU: its arguments, its workspace, and the
// float64 reference that the GPU test relies on.
#include <cstdlib>

#include "kernels/block_sparse_attention.h"
#include "test/attention_reference.h"
#include "test/check.h"

namespace sparsedit::test {
namespace {

constexpr PlanShape kShape{1, 2, 100, 3, 40};

void TestArguments() {
  alignas(256) static char memory[256];
  BlockSparseAttentionArgs good;
  good.shape = kShape;
  good.head_dim = 128;
  good.scale = 0.1f;
  good.q = good.k = good.v = good.o = memory;
  good.plan.query_offsets = good.plan.key_offsets = good.plan.keep =
      reinterpret_cast<const std::int32_t*>(memory);
  const std::size_t bytes =
      BlockSparseAttentionWorkspaceBytes(kShape, 128, DataType::kBFloat16, false);
  const auto check = [&](const BlockSparseAttentionArgs& args) {
    return CheckBlockSparseAttention(args, memory, bytes);
  };
  CHECK(check(good) == Status::kOk);
  CHECK(CheckBlockSparseAttention(good, memory, bytes - 1) == Status::kWorkspaceTooSmall);
  CHECK(CheckBlockSparseAttention(good, nullptr, bytes) == Status::kInvalidArgument);
  for (int dim : {0, 16, 40, 144}) {
    BlockSparseAttentionArgs bad = good;
    bad.head_dim = dim;
    CHECK(check(bad) == Status::kUnsupported);
  }
  BlockSparseAttentionArgs bad = good;
  bad.scale = 0.0f;
  CHECK(check(bad) == Status::kInvalidArgument);
  bad = good;
  bad.v = memory + 2;
  CHECK(check(bad) == Status::kInvalidArgument);
  bad = good;
  bad.plan.keep = nullptr;
  CHECK(check(bad) == Status::kInvalidArgument);
  bad = good;
  bad.means_k = reinterpret_cast<const float*>(memory);  // without means_v
  CHECK(check(bad) == Status::kInvalidArgument);
  bad.means_v = bad.means_k;  // pseudo-keys need room
  CHECK(check(bad) == Status::kWorkspaceTooSmall);
  bad.key_bias = bad.means_k;  // without means_bias
  CHECK(check(bad) == Status::kInvalidArgument);
}

void TestWorkspace() {
  const auto bytes = [](DataType type, int dim, bool compensate) {
    return BlockSparseAttentionWorkspaceBytes(kShape, dim, type, compensate);
  };
  // K and V in key order on the fast path, with a row for every key segment if compensated.
  CHECK(bytes(DataType::kBFloat16, 128, false) >= 2u * 2 * 100 * 128 * 2);
  CHECK(bytes(DataType::kFloat16, 128, true) >= 2u * 2 * 140 * 128 * 2);
  CHECK(bytes(DataType::kFloat32, 128, false) < 2u * 2 * 100 * 128 * 2);
}

void TestOtherKeys() {
  PlanShape cross = kShape;
  cross.key_tokens = 20;
  CHECK(CheckPlanShape(cross) == Status::kOk && KeyTokens(cross) == 20 && KeyTokens(kShape) == 100);
  CHECK(BlockSparseAttentionWorkspaceBytes(cross, 128, DataType::kBFloat16, false) <
        BlockSparseAttentionWorkspaceBytes(kShape, 128, DataType::kBFloat16, false));
  cross.key_tokens = -1;
  CHECK(CheckPlanShape(cross) == Status::kInvalidArgument);
  cross.key_tokens = (1 << 24) + 1;
  CHECK(CheckPlanShape(cross) == Status::kUnsupported);
}

HostAttention MakeProblem(double density, bool compensate) {
  Random random(7);
  HostAttention a;
  a.plan = RandomPlan(random, kShape, density, true, true);
  a.head_dim = 8;
  a.scale = 0.35f;
  for (std::vector<float>* tensor : {&a.q, &a.k, &a.v}) {
    tensor->resize(2 * 100 * 8);
    for (float& x : *tensor) x = static_cast<float>(random.Normal());
  }
  if (compensate) FillMeans(a);
  return a;
}

// With every segment kept a plan is dense attention, in any order.
void TestReferenceDense() {
  const HostAttention sparse = MakeProblem(2.0, true);
  HostAttention dense = sparse;
  dense.dense = true;
  CHECK(sparse.plan.Density(0) == 1.0);
  for (int position = 0; position < 100; position += 7) {
    double out[8], expected[8], lse = 0.0, expected_lse = 0.0;
    const int token = AttentionRow(sparse, 1, position, out, &lse);
    CHECK(AttentionRow(dense, 1, token, expected, &expected_lse) == token);
    CHECK(std::abs(lse - expected_lse) < 1e-9);
    for (int d = 0; d < 8; ++d) CHECK(std::abs(out[d] - expected[d]) < 1e-9);
  }
}

// Keys of fewer tokens are what is left of more of them where a plan keeps the first alone.
void TestReferenceOtherKeys() {
  for (const Layout layout : {Layout::kBhsd, Layout::kBshd}) {
    HostAttention all = MakeProblem(0.0, false);
    all.layout = layout;
    all.plan.query_order.clear();
    all.plan.key_order.clear();
    all.plan.shape.query_segments = 1;
    all.plan.shape.key_segments = 2;
    all.plan.query_offsets = {0, 100, 0, 100};
    all.plan.key_offsets = {0, 30, 100, 0, 30, 100};
    all.plan.keep = {1, 1};
    HostAttention few = all;
    few.dense = true;
    few.plan.shape.key_tokens = 30;
    for (int head = 0; head < 2; ++head) {
      for (int token = 0; token < 30; ++token) {
        for (int d = 0; d < 8; ++d) {
          few.k[few.KeyAt(0, head, token) + d] = all.k[all.KeyAt(0, head, token) + d];
          few.v[few.KeyAt(0, head, token) + d] = all.v[all.KeyAt(0, head, token) + d];
        }
      }
    }
    double out[8], expected[8], lse = 0.0, expected_lse = 0.0;
    for (int row = 0; row < 200; row += 11) {
      AttentionRow(all, row / 100, row % 100, expected, &expected_lse);
      AttentionRow(few, row / 100, row % 100, out, &lse);
      CHECK(std::abs(lse - expected_lse) < 1e-9);
      for (int d = 0; d < 8; ++d) CHECK(std::abs(out[d] - expected[d]) < 1e-9);
    }
  }
}

// A row without keys is zero; with compensation it sees the means, weighted by segment size.
void TestReferenceNothingKept() {
  const HostAttention empty = MakeProblem(0.0, false);
  double out[8], lse = 0.0;
  AttentionRow(empty, 0, 5, out, &lse);
  for (double x : out) CHECK(x == 0.0);
  CHECK(std::isinf(lse) && lse < 0.0);
  HostAttention means = MakeProblem(0.0, true);
  std::fill(means.means_k.begin(), means.means_k.end(), 0.0f);  // equal scores: weights are sizes
  const int token = AttentionRow(means, 0, 5, out, &lse);
  CHECK(token >= 0 && std::abs(lse - std::log(100.0)) < 1e-6);
  double mean = 0.0;
  for (int t = 0; t < 100; ++t) mean += means.v[t * 8] / 100.0;
  CHECK(std::abs(out[0] - mean) < 1e-5);
}

// With compensation a masked key counts for nothing, and one of bias ln 2 for two.
void TestReferenceWeightedMeans() {
  HostAttention a = MakeProblem(0.0, false);
  a.key_bias.assign(2 * 100, -std::numeric_limits<float>::infinity());
  a.key_bias[3] = 0.0f;
  a.key_bias[8] = std::log(2.0f);
  FillMeans(a);
  std::fill(a.means_k.begin(), a.means_k.end(), 0.0f);  // equal scores: weights are sizes
  double out[8], lse = 0.0;
  AttentionRow(a, 0, 5, out, &lse);
  CHECK(std::abs(lse - std::log(3.0)) < 1e-6);
  for (int d = 0; d < 8; ++d) CHECK(std::abs(out[d] - (a.v[24 + d] + 2 * a.v[64 + d]) / 3) < 1e-5);
}

}  // namespace
}  // namespace sparsedit::test

int main() {
  sparsedit::test::TestArguments();
  sparsedit::test::TestWorkspace();
  sparsedit::test::TestOtherKeys();
  sparsedit::test::TestReferenceDense();
  sparsedit::test::TestReferenceOtherKeys();
  sparsedit::test::TestReferenceNothingKept();
  sparsedit::test::TestReferenceWeightedMeans();
  return sparsedit::test::Report("attention_host_test");
}
