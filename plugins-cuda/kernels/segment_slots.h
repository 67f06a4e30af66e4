// How sums over segments are cut. Positions fall into chunks of kSumChunk; every segment that a chunk
// meets has a partial sum. Chunk i and segment j share slot i + j: along the positions one of the
// two grows at every step, so that slots are distinct, and chunks + segments of them suffice however
// the sizes are spread.
#ifndef SPARSEDIT_KERNELS_SEGMENT_SLOTS_H_
#define SPARSEDIT_KERNELS_SEGMENT_SLOTS_H_

#include "kernels/plan.h"

namespace sparsedit {

constexpr int kSumChunk = 128;

// A warp's rows on their way: a ring of kSumStages parts in shared memory.
constexpr int kSumStages = 4, kSumStageBytes = 2048;
constexpr int kSumRingBytes = kSumStages * kSumStageBytes;

SPARSEDIT_HOST_DEVICE constexpr int SumChunks(int length) {
  return (length + kSumChunk - 1) / kSumChunk;
}
SPARSEDIT_HOST_DEVICE constexpr std::int64_t SumSlots(int length, int segments) {
  return static_cast<std::int64_t>(SumChunks(length)) + segments;
}

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_SEGMENT_SLOTS_H_
