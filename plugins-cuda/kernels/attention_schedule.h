// Cuts a plan into the work items of block-sparse attention, on the device.
//
// Rows are dealt in groups of `group_rows` of one query segment, `groups` (1 or 3) to an item. What
// a segment leaves over, one or two groups, shares an item with another segment's rest: two groups
// with one. Where twos outnumber ones, every third of the surplus is split into ones; ones that
// remain go in pairs.
// The items of a head are consecutive, so that its K and V stay in the L2 cache, and within a head
// they come in order of decreasing kept keys (to 1/256 of S), so that the longest start first.
// A dense action cuts the natural order into items of groups * group_rows rows instead.
#ifndef SPARSEDIT_KERNELS_ATTENTION_SCHEDULE_H_
#define SPARSEDIT_KERNELS_ATTENTION_SCHEDULE_H_

#include "kernels/block_sparse_attention.h"

namespace sparsedit {

// Fills workspace.counters[0] (count) and workspace.items, and zeroes workspace.counters[1].
Status LaunchAttentionSchedule(const BlockSparseAttentionArgs& args, int group_rows,
                               int groups, const BlockSparseAttentionWorkspace& workspace,
                               CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_ATTENTION_SCHEDULE_H_
