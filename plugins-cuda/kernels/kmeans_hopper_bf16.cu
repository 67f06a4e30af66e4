#include "kernels/kmeans_hopper.cuh"

namespace sparsedit::kmeans {

template const void* HopperKernel<__nv_bfloat16>(int padded_dim);

}  // namespace sparsedit::kmeans
