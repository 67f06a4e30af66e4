// Cuts a plan into the work items of block-sparse attention, on the device.
//
// On the portable path an item is 32 rows of one query segment. On the fast path rows are dealt in
// groups of 64 of one query segment, three groups to an item. What a segment leaves over, one or two
// groups, shares an item with another segment's rest: two groups with one. Where twos outnumber ones,
// every third of the surplus is split into ones; ones that remain go in pairs.
//
// Heads whose query segments mostly are of one or two groups, and whose key segments fill tiles of 64
// keys, as blocks do (AdaSpa, SVG), are dealt otherwise: three neighbouring groups, whatever their
// segments, are an item, whose keys come as one stream, the union (AttentionKind::kShortRuns, or
// kLongRuns where kept neighbours make long runs, as in bands).
//
// The items of a head are consecutive, so that its K and V stay in the L2 cache, and within a head
// they come in order of decreasing kept keys (to 1/256 of S), so that the longest start first.
// A dense action cuts the natural order into full items instead.
//
// On the fast path every item says between which positions the keys with a bias lie, so that for all
// others no bias is looked up: the few masked keys of text, as a rule.
#ifndef SPARSEDIT_KERNELS_ATTENTION_SCHEDULE_H_
#define SPARSEDIT_KERNELS_ATTENTION_SCHEDULE_H_

#include "kernels/block_sparse_attention.h"

namespace sparsedit {

// Fills workspace.queues, workspace.heads and workspace.items.
Status LaunchAttentionSchedule(const BlockSparseAttentionArgs& args, bool fast,
                               const BlockSparseAttentionWorkspace& workspace,
                               CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_ATTENTION_SCHEDULE_H_
