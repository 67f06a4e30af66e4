// Cuts a plan into the work items of block-sparse attention, on the device.
//
// Every query segment becomes ceil(rows / rows_per_item) items; an item never crosses a segment.
// The items of a head are consecutive, so that its K and V stay in the L2 cache, and within a head
// they come in order of decreasing kept keys (to 1/256 of S), so that the longest start first.
// A dense action cuts the natural order into items of rows_per_item rows instead.
#ifndef SPARSEDIT_KERNELS_ATTENTION_SCHEDULE_H_
#define SPARSEDIT_KERNELS_ATTENTION_SCHEDULE_H_

#include "kernels/block_sparse_attention.h"

namespace sparsedit {

// Fills workspace.counters[0] (count) and workspace.items, and zeroes workspace.counters[1].
Status LaunchAttentionSchedule(const BlockSparseAttentionArgs& args, int rows_per_item,
                               const BlockSparseAttentionWorkspace& workspace, CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_ATTENTION_SCHEDULE_H_
