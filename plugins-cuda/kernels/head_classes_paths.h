// The two paths behind LaunchHeadClasses, and how they share the work among thread blocks.
//
// A unit is a head and a group of sampled rows; its keys are cut into tiles. The tiles of all units
// are one sequence, of which each of W workers (thread blocks) takes an equal run. A worker leaves
// a partial result of every unit that its run meets, in slot worker + unit: along the sequence one
// of the two grows from one partial result to the next, so that slots are distinct.
#ifndef SPARSEDIT_KERNELS_HEAD_CLASSES_PATHS_H_
#define SPARSEDIT_KERNELS_HEAD_CLASSES_PATHS_H_

#include <vector_types.h>

#include <cstdint>

#include "kernels/head_classes.h"
#include "kernels/strides.h"

namespace sparsedit {

constexpr int kProfileOutputs = 3;  // O, then Oc spatial and temporal
constexpr int kFastProfileRows = 64;
constexpr int kPortableProfileRows = 32;
constexpr int kMostFastWorkers = 160;  // no Hopper GPU has as many multiprocessors
constexpr int kMostPortableWorkers = 512;

// Whether type and head dim have a fast path (on a device that has one).
constexpr bool HasFastProfile(DataType type, int head_dim) {
  return type != DataType::kFloat32 && (head_dim == 64 || head_dim == 128);
}

struct ProfileParams {
  const void* q;
  const void* k;
  const void* v;
  const std::int32_t* geometry;
  const float* key_bias;
  const std::int32_t* action;
  // Partial results. Softmax is in powers of two: an output is the sum over keys of
  // 2^(score - maximum) value, with `sum` the sum of these powers.
  float* outputs;  // [slots][kProfileOutputs][rows][D]
  float2* sums;    // [slots][kProfileOutputs][rows]: maximum, sum
  Strides strides;
  float scale_log2;  // scale * log2(e)
  float profile_frames;
  int heads, tokens, head_dim, sampled_rows, block_size;
  TextPosition text;
  FrameSink sink;
  int rows;        // of a unit
  int row_groups;  // units of a head
  int tiles;       // of a unit
  std::int64_t all_tiles;
  int workers;
};

// First tile of a worker; that of worker W is the end.
SPARSEDIT_HOST_DEVICE inline std::int64_t FirstTile(const ProfileParams& p, int worker) {
  return p.all_tiles * worker / p.workers;
}
// The worker that takes a tile.
SPARSEDIT_HOST_DEVICE inline int WorkerOf(const ProfileParams& p, std::int64_t tile) {
  return static_cast<int>(((tile + 1) * p.workers - 1) / p.all_tiles);
}

// Arguments were checked; `p` is complete but for row_groups, tiles, all_tiles and workers, which
// these set.
Status LaunchHopperProfile(ProfileParams& p, const HeadClassesProblem& problem,
                           int multiprocessors, CUstream_st* stream);
Status LaunchPortableProfile(ProfileParams& p, const HeadClassesProblem& problem,
                             int multiprocessors, CUstream_st* stream);

// Sets what follows from the rows of a unit, the keys of a tile and the number of workers.
inline void ShareTiles(ProfileParams& p, int batch_heads, int rows, int keys, int workers) {
  p.rows = rows;
  p.row_groups = (p.sampled_rows + rows - 1) / rows;
  p.tiles = (p.tokens + keys - 1) / keys;
  p.all_tiles = static_cast<std::int64_t>(batch_heads) * p.row_groups * p.tiles;
  p.workers = p.all_tiles < workers ? static_cast<int>(p.all_tiles) : workers;
}

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_HEAD_CLASSES_PATHS_H_
