// What k-means keeps in its workspace, and how its two builds cut the centroids. Host code without
// CUDA; the kernels include it too.
#ifndef SPARSEDIT_KERNELS_KMEANS_WORKSPACE_H_
#define SPARSEDIT_KERNELS_KMEANS_WORKSPACE_H_

#include <initializer_list>

#include "kernels/kmeans.h"
#include "kernels/segment_slots.h"

namespace sparsedit::kmeans {

// Tokens that one block sorts: a multiple of its threads, at least kLeastSortChunk, at most
// MostSortEach for each thread.
constexpr int kLeastSortChunk = 4608;
constexpr int MostSortEach(int threads) {
  return kLeastSortChunk / threads > 13 ? kLeastSortChunk / threads : 13;
}
constexpr int kColumns = 64;      // centroids per step of the assignment
constexpr int kWarpRows = 16;     // tokens of a warp in a tile of the assignment
constexpr int kPortableThreads = 256;
// Four warpgroups of 128 registers, one accumulator each: while one takes its minimum the products of
// the others run.
constexpr int kHopperThreads = 512;

// Shared memory for centroids in tensor-core form. A head's centroids are cut into groups that fit.
constexpr int kPortableGroupBytes = 64 * 1024;
constexpr int kHopperGroupBytes = 128 * 1024;

struct GroupPlan {
  int groups;
  int columns;  // per group, a multiple of kColumns
};

constexpr int PaddedDim(int head_dim) { return head_dim <= 64 ? 64 : 128; }

// fp16 numbers to an element of a token or centroid.
constexpr int PartsOf(DataType type) { return type == DataType::kFloat32 ? 2 : 1; }

constexpr GroupPlan PlanGroups(int clusters, int padded_dim, int parts, int group_bytes) {
  const int most = group_bytes / (padded_dim * 2 * parts);
  const int groups = (clusters + most - 1) / most;
  const int columns = ((clusters + groups - 1) / groups + kColumns - 1) / kColumns * kColumns;
  return {groups, columns};
}

// Dynamic shared memory: a group's image and norms; in the sort, a total for each warp, a position for
// each cluster and a u16 counter for each warp and cluster, or in place of the counters the sorted chunk;
// in the sums, a ring for each warp.
constexpr int AssignBytes(GroupPlan plan, int padded_dim, int parts) {
  return plan.columns * (padded_dim * 2 * parts + 4);
}
constexpr int SharedBytes(GroupPlan plan, int clusters, int padded_dim, int parts, int threads) {
  const int assign = AssignBytes(plan, padded_dim, parts);
  const int counters = clusters * (threads / 32) * 2, sorted = MostSortEach(threads) * threads * 4;
  const int sort = threads / 32 * 4 + clusters * 4 + (counters > sorted ? counters : sorted);
  const int sums = threads / 32 * kSumRingBytes;
  const int most = assign > sort ? assign : sort;
  return most > sums ? most : sums;
}
// What a block may have on sm_86 and sm_89, the least of all GPUs from sm_80 on.
constexpr int kLeastSharedLimit = 99 * 1024;
// What the assignment keeps behind that: where a block's work goes on.
constexpr int kPassBytes = 128;
// The sm_90a build also stages the next 16 tokens of every warp there.
constexpr int StageBytes(int padded_dim, int threads) { return threads / 32 * 16 * padded_dim * 2; }

// The chunk with which `blocks` blocks sort `lists` lists of `tokens` soonest. Beside its tokens a chunk
// costs what some 3,000 more would.
constexpr int SortChunkFor(std::int64_t lists, int tokens, int blocks, int threads) {
  int best = 0;
  std::int64_t least = 0;
  for (int each = kLeastSortChunk / threads; each <= MostSortEach(threads); ++each) {
    const int chunk = each * threads;
    const std::int64_t chunks = lists * ((tokens + chunk - 1) / chunk);
    const std::int64_t cost = (chunks + blocks - 1) / blocks * (chunk + 3000);
    if (best == 0 || cost < least) {
      best = chunk;
      least = cost;
    }
  }
  return best;
}

// Of queries or keys.
struct SideWorkspace {
  std::uint16_t* image;  // fp16 [BH][groups][parts][columns][padded dim]
  float* norms;          // [BH][groups*columns]; +inf where there is no centroid
  float* scale;          // [BH]
  float* largest;        // [BH][groups*columns] at most: largest entries of the initial centroids
  std::int32_t* labels;  // [BH][S]
  float* best;           // [BH][S] score of the label so far
  std::int32_t* counts;  // [BH][sort chunks][C]
  float* partial;        // [BH][slots][D]
};

struct Workspace {
  SideWorkspace side[2];
  std::size_t bytes;
};

inline Workspace CarveWorkspace(const KmeansProblem& problem, void* base) {
  WorkspaceCarver carver(base);
  Workspace workspace = {};
  const std::int64_t heads = static_cast<std::int64_t>(problem.batch) * problem.heads;
  const int dim = PaddedDim(problem.head_dim), parts = PartsOf(problem.type);
  for (int i = 0; i < 2; ++i) {
    const int clusters = i == 0 ? problem.query_clusters : problem.key_clusters;
    std::int64_t columns = 0;  // room for either build
    for (const int bytes : {kPortableGroupBytes, kHopperGroupBytes}) {
      const GroupPlan plan = PlanGroups(clusters, dim, parts, bytes);
      const std::int64_t all = static_cast<std::int64_t>(plan.groups) * plan.columns;
      columns = columns > all ? columns : all;
    }
    SideWorkspace& s = workspace.side[i];
    s.image = carver.Take<std::uint16_t>(heads * columns * parts * dim);
    s.norms = carver.Take<float>(heads * columns);
    s.scale = carver.Take<float>(heads);
    s.largest = carver.Take<float>(heads * columns);
    s.labels = carver.Take<std::int32_t>(heads * problem.tokens);
    s.best = carver.Take<float>(heads * problem.tokens);
    s.counts = carver.Take<std::int32_t>(heads * CeilDiv(problem.tokens, kLeastSortChunk) * clusters);
    s.partial = carver.Take<float>(heads * SumSlots(problem.tokens, clusters) * problem.head_dim);
  }
  workspace.bytes = carver.used();
  return workspace;
}

}  // namespace sparsedit::kmeans

#endif  // SPARSEDIT_KERNELS_KMEANS_WORKSPACE_H_
