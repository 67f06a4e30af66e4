// Scores and selection against float64 on the CPU: prefixes up to near ties in rank and mass, ties,
// minimum kept, density budget, text, actions, CUDA graph.
#include "kernels/plan_scores.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "test/check.h"
#include "test/device_array.h"
#include "test/svg2_reference.h"

namespace sparsedit::test {
namespace {

struct Inputs {
  std::vector<float> query, key;
  std::vector<std::int32_t> offsets;
};

// Spread 1 gives flat rows at first, more gives peaked ones; about a tenth of the clusters are empty.
Inputs MakeInputs(const PlanScoresProblem& p, float spread, bool alike, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Inputs in;
  const int heads = p.batch * p.heads;
  in.query.resize(static_cast<std::size_t>(heads) * p.query_clusters * p.head_dim);
  in.key.resize(static_cast<std::size_t>(heads) * p.key_clusters * p.head_dim);
  for (float& v : in.query) v = alike ? .5f : spread * normal(random);
  for (float& v : in.key) v = alike ? .25f : normal(random);
  const int segments = SegmentsOf(p.key_clusters, p.text);
  for (int bh = 0; bh < heads; ++bh) {
    int at = 0;
    in.offsets.push_back(at);
    for (int j = 0; j < segments; ++j) {
      const int size = alike ? 10 : random() % 10 == 0 ? 0 : 1 + random() % 100;
      in.offsets.push_back(at += size);
    }
  }
  return in;
}

struct Tally {
  long long rows = 0, kept = 0, clusters = 0;
  int wrong = 0;
};

void CheckRows(const PlanScoresProblem& p, const Inputs& in, const std::vector<std::int32_t>& keep,
               Tally& tally) {
  const int heads = p.batch * p.heads;
  const int query_segments = SegmentsOf(p.query_clusters, p.text);
  const int key_segments = SegmentsOf(p.key_clusters, p.text), words = KeepWords(key_segments);
  const int shift = p.text == TextPosition::kFirst ? 1 : 0;
  const int minimum = MinimumKept(p.min_kept, p.key_clusters);
  for (int bh = 0; bh < heads; ++bh) {
    std::vector<int> sizes(p.key_clusters);
    double keys = 0;
    for (int j = 0; j < p.key_clusters; ++j) {
      const std::int32_t* offset = &in.offsets[bh * (key_segments + 1) + j + shift];
      sizes[j] = offset[1] - offset[0];
      keys += sizes[j];
    }
    for (int i = 0; i < query_segments; ++i) {
      const std::int32_t* row = &keep[(static_cast<std::size_t>(bh) * query_segments + i) * words];
      bool good = true;
      for (int j = key_segments; j < words * 32; ++j) good = good && !Keeps(row, j);
      for (int j = 0; j < key_segments; ++j) {
        if (j < shift || j >= p.key_clusters + shift) good = good && Keeps(row, j);
      }
      const int cluster = i - shift;
      ++tally.rows;
      if (cluster < 0 || cluster >= p.query_clusters) {
        for (int j = 0; j < key_segments; ++j) good = good && Keeps(row, j);
        tally.wrong += !good;
        continue;
      }
      std::vector<double> scores(p.key_clusters);
      double largest = 0;
      for (int j = 0; j < p.key_clusters; ++j) {
        double sum = 0, size = 0;
        for (int d = 0; d < p.head_dim; ++d) {
          const double product =
              static_cast<double>(in.query[(static_cast<std::size_t>(bh) * p.query_clusters + cluster) * p.head_dim + d]) *
              in.key[(static_cast<std::size_t>(bh) * p.key_clusters + j) * p.head_dim + d];
          sum += product;
          size += std::abs(product);
        }
        scores[j] = sum * p.scale;
        largest = std::max(largest, size * p.scale);
      }
      const RankedRow ranked = RankRow(scores, sizes);
      const double near = 1e-6 * (largest + 10);
      int kept = 0;
      double lowest = INFINITY, highest = -INFINITY;
      for (int j = 0; j < p.key_clusters; ++j) {
        if (Keeps(row, j + shift)) {
          ++kept;
          lowest = std::min(lowest, ranked.logits[j]);
        } else {
          highest = std::max(highest, ranked.logits[j]);
        }
      }
      good = good && (kept == p.key_clusters || lowest >= highest - near);
      // Ties that are exact go to the lower index.
      for (int j = 0; j + 1 < p.key_clusters; ++j) {
        if (ranked.logits[j] == ranked.logits[j + 1]) {
          good = good && Keeps(row, j + shift) >= Keeps(row, j + 1 + shift);
        }
      }
      std::vector<double> weight = ranked.mass;
      double limit = p.p, margin = 1e-5 + 2 * near;
      if (p.selection == Selection::kDensity) {
        weight.assign(sizes.begin(), sizes.end());
        // As the kernel: whole keys, of the share as f32.
        limit = std::floor(static_cast<double>(p.p) * keys);
        margin = 0;
      }
      int least = p.key_clusters, most = p.key_clusters;
      if (p.p < 1) {
        least = ExceedingPrefix(ranked.ranked, weight, limit - margin);
        most = ExceedingPrefix(ranked.ranked, weight, limit + margin);
        // Sizes around a near tie may come in another order.
        if (p.selection == Selection::kDensity) least = std::max(1, least - 1), most = std::min(p.key_clusters, most + 1);
      }
      good = good && kept >= std::max(least, minimum) && kept <= std::max(most, minimum);
      tally.wrong += !good;
      tally.kept += kept;
      tally.clusters += p.key_clusters;
    }
  }
}

void TestCase(const PlanScoresProblem& p, float spread, bool alike) {
  const Inputs in = MakeInputs(p, spread, alike, 5);
  DeviceArray<float> query(in.query), key(in.key);
  DeviceArray<std::int32_t> offsets(in.offsets), action(std::vector<std::int32_t>{2});
  const std::size_t rows = static_cast<std::size_t>(p.batch) * p.heads * SegmentsOf(p.query_clusters, p.text);
  DeviceArray<std::int32_t> keep(rows * KeepWords(SegmentsOf(p.key_clusters, p.text)));
  DeviceArray<std::int32_t> previous(keep.size());
  DeviceArray<char> workspace(PlanScoresWorkspaceSize(p));
  keep.Poison();
  workspace.Poison();
  previous.Poison(0x37);
  PlanScoresBuffers b;
  b.query_centroids = query.get();
  b.key_centroids = key.get();
  b.key_offsets = offsets.get();
  b.action = action.get();
  b.keep = keep.get();
  CHECK(LaunchPlanScores(p, b, workspace.get(), workspace.size(), nullptr) == Status::kOk);
  CUDA_OK(cudaDeviceSynchronize());
  const std::vector<std::int32_t> planned = keep.Get();
  Tally tally;
  CheckRows(p, in, planned, tally);
  CHECK(tally.wrong == 0);

  action.Set({3});
  CHECK(LaunchPlanScores(p, b, workspace.get(), workspace.size(), nullptr) == Status::kOk);
  CUDA_OK(cudaDeviceSynchronize());
  CHECK(SameBytes(keep.Get(), planned));
  b.previous_keep = previous.get();
  CHECK(LaunchPlanScores(p, b, workspace.get(), workspace.size(), nullptr) == Status::kOk);
  CUDA_OK(cudaDeviceSynchronize());
  CHECK(SameBytes(keep.Get(), previous.Get()));
  std::printf("B%d H%d C %d/%d D%d text %d %s p %.2f min %.2f spread %.1f%s: %lld rows, %.3f kept, %d wrong\n",
              p.batch, p.heads, p.query_clusters, p.key_clusters, p.head_dim, static_cast<int>(p.text),
              p.selection == Selection::kTopP ? "top-p" : "density", p.p, p.min_kept, spread,
              alike ? " alike" : "", tally.rows, static_cast<double>(tally.kept) / tally.clusters,
              tally.wrong);
}

// Ten clusters alike, mass .1 each: half is crossed by the sixth.
void TestTies() {
  PlanScoresProblem p;
  p.batch = p.heads = p.query_clusters = 1;
  p.key_clusters = 10, p.head_dim = 32, p.scale = .1f, p.p = .5f, p.min_kept = 0;
  const Inputs in = MakeInputs(p, 1, true, 1);
  DeviceArray<float> query(in.query), key(in.key);
  DeviceArray<std::int32_t> offsets(in.offsets), action(std::vector<std::int32_t>{1}), keep(1);
  DeviceArray<char> workspace(PlanScoresWorkspaceSize(p));
  PlanScoresBuffers b;
  b.query_centroids = query.get();
  b.key_centroids = key.get();
  b.key_offsets = offsets.get();
  b.action = action.get();
  b.keep = keep.get();
  CHECK(LaunchPlanScores(p, b, workspace.get(), workspace.size(), nullptr) == Status::kOk);
  CHECK(keep.Get()[0] == 0x3f);
  p.selection = Selection::kDensity;
  CHECK(LaunchPlanScores(p, b, workspace.get(), workspace.size(), nullptr) == Status::kOk);
  CHECK(keep.Get()[0] == 0x3f);
  p.min_kept = .8f;
  CHECK(LaunchPlanScores(p, b, workspace.get(), workspace.size(), nullptr) == Status::kOk);
  CHECK(keep.Get()[0] == 0xff);
}

void TestGraph() {
  PlanScoresProblem p;
  p.batch = 1, p.heads = 3, p.query_clusters = 40, p.key_clusters = 200, p.head_dim = 64, p.scale = .125f;
  const Inputs in = MakeInputs(p, 2, false, 9);
  DeviceArray<float> query(in.query), key(in.key);
  DeviceArray<std::int32_t> offsets(in.offsets), action(std::vector<std::int32_t>{2});
  DeviceArray<std::int32_t> keep(static_cast<std::size_t>(3) * 40 * 7);
  DeviceArray<char> workspace(PlanScoresWorkspaceSize(p));
  PlanScoresBuffers b;
  b.query_centroids = query.get();
  b.key_centroids = key.get();
  b.key_offsets = offsets.get();
  b.action = action.get();
  b.keep = keep.get();
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CUDA_OK(cudaStreamCreate(&stream));
  CUDA_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  CHECK(LaunchPlanScores(p, b, workspace.get(), workspace.size(), stream) == Status::kOk);
  CUDA_OK(cudaStreamEndCapture(stream, &graph));
  CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
  std::vector<std::int32_t> first;
  int different = 0;
  for (int i = 0; i < 100; ++i) {
    keep.Poison();
    workspace.Poison();
    CUDA_OK(cudaGraphLaunch(exec, stream));
    CUDA_OK(cudaStreamSynchronize(stream));
    if (i == 0) first = keep.Get();
    different += !SameBytes(first, keep.Get());
  }
  CHECK(different == 0);
  Tally tally;
  CheckRows(p, in, first, tally);
  CHECK(tally.wrong == 0);
  CUDA_OK(cudaGraphExecDestroy(exec));
  CUDA_OK(cudaGraphDestroy(graph));
  CUDA_OK(cudaStreamDestroy(stream));
}

void TestArguments() {
  PlanScoresProblem p;
  PlanScoresBuffers b;
  CHECK(LaunchPlanScores(p, b, nullptr, 0, nullptr) == Status::kInvalidArgument);
  p.batch = p.heads = p.query_clusters = p.key_clusters = 1, p.head_dim = 32;
  CHECK(LaunchPlanScores(p, b, nullptr, 0, nullptr) == Status::kInvalidArgument);
  alignas(1024) static float memory[256];
  b.query_centroids = b.key_centroids = memory;
  b.key_offsets = b.action = b.keep = reinterpret_cast<std::int32_t*>(memory);
  CHECK(LaunchPlanScores(p, b, memory, 1, nullptr) == Status::kWorkspaceTooSmall);
}

}  // namespace
}  // namespace sparsedit::test

