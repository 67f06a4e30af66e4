// Segment means against float64 on the CPU, with and without a bias that weighs the keys.
#include "kernels/segment_means.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "test/check.h"
#include "test/device_array.h"

namespace sparsedit::test {
namespace {

enum class Sizes { kEven, kOneGiant, kManyEmpty };

void TestCase(const SegmentMeansProblem& p, Sizes sizes, bool ordered, bool biased) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  const std::size_t heads = static_cast<std::size_t>(p.batch) * p.heads;
  std::vector<std::vector<float>> x;
  for (int i = 0; i < p.tensors; ++i) {
    std::vector<float> values(heads * p.tokens * p.head_dim);
    for (float& v : values) v = 3.f + normal(random);
    x.push_back(Rounded(p.type, values));
  }
  // A third of the keys is masked; the rows of x that no head may see hold NaN.
  std::vector<float> bias;
  for (int b = 0; biased && b < p.batch; ++b) {
    for (int token = 0; token < p.tokens; ++token) {
      const bool masked = random() % 3 == 0;
      bias.push_back(masked ? -INFINITY : static_cast<float>(random() % 400) * 0.01f - 3.f);
      for (int h = 0; masked && h < p.heads; ++h) {
        const std::size_t row =
            p.layout == Layout::kBhsd
                ? (static_cast<std::size_t>(b) * p.heads + h) * p.tokens + token
                : (static_cast<std::size_t>(b) * p.tokens + token) * p.heads + h;
        for (int d = 0; d < p.head_dim; ++d) {
          for (std::vector<float>& values : x) values[row * p.head_dim + d] = NAN;
        }
      }
    }
  }
  std::vector<std::int32_t> order, offsets;
  for (std::size_t bh = 0; bh < heads; ++bh) {
    std::vector<std::int32_t> head(p.tokens);
    std::iota(head.begin(), head.end(), 0);
    if (ordered) std::shuffle(head.begin(), head.end(), random);
    order.insert(order.end(), head.begin(), head.end());
    std::vector<std::int32_t> cuts(p.segments - 1);
    for (std::int32_t& cut : cuts) {
      cut = sizes == Sizes::kEven      ? random() % (p.tokens + 1)
            : sizes == Sizes::kOneGiant ? random() % 3
                                        : random() % 4 * p.tokens / 4;
    }
    std::sort(cuts.begin(), cuts.end());
    offsets.push_back(0);
    for (const std::int32_t cut : cuts) offsets.push_back(std::min(cut, p.tokens));
    offsets.push_back(p.tokens);
  }
  std::vector<DeviceArray<char>> device;
  std::vector<DeviceArray<float>> means;
  SegmentMeansBuffers b;
  for (int i = 0; i < p.tensors; ++i) {
    device.emplace_back(Encode(p.type, x[i]));
    means.emplace_back(heads * p.segments * p.head_dim);
    means.back().Poison();
  }
  for (int i = 0; i < p.tensors; ++i) {
    b.x[i] = device[i].get();
    b.means[i] = means[i].get();
  }
  DeviceArray<std::int32_t> device_order(order), device_offsets(offsets), action(std::vector<std::int32_t>{1});
  b.order = ordered ? device_order.get() : nullptr;
  b.offsets = device_offsets.get();
  b.action = action.get();
  DeviceArray<float> device_bias(bias), log_sizes(heads * p.segments);
  log_sizes.Poison();
  b.key_bias = biased ? device_bias.get() : nullptr;
  b.log_sizes = log_sizes.get();
  DeviceArray<char> workspace(SegmentMeansWorkspaceSize(p));
  workspace.Poison();
  // PLAN_DENSE attends everything: no means.
  CHECK(LaunchSegmentMeans(p, b, workspace.get(), workspace.size(), nullptr) == Status::kOk);
  CUDA_OK(cudaDeviceSynchronize());
  CHECK(std::isnan(means[0].Get()[0]));
  action.Set({3});
  CHECK(LaunchSegmentMeans(p, b, workspace.get(), workspace.size(), nullptr) == Status::kOk);
  CUDA_OK(cudaDeviceSynchronize());

