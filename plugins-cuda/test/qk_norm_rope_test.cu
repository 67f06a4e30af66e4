// Norm and rotary embedding of Q and K against float64 on the CPU.
//
//   qk_norm_rope_test [--quick]      --quick: a few small cases, for compute-sanitizer
#include "kernels/qk_norm_rope.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>

#include "test/attention_reference.h"
#include "test/check.h"
#include "test/device_array.h"
#include "test/qk_norm_rope_reference.h"

namespace sparsedit::test {
namespace {

void TestCase(const std::string& name, const QkNormRopeProblem& p, bool weight, bool bias,
              bool in_place) {
  std::mt19937 random(static_cast<unsigned>(std::hash<std::string>()(name)));
  std::normal_distribution<float> normal;
  const auto fill = [&](std::vector<float>& to, std::size_t count, DataType type, float shift) {
    to.resize(count);
    for (float& v : to) v = RoundTo(type, normal(random) + shift);
  };
  QkNormRopeTensors host;
  const std::size_t vector = p.head_dim * (p.weight_of_head ? 1 : p.heads);
  std::vector<DeviceArray<char>> x, out, weights, biases;
  QkNormRopeBuffers b;
  for (int i = 0; i < p.tensors; ++i) {
    const std::size_t count =
        static_cast<std::size_t>(p.batch) * p.tokens[i] * p.heads * p.head_dim;
    fill(host.x[i], count, p.type, .3f);
    if (weight) fill(host.weight[i], vector, p.weight_type[i], 1.f);
    if (bias) fill(host.bias[i], vector, p.bias_type[i], 0.f);
    x.emplace_back(Encode(p.type, host.x[i]));
    out.emplace_back(count * SizeOf(p.type));
    out.back().Poison();
    weights.emplace_back(Encode(p.weight_type[i], host.weight[i]));
    biases.emplace_back(Encode(p.bias_type[i], host.bias[i]));
  }
  const std::size_t table =
      static_cast<std::size_t>(p.table_batch) * p.rotated * p.table_heads * p.rotary_lanes;
  fill(host.cos, table, DataType::kFloat32, 0.f);  // any numbers: nothing says that they are cosines
  fill(host.sin, table, DataType::kFloat32, 0.f);
  DeviceArray<float> cos(host.cos), sin(host.sin);
  b.cos = cos.get();
  b.sin = sin.get();
  for (int i = 0; i < p.tensors; ++i) {
    b.x[i] = x[i].get();
    b.out[i] = in_place ? x[i].get() : out[i].get();
    b.weight[i] = weight ? weights[i].get() : nullptr;
    b.bias[i] = bias ? biases[i].get() : nullptr;
  }
  CHECK(LaunchQkNormRope(p, b, nullptr) == Status::kOk);
  CUDA_OK(cudaDeviceSynchronize());
  double worst = 0;  // over what rounding once allows
  for (int i = 0; i < p.tensors; ++i) {
    worst = std::max(worst, QkNormRopeError(p, host, i, Decode(p.type, (in_place ? x[i] : out[i]).Get())));
  }
  std::printf("%s %-46s error %.2f of what is allowed\n", worst <= 1 ? "ok  " : "FAIL", name.c_str(), worst);
  CHECK(worst <= 1);
}

void TestArguments() {
  QkNormRopeProblem good;
  good.batch = 1, good.heads = 2, good.tokens[0] = good.tokens[1] = 9, good.head_dim = 64;
  good.norm = NormKind::kRms, good.epsilon = 1e-6f;
  good.rope = RopeForm::kInterleaved, good.rotary_lanes = 32, good.rotary_start = 32;
  good.rotated = 9;
  CHECK(CheckQkNormRope(good) == Status::kOk);
  const auto expect = [&](Status status, auto change) {
    QkNormRopeProblem p = good;
    change(p);
    CHECK(CheckQkNormRope(p) == status);
  };
  expect(Status::kInvalidArgument, [](auto& p) { p.heads = 0; });
  expect(Status::kInvalidArgument, [](auto& p) { p.tensors = 3; });
  expect(Status::kInvalidArgument, [](auto& p) { p.epsilon = 0; });
  expect(Status::kInvalidArgument, [](auto& p) { p.root_epsilon = -1; });
  expect(Status::kInvalidArgument, [](auto& p) { p.root_floor = -1; });
  expect(Status::kOk, [](auto& p) { p.epsilon = 0, p.root_floor = 1e-30f; });
  expect(Status::kInvalidArgument, [](auto& p) { p.rotary_lanes = 31; });
  expect(Status::kInvalidArgument, [](auto& p) { p.rotary_start = 33; });
  expect(Status::kInvalidArgument, [](auto& p) { p.rotated = 10; });
  expect(Status::kInvalidArgument, [](auto& p) { p.first_rotated = 1; });
  expect(Status::kInvalidArgument, [](auto& p) { p.table_heads = 3; });
  expect(Status::kInvalidArgument, [](auto& p) { p.tokens[1] = 0; });
  expect(Status::kUnsupported, [](auto& p) { p.head_dim = 68; });
  expect(Status::kUnsupported, [](auto& p) { p.head_dim = 264; });
  expect(Status::kUnsupported, [](auto& p) { p.heads = 1000; });
  alignas(16) static float memory[4];
  QkNormRopeBuffers b;
  CHECK(LaunchQkNormRope(good, b, nullptr) == Status::kInvalidArgument);
  b.x[0] = b.x[1] = b.out[0] = b.out[1] = memory;
  CHECK(LaunchQkNormRope(good, b, nullptr) == Status::kInvalidArgument);  // no tables
  b.cos = b.sin = memory;
  good.output_layout = Layout::kBhsd;
  CHECK(LaunchQkNormRope(good, b, nullptr) == Status::kInvalidArgument);  // in place
}

QkNormRopeProblem Make(int batch, int heads, int q_tokens, int k_tokens, int dim, DataType type) {
  QkNormRopeProblem p;
  p.batch = batch, p.heads = heads, p.tokens[0] = q_tokens, p.tokens[1] = k_tokens;
  p.head_dim = dim, p.type = type, p.epsilon = 1e-6f;
  return p;
}

void TestAll(bool quick) {
  int i = 0;
  const std::vector<DataType> types = {DataType::kBFloat16, DataType::kFloat16, DataType::kFloat32};
  for (const NormKind norm : {NormKind::kNone, NormKind::kRms, NormKind::kLayer}) {
    for (const NormScope scope : {NormScope::kHead, NormScope::kHidden}) {
      for (const RopeForm rope : {RopeForm::kNone, RopeForm::kInterleaved, RopeForm::kHalf}) {
        for (const int dim : quick ? std::vector<int>{64} : std::vector<int>{8, 48, 64, 96, 128}) {
          QkNormRopeProblem p = Make(1 + i % 2, 1 + i % 5, 33, i % 3 ? 33 : 50, dim, types[i % 3]);
          p.norm = norm, p.scope = scope, p.rope = rope;
          p.tensors = i % 7 == 0 ? 1 : 2;
          // Of sizes that show in the result.
          if (i % 6 == 2) p.epsilon = 0, p.root_epsilon = 0.2f;
          if (i % 6 == 5) p.epsilon = 0.1f, p.root_epsilon = 0.1f, p.root_floor = 1.1f;
          p.layout = i % 2 ? Layout::kBshd : Layout::kBhsd;
          p.output_layout = i / 2 % 2 ? Layout::kBshd : Layout::kBhsd;
          p.weight_type[0] = p.bias_type[1] = types[i / 3 % 3];
          p.weight_type[1] = p.bias_type[0] = types[i / 5 % 3];
          p.weight_of_head = scope == NormScope::kHead && i % 4 != 3;
          p.rotary_start = i % 4 == 0 ? 0 : i % 4 == 1 ? 2 : i % 4 == 2 ? 1 : 0;
          p.rotary_lanes = (dim - p.rotary_start) / 2 * 2;
          if (i % 4 == 3) p.rotary_lanes = dim / 2;
          p.rotated = i % 5 == 0 ? 33 : 20;
          p.first_rotated = i % 5 == 0 ? 0 : i % 5 == 1 ? -1 : i % 5 == 2 ? 13 : 0;
          if (i % 3 == 1) p.table_batch = p.batch;
          if (i % 4 == 1) p.table_heads = p.heads;
          TestCase("norm " + std::to_string(static_cast<int>(norm)) + " scope " +
                       std::to_string(static_cast<int>(scope)) + " rope " +
                       std::to_string(static_cast<int>(rope)) + " D " + std::to_string(dim) + " case " +
                       std::to_string(i),
                   p, norm != NormKind::kNone && i % 6 != 5, norm == NormKind::kLayer && i % 3 != 0,
                   p.layout == p.output_layout && i % 5 == 2);
          ++i;
        }
      }
    }
  }
  if (quick) return;
  // Every number of chunks a thread has, and hidden sizes that fill no block.
  for (const int heads : {1, 3, 13, 24, 40, 48, 96, 200, 256}) {
    for (const DataType type : types) {
      QkNormRopeProblem p = Make(1, heads, 300, 257, 128, type);
      p.norm = NormKind::kRms, p.scope = NormScope::kHidden, p.weight_of_head = false;
      p.rope = heads % 2 ? RopeForm::kHalf : RopeForm::kInterleaved;
      p.rotary_lanes = 128, p.rotated = 257, p.output_layout = Layout::kBhsd;
      TestCase("hidden " + std::to_string(heads * 128), p, true, false, false);
    }
  }
}

}  // namespace
}  // namespace sparsedit::test

int main(int argc, char** argv) {
  using namespace sparsedit::test;
  TestArguments();
  if (!HasGpu()) {
    std::printf("no GPU: skipped\n");
    return Report("qk_norm_rope_test") == 0 ? kSkipped : 1;
  }
  TestAll(argc > 1 && std::strcmp(argv[1], "--quick") == 0);
  return Report("qk_norm_rope_test");
}
