// The two paths behind LaunchBlockSparseAttention. Arguments were checked and the items are made.
#ifndef SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_PATHS_H_
#define SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_PATHS_H_

#include "kernels/block_sparse_attention.h"

namespace sparsedit {

Status LaunchHopperAttention(const BlockSparseAttentionArgs& args,
                             const BlockSparseAttentionWorkspace& workspace, int multiprocessors,
                             CUstream_st* stream);

Status LaunchPortableAttention(const BlockSparseAttentionArgs& args,
                               const BlockSparseAttentionWorkspace& workspace,
                               CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_BLOCK_SPARSE_ATTENTION_PATHS_H_
