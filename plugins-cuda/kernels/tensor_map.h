// Tensor maps of activations for the copy engine (sm_90), made on the host.
#ifndef SPARSEDIT_KERNELS_TENSOR_MAP_H_
#define SPARSEDIT_KERNELS_TENSOR_MAP_H_

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "kernels/strides.h"

namespace sparsedit {

using EncodeTiled = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*,
                                 const cuuint64_t*, const cuuint64_t*, const cuuint32_t*,
                                 const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                                 CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

// The driver's cuTensorMapEncodeTiled, or null; so that nothing of the driver is linked.
inline EncodeTiled FindEncodeTiled() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                       cudaEnableDefault, &found) != cudaSuccess ||
      found != cudaDriverEntryPointSuccess) {
    cudaGetLastError();
    return nullptr;
  }
  return reinterpret_cast<EncodeTiled>(function);
}

// A map of boxes of 64 columns (128 bytes, swizzled) and `rows` tokens of f16 or bf16
// [batch, head, token, column]; what is outside reads as zero.
inline bool EncodeTokenMap(EncodeTiled encode, CUtensorMap* map, DataType type, const void* data,
                           int batch, int heads, int tokens, int head_dim, const Strides& strides,
                           int rows) {
  const cuuint64_t extents[4] = {
      static_cast<cuuint64_t>(head_dim), static_cast<cuuint64_t>(tokens),
      static_cast<cuuint64_t>(heads), static_cast<cuuint64_t>(batch)};
  const cuuint64_t bytes[3] = {static_cast<cuuint64_t>(strides.token) * 2,
                               static_cast<cuuint64_t>(strides.head) * 2,
                               static_cast<cuuint64_t>(strides.batch) * 2};
  const cuuint32_t steps[4] = {1, 1, 1, 1};
  const cuuint32_t box[4] = {64, static_cast<cuuint32_t>(rows), 1, 1};
  return encode(map,
                type == DataType::kBFloat16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                            : CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
                4, const_cast<void*>(data), extents, bytes, box, steps,
                CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_TENSOR_MAP_H_
