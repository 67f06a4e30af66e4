#include "kernels/block_sparse_attention.h"

#include "kernels/attention_schedule.h"
#include "kernels/block_sparse_attention_paths.h"
#include "kernels/gather_keys.h"

namespace sparsedit {

Status LaunchBlockSparseAttention(const BlockSparseAttentionArgs& args, void* workspace,
                                  std::size_t workspace_bytes, CUstream_st* stream) {
  SPARSEDIT_RETURN_IF_ERROR(CheckBlockSparseAttention(args, workspace, workspace_bytes));
  int device = 0, major = 0, minor = 0, multiprocessors = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device) !=
          cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  SPARSEDIT_REQUIRE(major >= 8, Status::kUnsupported);

  const BlockSparseAttentionWorkspace parts = CarveBlockSparseAttentionWorkspace(
      args.shape, args.head_dim, args.type, args.means_k != nullptr, workspace);
  const bool fast = args.path == AttentionPath::kAuto && major == 9 && minor == 0 &&
                    HasFastAttention(args.type, args.head_dim);
  SPARSEDIT_RETURN_IF_ERROR(LaunchAttentionSchedule(args, fast, parts, stream));
  if (!fast) return LaunchPortableAttention(args, parts, stream);
  SPARSEDIT_RETURN_IF_ERROR(LaunchGatherKeys(args, parts, stream));
  return LaunchHopperAttention(args, parts, multiprocessors, stream);
}

}  // namespace sparsedit