int main(int argc, char** argv) {
  using namespace sparsedit;
  using namespace sparsedit::test;
  TestArguments();
  if (!HasGpu()) {
    std::printf("no GPU: skipped\n");
    return Report("plan_scores_test") == 0 ? kSkipped : 1;
  }
  const bool reduced = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  TestTies();
  PlanScoresProblem p;
  p.batch = 1, p.heads = 2;
  int i = 0;
  for (const int clusters : reduced ? std::vector<int>{1, 33, 257, 1025}
                                    : std::vector<int>{1, 7, 31, 32, 33, 64, 255, 256, 257, 1000, 1023,
                                                       1024, 1025, 2047, 2100, kMaxClusters}) {
    for (const TextPosition text : {TextPosition::kNone, TextPosition::kFirst, TextPosition::kLast}) {
      const float ps[] = {.9f, .5f, 0.f, .99f, 1.f};
      const float mins[] = {.1f, 0.f, .5f, 1.f};
      p.batch = 1 + i % 2;
      p.query_clusters = reduced ? 3 : 1 + 13 * (i % 6);
      p.key_clusters = clusters;
      p.head_dim = 32 + i % 7 * 16;
      p.text = text;
      p.scale = 1.f / std::sqrt(static_cast<float>(p.head_dim));
      p.p = ps[i % 5];
      p.min_kept = mins[i % 4];
      p.selection = i % 3 == 2 ? Selection::kDensity : Selection::kTopP;
      TestCase(p, i % 4 == 3 ? 30.f : 1.f + i % 4, false);
      if (i % 5 == 0) TestCase(p, 1.f, true);
      ++i;
    }
  }
  if (!reduced) TestGraph();
  return Report("plan_scores_test");
}
