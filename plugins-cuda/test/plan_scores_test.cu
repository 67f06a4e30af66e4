// Scores and selection against float64 on the CPU: prefixes up to near ties in rank and mass, ties,
// minimum kept, density budgets of rows and of heads, text, actions, CUDA graph.
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

const char* NameOf(Selection selection) {
  switch (selection) {
    case Selection::kTopP: return "top-p";
    case Selection::kBudgetByMass: return "by mass";
    case Selection::kBudgetByMassPerToken: return "by mass per token";
  }
  return "";
}

struct Inputs {
  std::vector<float> query, key;
  std::vector<std::int32_t> offsets, query_offsets;  // of as many clustered tokens
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
    // Text has 1 token on the side of the queries, and clusters what is clustered on that of the keys.
    const std::int32_t* keys = &in.offsets[static_cast<std::size_t>(bh) * (segments + 1)];
    const int shift = p.text == TextPosition::kFirst ? 1 : 0;
    const int tokens = keys[p.key_clusters + shift] - keys[shift];
    std::vector<int> cuts = {0, tokens};
    for (int i = 1; i < p.query_clusters; ++i) {
      cuts.push_back(alike ? static_cast<int>(static_cast<std::int64_t>(tokens) * i / p.query_clusters)
                           : static_cast<int>(random() % (tokens + 1)));
    }
    // Some of the clusters are empty.
    for (std::size_t i = 2; !alike && i < cuts.size(); i += 7) cuts[i] = cuts[i - 1];
    std::sort(cuts.begin(), cuts.end());
    if (shift) in.query_offsets.push_back(0);
    for (const int cut : cuts) in.query_offsets.push_back(cut + shift);
    if (p.text == TextPosition::kLast) in.query_offsets.push_back(tokens + 1);
  }
  return in;
}

// Of a row, and how large a sum of absolute products is.
std::vector<double> ScoresOf(const PlanScoresProblem& p, const Inputs& in, int bh, int cluster,
                             double* largest) {
  std::vector<double> scores(p.key_clusters);
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
    *largest = std::max(*largest, size * p.scale);
  }
  return scores;
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
  const int minimum = LeastKept(p);
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
      double largest = 0;
      const std::vector<double> scores = ScoresOf(p, in, bh, cluster, &largest);
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
      if (p.selection == Selection::kBudgetByMass) {
        weight.assign(sizes.begin(), sizes.end());
        // Whole keys: the prefix that reaches the budget exceeds a half key less.
        limit = static_cast<double>(DensityBudget(p.p, static_cast<std::int64_t>(keys))) - .5;
        margin = 0;
      }
      int least = p.key_clusters, most = p.key_clusters;
      if (p.p < 1) {
        least = ExceedingPrefix(ranked.ranked, weight, limit - margin);
        most = ExceedingPrefix(ranked.ranked, weight, limit + margin);
        // Sizes around a near tie may come in another order.
        if (p.selection == Selection::kBudgetByMass) {
          least = std::max(1, least - 1), most = std::min(p.key_clusters, most + 1);
        }
        if (limit < 0) least = most = 0;
      }
      good = good && kept >= std::max(least, minimum) && kept <= std::max(most, minimum);
      tally.wrong += !good;
      tally.kept += kept;
      tally.clusters += p.key_clusters;
    }
  }
}

