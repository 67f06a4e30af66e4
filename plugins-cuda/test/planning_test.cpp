// Host tests of planning: argument checks, workspace sizes, and the reference on cases that can be
// worked out by hand.
#include <algorithm>

#include "kernels/kmeans_workspace.h"
#include "kernels/plan_scores.h"
#include "kernels/segment_means.h"
#include "test/check.h"
#include "test/svg2_reference.h"

namespace sparsedit::test {
namespace {

KmeansProblem SomeKmeans() {
  KmeansProblem p;
  p.batch = 1;
  p.heads = 2;
  p.tokens = 1000;
  p.head_dim = 64;
  p.query_clusters = 10;
  p.key_clusters = 20;
  return p;
}

template <typename Change>
Status CheckedWith(Change change) {
  KmeansProblem p = SomeKmeans();
  change(p);
  return CheckKmeans(p);
}

void TestKmeansArguments() {
  CHECK(CheckKmeans(SomeKmeans()) == Status::kOk);
  CHECK(CheckKmeans(KmeansProblem()) == Status::kInvalidArgument);
  CHECK(CheckedWith([](auto& p) { p.tokens = 0; }) == Status::kInvalidArgument);
  CHECK(CheckedWith([](auto& p) { p.iterations = 0; }) == Status::kInvalidArgument);
  CHECK(CheckedWith([](auto& p) { p.text_tokens = 5; }) == Status::kInvalidArgument);
  CHECK(CheckedWith([](auto& p) { p.head_dim = 40; }) == Status::kUnsupported);
  CHECK(CheckedWith([](auto& p) { p.head_dim = 144; }) == Status::kUnsupported);
  CHECK(CheckedWith([](auto& p) { p.key_clusters = kMaxClusters + 1; }) == Status::kUnsupported);
  CHECK(CheckedWith([](auto& p) { p.heads = 70000; }) == Status::kUnsupported);
  for (int dim = 32; dim <= 128; dim += 16) {
    CHECK(CheckedWith([&](auto& p) { p.head_dim = dim; }) == Status::kOk);
  }
  CHECK(CheckedWith([](auto& p) { p.text = TextPosition::kLast, p.text_tokens = 1000; }) ==
        Status::kOk);
  CHECK(CheckedWith([](auto& p) { p.text = TextPosition::kLast, p.text_tokens = 1001; }) ==
        Status::kInvalidArgument);
}

void TestSortChunks() {
  using kmeans::SortChunkFor;
  // Twelve heads of Wan 1.3B: five chunks of each list keep 132 blocks busy once, not twice.
  CHECK(SortChunkFor(24, 32760, 132, kmeans::kHopperThreads) == 6656);
  for (const int threads : {kmeans::kPortableThreads, kmeans::kHopperThreads}) {
    for (const int lists : {2, 24, 80, 131070}) {
      for (const int tokens : {1, 4608, 4609, 75600, 1 << 24}) {
        for (const int blocks : {1, 132, 264}) {
          const int chunk = SortChunkFor(lists, tokens, blocks, threads);
          CHECK(chunk % threads == 0 && chunk >= kmeans::kLeastSortChunk &&
                chunk <= threads * kmeans::MostSortEach(threads) && chunk < 1 << 16);
        }
      }
    }
  }
}

void TestGroups() {
  using kmeans::PlanGroups;
  // 1,000 centroids of 128 fp16: 512 to 128 KiB.
  CHECK(PlanGroups(1000, 128, 1, kmeans::kHopperGroupBytes).groups == 2);
  CHECK(PlanGroups(1000, 128, 1, kmeans::kHopperGroupBytes).columns == 512);
  CHECK(PlanGroups(300, 128, 1, kmeans::kHopperGroupBytes).columns == 320);
  CHECK(PlanGroups(1, 128, 1, kmeans::kHopperGroupBytes).columns == kmeans::kColumns);
  for (int clusters = 1; clusters <= kMaxClusters; ++clusters) {
    for (const int dim : {64, 128}) {
      for (const int parts : {1, 2}) {
        for (const int bytes : {kmeans::kPortableGroupBytes, kmeans::kHopperGroupBytes}) {
          const kmeans::GroupPlan plan = PlanGroups(clusters, dim, parts, bytes);
          if (plan.groups * plan.columns < clusters || plan.columns * dim * 2 * parts > bytes ||
              plan.columns % kmeans::kColumns != 0) {
            CHECK(false);
            return;
          }
        }
        // The portable build runs on every GPU: on sm_86 a block has less than two thirds of sm_80's.
        const kmeans::GroupPlan plan =
            PlanGroups(clusters, dim, parts, kmeans::kPortableGroupBytes);
        const int sort = kmeans::SharedBytes(plan, clusters, dim, parts, kmeans::kPortableThreads);
        const int assign = kmeans::AssignBytes(plan, dim, parts) + kmeans::kPassBytes;
        if (std::max(sort, assign) > kmeans::kLeastSharedLimit) {
          CHECK(false);
          return;
        }
      }
    }
  }
}

void TestWorkspaces() {
  const KmeansProblem p = SomeKmeans();
  const std::size_t bytes = kmeans::CarveWorkspace(p, nullptr).bytes;
  CHECK(bytes > 0 && bytes % kWorkspaceAlignment == 0);
  KmeansProblem more = p;
  more.tokens *= 2;
  CHECK(kmeans::CarveWorkspace(more, nullptr).bytes > bytes);
  // Wan 14B at 720p: what a model pays a plan for.
  KmeansProblem wan = p;
  wan.heads = 40, wan.tokens = 75600, wan.head_dim = 128, wan.query_clusters = 300,
  wan.key_clusters = 1000;
  CHECK(kmeans::CarveWorkspace(wan, nullptr).bytes < (128u << 20));

  SegmentMeansProblem means;
  CHECK(CheckSegmentMeans(means) == Status::kInvalidArgument && SegmentMeansWorkspaceSize(means) == 0);
  means = {1, 2, 100, 64, 7, 2, DataType::kFloat16, Layout::kBhsd};
  CHECK(CheckSegmentMeans(means) == Status::kOk);
  CHECK(SegmentMeansWorkspaceSize(means) ==
        RoundUpTo(sizeof(float) * 2 * (2 * 64 + 1) * (1 + 7), kWorkspaceAlignment));
  means.head_dim = 24;
  CHECK(CheckSegmentMeans(means) == Status::kUnsupported);
  means.head_dim = 64, means.tensors = 3;
  CHECK(CheckSegmentMeans(means) == Status::kInvalidArgument);

  PlanScoresProblem scores;
  CHECK(CheckPlanScores(scores) == Status::kInvalidArgument && PlanScoresWorkspaceSize(scores) == 0);
  scores.batch = scores.heads = 1, scores.query_clusters = 3, scores.key_clusters = 5;
  scores.head_dim = 64, scores.scale = .125f;
  CHECK(CheckPlanScores(scores) == Status::kOk);
  CHECK(PlanScoresWorkspaceSize(scores) == 2 * kWorkspaceAlignment);
  scores.min_kept = 1.5f;
  CHECK(CheckPlanScores(scores) == Status::kInvalidArgument);
  scores.min_kept = .1f, scores.p = NAN;
  CHECK(CheckPlanScores(scores) == Status::kInvalidArgument);
  scores.p = .9f, scores.selection = static_cast<Selection>(3);
  CHECK(CheckPlanScores(scores) == Status::kInvalidArgument);
  // One planner's workspace serves k-means and the selection after it.
  scores = {1, 40, 300, 1000, 128, TextPosition::kNone, .1f, Selection::kBudgetByMassPerToken};
  CHECK(PlanScoresWorkspaceSize(scores) > 2 * sizeof(float) * 40 * 300 * 1000);
  CHECK(PlanScoresWorkspaceSize(scores) < kmeans::CarveWorkspace(wan, nullptr).bytes);
  scores.key_clusters = kMaxClusters + 1;
  CHECK(CheckPlanScores(scores) == Status::kUnsupported);
}

void TestMinimumKept() {
  CHECK(MinimumKept(.1f, 1000) == 100 && MinimumKept(.1f, 9) == 0 && MinimumKept(1.f, 7) == 7);
  CHECK(MinimumKept(.3f, 10) == 3 && MinimumKept(.29f, 10) == 2 && MinimumKept(0.f, 4096) == 0);
  CHECK(MinimumKept(1.f, 4096) == 4096 && MinimumKept(.29f, 100) == 29);
  PlanScoresProblem p;
  p.key_clusters = 9;
  CHECK(LeastKept(p) == 0);
  p.selection = Selection::kBudgetByMass;
  CHECK(LeastKept(p) == 1);
  p.min_kept = .5f;
  CHECK(LeastKept(p) == 4);
}

void TestDensityBudget() {
  // A decimal fraction is not a little short of what it says.
  CHECK(DensityBudget(.25f, 1000) == 250 && DensityBudget(.29f, 100) == 29);
  CHECK(DensityBudget(.1f, 75600ll * 75600) == 571541723 && DensityBudget(0.f, 100) == 0);
}

// Tokens 0 1 2 10 11 12 on a line, clusters from tokens floor(.5*3) = 1 and floor(1.5*3) = 4.
void TestKmeansReference() {
  Matrix tokens(6, 1);
  tokens.values = {0, 1, 2, 10, 11, 12};
  const Matrix initial = InitialCentroids(tokens, 2);
  CHECK(initial[0][0] == 1 && initial[1][0] == 11);
  const Clustering c = Kmeans(tokens, initial, 2);
  CHECK((c.labels == std::vector<int>{0, 0, 0, 1, 1, 1}));
  CHECK(c.centroids[0][0] == 1 && c.centroids[1][0] == 11);

  // A tie goes to the lower cluster; a cluster without tokens keeps its centroid.
  Matrix centroids(3, 1);
  centroids.values = {4, 6, 100};
  tokens.values = {5, 4, 6, 5, 5, 5};
  const Clustering tied = Kmeans(tokens, centroids, 1);
  CHECK((tied.labels == std::vector<int>{0, 0, 1, 0, 0, 0}));
  CHECK(tied.centroids[0][0] == 4.8 && tied.centroids[1][0] == 6 && tied.centroids[2][0] == 100);

  // More clusters than tokens: tokens 0 0 1 1 for four clusters of two.
  Matrix two(2, 1);
  two.values = {3, 7};
  const Matrix many = InitialCentroids(two, 4);
  CHECK(many[0][0] == 3 && many[1][0] == 3 && many[2][0] == 7 && many[3][0] == 7);
  CHECK((Assign(two, many) == std::vector<int>{0, 2}));
}

void TestOrderReference() {
  const TokenOrder o = OrderByLabel({2, 0, 2, 0, 3}, 5);
  CHECK((o.order == std::vector<int>{1, 3, 0, 2, 4}));
  CHECK((o.offsets == std::vector<int>{0, 2, 2, 4, 5, 5}));
}

void TestSelectionReference() {
  // Sizes 1 3 0 4 at equal scores: masses 1/8 3/8 0 1/2.
  const RankedRow row = RankRow({2, 2, 2, 2}, {1, 3, 0, 4});
  CHECK((row.ranked == std::vector<int>{3, 1, 0, 2}));
  CHECK(std::abs(row.mass[3] - .5) < 1e-15 && row.mass[2] == 0);
  CHECK(ExceedingPrefix(row.ranked, row.mass, .4) == 1);
  CHECK(ExceedingPrefix(row.ranked, row.mass, .6) == 2);
  CHECK(ExceedingPrefix(row.ranked, row.mass, 2.) == 4);

  // Two rows alike, of 1 and 3 queries: masses per token are all 1/8, so pairs come by row, then by
  // mass; those without keys last. Their weights: 4 3 1, 12 9 3, then none.
  using Keep = std::vector<std::vector<bool>>;
  const std::vector<RankedRow> rows = {row, row};
  const std::vector<int> queries = {1, 3}, keys = {1, 3, 0, 4};
  CHECK((KeepByMassPerToken(rows, queries, keys, 0, 7) ==
         Keep{{false, true, false, true}, {false, false, false, false}}));
  CHECK((KeepByMassPerToken(rows, queries, keys, 0, 8) ==
         Keep{{true, true, false, true}, {false, false, false, false}}));
  CHECK((KeepByMassPerToken(rows, queries, keys, 0, 9) ==
         Keep{{true, true, false, true}, {false, false, false, true}}));
  // Of each row the first come first: 4 12, then 3 1, 9 3.
  CHECK((KeepByMassPerToken(rows, queries, keys, 1, 17) ==
         Keep{{false, true, false, true}, {false, false, false, true}}));
  CHECK((KeepByMassPerToken(rows, queries, keys, 1, 0) ==
         Keep{{false, false, false, true}, {false, false, false, true}}));
}

}  // namespace
}  // namespace sparsedit::test

int main() {
  using namespace sparsedit::test;
  TestKmeansArguments();
  TestSortChunks();
  TestGroups();
  TestWorkspaces();
  TestMinimumKept();
  TestDensityBudget();
  TestKmeansReference();
  TestOrderReference();
  TestSelectionReference();
  return Report("planning_test");
}
