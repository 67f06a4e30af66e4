// Copies K and V into key order, so that a key segment is one contiguous run of rows.
//
//   keys[b,h,p,:] = k[b,h,key_order[b,h,p],:]      p < S
//   keys[b,h,S+j,:] = means_k[b,h,j,:]             j < Nk, with means; rounded to the type of k
//   biases[b,h,p] = key_bias[b,key_order[b,h,p]]   with key_bias
//   biases[b,h,S+j] = means_bias[b,h,j]            or log |segment j|; -inf for an empty one
// and values as keys. Types: f16 and bf16; D 64 or 128. `keys` and `values` are [B,H,S(+Nk),D],
// `biases` f32 [B,H,S(+Nk)], in the workspace. Does nothing where `action` on the device says dense,
// and leaves the first S rows of a head out whose order is the natural one (workspace.heads, written
// by the schedule). One read and one write of K and V: memory-bound.
#ifndef SPARSEDIT_KERNELS_GATHER_KEYS_H_
#define SPARSEDIT_KERNELS_GATHER_KEYS_H_

#include "kernels/block_sparse_attention.h"

namespace sparsedit {

Status LaunchGatherKeys(const BlockSparseAttentionArgs& args,
                        const BlockSparseAttentionWorkspace& workspace, CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_GATHER_KEYS_H_
