#include "kernels/kmeans_hopper.cuh"

namespace sparsedit::kmeans {

template const void* HopperKernel<__half>(int padded_dim);

}  // namespace sparsedit::kmeans