// The selection by mass per token of one head. `exact`: no pair is nearly as another, unless it is the
// same, so that every bit is known.
void CheckHead(const PlanScoresProblem& p, const Inputs& in, const std::vector<std::int32_t>& keep,
               int bh, bool exact, Tally& tally) {
  const int query_segments = SegmentsOf(p.query_clusters, p.text);
  const int key_segments = SegmentsOf(p.key_clusters, p.text), words = KeepWords(key_segments);
  const int shift = p.text == TextPosition::kFirst ? 1 : 0, minimum = LeastKept(p);
  const std::int32_t* all = &keep[static_cast<std::size_t>(bh) * query_segments * words];
  const auto sizes_of = [&](const std::vector<std::int32_t>& offsets, int clusters) {
    const std::int32_t* starts = &offsets[static_cast<std::size_t>(bh) * (SegmentsOf(clusters, p.text) + 1)];
    std::vector<int> sizes;
    for (int j = 0; j < clusters; ++j) sizes.push_back(starts[j + shift + 1] - starts[j + shift]);
    return sizes;
  };
  const std::vector<int> queries = sizes_of(in.query_offsets, p.query_clusters);
  const std::vector<int> keys = sizes_of(in.offsets, p.key_clusters);
  std::int64_t tokens = 0;
  for (const int size : queries) tokens += size;
  const bool everything = p.p >= 1.f || DensityBudget(p.p, tokens * tokens) > tokens * tokens;
  const std::int64_t budget = DensityBudget(p.p, tokens * tokens);

  bool good = true;
  double largest = 0;
  std::vector<RankedRow> rows;
  std::vector<std::vector<int>> places;  // of each cluster among its row's
  for (int i = 0; i < p.query_clusters; ++i) {
    rows.push_back(RankRow(ScoresOf(p, in, bh, i, &largest), keys));
    places.emplace_back(p.key_clusters);
    for (int n = 0; n < p.key_clusters; ++n) places[i][rows[i].ranked[n]] = n;
  }
  const double near = 2e-6 * (largest + 20);
  std::int64_t kept = 0;
  double lowest = INFINITY, highest = -INFINITY;
  const auto bit = [&](int i, int j) { return Keeps(all + (i + shift) * words, j + shift); };
  // Whether a cluster is among the first of its row: 1 yes, 0 no, -1 cannot be told.
  const auto anyway = [&](int i, int j) {
    const double edge = rows[i].logits[rows[i].ranked[minimum - 1]];
    const double logit = rows[i].logits[j];
    if (exact || logit == edge || std::abs(logit - edge) > near) {
      return places[i][j] < minimum ? 1 : 0;
    }
    return -1;
  };
  for (int i = 0; i < query_segments; ++i) {
    const std::int32_t* row = all + i * words;
    for (int j = key_segments; j < words * 32; ++j) good = good && !Keeps(row, j);
    const bool text_row = i < shift || i >= p.query_clusters + shift;
    for (int j = 0; j < key_segments; ++j) {
      if (text_row || j < shift || j >= p.key_clusters + shift) good = good && Keeps(row, j);
    }
  }
  std::vector<std::vector<bool>> expected;
  if (exact) expected = KeepByMassPerToken(rows, queries, keys, minimum, budget);
  bool more = false;
  for (int i = 0; i < p.query_clusters; ++i) {
    for (int j = 0; j < p.key_clusters; ++j) {
      ++tally.clusters;
      tally.kept += bit(i, j);
      if (everything) good = good && bit(i, j);
      if (exact && !everything) good = good && bit(i, j) == expected[i][j];
      const int first = anyway(i, j);
      if (first == 1) good = good && bit(i, j);
      if (bit(i, j)) kept += static_cast<std::int64_t>(queries[i]) * keys[j];
      if (first != 0) continue;
      if (bit(i, j)) {
        more = true;
        lowest = std::min(lowest, rows[i].per_token[j]);
      } else {
        highest = std::max(highest, rows[i].per_token[j]);
      }
    }
  }
  if (!everything) {
    good = good && lowest >= highest - near && kept >= std::min(budget, tokens * tokens);
    // Without one of the last, the budget is not met.
    std::int64_t last = 0;
    for (int i = 0; i < p.query_clusters; ++i) {
      for (int j = 0; j < p.key_clusters; ++j) {
        if (bit(i, j) && anyway(i, j) == 0 && rows[i].per_token[j] <= lowest + near) {
          last = std::max(last, static_cast<std::int64_t>(queries[i]) * keys[j]);
        }
      }
    }
    good = good && (!more || kept - last < budget);
  }
  tally.rows += query_segments;
  tally.wrong += !good;
}

void CheckSelection(const PlanScoresProblem& p, const Inputs& in,
                    const std::vector<std::int32_t>& keep, bool alike, Tally& tally) {
  if (p.selection != Selection::kBudgetByMassPerToken) return CheckRows(p, in, keep, tally);
  for (int bh = 0; bh < p.batch * p.heads; ++bh) CheckHead(p, in, keep, bh, alike, tally);
}

void TestCase(const PlanScoresProblem& p, float spread, bool alike) {
  const Inputs in = MakeInputs(p, spread, alike, 5);
  DeviceArray<float> query(in.query), key(in.key);
  DeviceArray<std::int32_t> offsets(in.offsets), query_offsets(in.query_offsets);
  DeviceArray<std::int32_t> action(std::vector<std::int32_t>{2});
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
  b.query_offsets = query_offsets.get();
  b.action = action.get();
  b.keep = keep.get();
  CHECK(LaunchPlanScores(p, b, workspace.get(), workspace.size(), nullptr) == Status::kOk);
  CUDA_OK(cudaDeviceSynchronize());
  const std::vector<std::int32_t> planned = keep.Get();
  Tally tally;
  CheckSelection(p, in, planned, alike, tally);
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
              NameOf(p.selection), p.p, p.min_kept, spread,
              alike ? " alike" : "", tally.rows, static_cast<double>(tally.kept) / tally.clusters,
              tally.wrong);
}