  const std::vector<float> logs = log_sizes.Get();
  double worst = 0;
  for (int i = 0; i < p.tensors; ++i) {
    const std::vector<float> result = means[i].Get();
    for (std::size_t bh = 0; bh < heads; ++bh) {
      for (int j = 0; j < p.segments; ++j) {
        const int begin = offsets[bh * (p.segments + 1) + j], end = offsets[bh * (p.segments + 1) + j + 1];
        std::vector<double> sum(p.head_dim);
        double size = 0;
        for (int at = begin; at < end; ++at) {
          const std::size_t token = order[bh * p.tokens + at];
          const std::size_t row = p.layout == Layout::kBhsd
                                      ? bh * p.tokens + token
                                      : (bh / p.heads * p.tokens + token) * p.heads + bh % p.heads;
          const double weight =
              biased ? std::exp(static_cast<double>(bias[bh / p.heads * p.tokens + token])) : 1;
          if (weight == 0) continue;
          size += weight;
          for (int d = 0; d < p.head_dim; ++d) sum[d] += weight * x[i][row * p.head_dim + d];
        }
        const float log_size = logs[bh * p.segments + j];
        CHECK(size > 0 ? std::abs(log_size - std::log(size)) < 1e-5 : log_size == -INFINITY);
        for (int d = 0; d < p.head_dim; ++d) {
          const double mean = size > 0 ? sum[d] / size : 0;
          const double error = std::abs(mean - result[(bh * p.segments + j) * p.head_dim + d]);
          worst = std::isnan(error) ? INFINITY : std::max(worst, error);
        }
      }
    }
  }
  CHECK(worst < 3e-5);
  std::printf("B%d H%d S%d D%d N%d x%d type %d layout %d sizes %d order %d bias %d: error %.1e\n", p.batch, p.heads,
              p.tokens, p.head_dim, p.segments, p.tensors, static_cast<int>(p.type),
              static_cast<int>(p.layout), static_cast<int>(sizes), ordered, biased, worst);
}

void TestArguments() {
  SegmentMeansProblem p{1, 1, 64, 32, 4, 1, DataType::kFloat16, Layout::kBhsd};
  SegmentMeansBuffers b;
  CHECK(LaunchSegmentMeans(p, b, nullptr, 0, nullptr) == Status::kInvalidArgument);
  alignas(1024) static float memory[256];
  b.x[0] = b.means[0] = memory;
  b.offsets = reinterpret_cast<std::int32_t*>(memory);
  CHECK(LaunchSegmentMeans(p, b, memory, 1, nullptr) == Status::kWorkspaceTooSmall);
  p.tensors = 2;
  CHECK(LaunchSegmentMeans(p, b, memory, 1, nullptr) == Status::kInvalidArgument);
}

}  // namespace
}  // namespace sparsedit::test

int main(int argc, char** argv) {
  using namespace sparsedit;
  using namespace sparsedit::test;
  TestArguments();
  if (!HasGpu()) {
    std::printf("no GPU: skipped\n");
    return Report("segment_means_test") == 0 ? kSkipped : 1;
  }
  const bool reduced = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  int i = 0;
  for (const int tokens : reduced ? std::vector<int>{1, 65, 300} : std::vector<int>{1, 7, 63, 64, 65, 128, 129, 1000, 5000}) {
    for (const Sizes sizes : {Sizes::kEven, Sizes::kOneGiant, Sizes::kManyEmpty}) {
      for (const DataType type : {DataType::kFloat16, DataType::kBFloat16, DataType::kFloat32}) {
        SegmentMeansProblem p{1 + i % 2, 2, tokens, 32 + i % 7 * 16, i % 5 == 0 ? 1 : 3 + 40 * (i % 4),
                              1 + i % 2, type, i % 3 ? Layout::kBshd : Layout::kBhsd};
        TestCase(p, sizes, i % 4 != 1, false);
        TestCase(p, sizes, i % 4 != 2, true);
        ++i;
      }
    }
  }
  return Report("segment_means_test");
}