// Ten clusters alike, of 10 keys and mass .1 each.
void TestTies() {
  PlanScoresProblem p;
  p.batch = p.heads = p.query_clusters = 1;
  p.key_clusters = 10, p.head_dim = 32, p.scale = .1f, p.p = .5f, p.min_kept = 0;
  const Inputs in = MakeInputs(p, 1, true, 1);
  const std::vector<float> queries(4 * 32, .5f);
  DeviceArray<float> query(queries), key(in.key);
  DeviceArray<std::int32_t> offsets(in.offsets), action(std::vector<std::int32_t>{1}), keep(4);
  DeviceArray<std::int32_t> query_offsets(std::vector<std::int32_t>{0, 40, 50, 50, 100});
  PlanScoresBuffers b;
  b.query_centroids = query.get();
  b.key_centroids = key.get();
  b.key_offsets = offsets.get();
  b.query_offsets = query_offsets.get();
  b.action = action.get();
  b.keep = keep.get();
  const auto select = [&] {
    DeviceArray<char> workspace(PlanScoresWorkspaceSize(p));
    workspace.Poison();
    keep.Poison();
    CHECK(LaunchPlanScores(p, b, workspace.get(), workspace.size(), nullptr) == Status::kOk);
    CUDA_OK(cudaDeviceSynchronize());
    return keep.Get();
  };
  // Half is crossed by the sixth.
  CHECK(select()[0] == 0x3f);
  // Half of the keys is filled by the fifth, and what is a little more by the sixth.
  p.selection = Selection::kBudgetByMass;
  CHECK(select()[0] == 0x1f);
  p.p = .511f;
  CHECK(select()[0] == 0x3f);
  p.min_kept = .8f;
  CHECK(select()[0] == 0xff);
  p.p = .001f, p.min_kept = 0;
  CHECK(select()[0] == 1);

  // Rows of 40, 10, 0 and 50 queries: pairs by row, then by cluster. Each row's first cluster is kept
  // anyway (1000 pairs of tokens), row 0 takes 3600 more, row 1 four times 100.
  p.selection = Selection::kBudgetByMassPerToken;
  p.query_clusters = 4, p.p = .5f;
  using Rows = std::vector<std::int32_t>;
  CHECK((select() == Rows{0x3ff, 0x1f, 1, 1}));
  p.p = .5001f;
  CHECK((select() == Rows{0x3ff, 0x3f, 1, 1}));
  p.min_kept = .3f, p.p = .5f;
  CHECK((select() == Rows{0xff, 7, 7, 7}));
  p.p = .3f;
  CHECK((select() == Rows{7, 7, 7, 7}));
  p.p = 1.f;
  CHECK((select() == Rows{0x3ff, 0x3ff, 0x3ff, 0x3ff}));
  p.p = .9999f, p.min_kept = 0;
  CHECK((select() == Rows{0x3ff, 0x3ff, 0x3ff, 0x3ff}));
  p.p = .951f;  // the last cluster has 9500 before it
  CHECK((select() == Rows{0x3ff, 0x3ff, 0x3ff, 0x3ff}));
  p.p = .95f;
  CHECK((select() == Rows{0x3ff, 0x3ff, 0x3ff, 0x1ff}));
}

void TestGraph(Selection selection) {
  PlanScoresProblem p;
  p.selection = selection, p.p = .3f;
  p.batch = 1, p.heads = 3, p.query_clusters = 40, p.key_clusters = 200, p.head_dim = 64, p.scale = .125f;
  const Inputs in = MakeInputs(p, 2, false, 9);
  DeviceArray<float> query(in.query), key(in.key);
  DeviceArray<std::int32_t> offsets(in.offsets), query_offsets(in.query_offsets);
  DeviceArray<std::int32_t> action(std::vector<std::int32_t>{2});
  DeviceArray<std::int32_t> keep(static_cast<std::size_t>(3) * 40 * 7);
  DeviceArray<char> workspace(PlanScoresWorkspaceSize(p));
  PlanScoresBuffers b;
  b.query_centroids = query.get();
  b.key_centroids = key.get();
  b.key_offsets = offsets.get();
  b.query_offsets = query_offsets.get();
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
  CheckSelection(p, in, first, false, tally);
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
      p.selection = static_cast<Selection>(i % 3);
      TestCase(p, i % 4 == 3 ? 30.f : 1.f + i % 4, false);
      // The others with a budget, from hardly anything to all but everything.
      const float densities[] = {.25f, .1f, .003f, .6f, .999f, .9999995f, 1.f};
      p.p = densities[i % 7];
      p.min_kept = i % 2 == 0 ? 0.f : p.min_kept;
      p.selection = Selection::kBudgetByMassPerToken;
      TestCase(p, i % 4 == 3 ? 30.f : 1.f + i % 4, false);
      if (i % 5 == 0) TestCase(p, 1.f, true);
      p.selection = Selection::kBudgetByMass;
      if (i % 5 == 0) TestCase(p, 1.f, true);
      ++i;
    }
  }
  if (!reduced) {
    for (const Selection selection :
         {Selection::kTopP, Selection::kBudgetByMass, Selection::kBudgetByMassPerToken}) {
      TestGraph(selection);
    }
  }
  return Report("plan_scores_test");
}
