#include "kernels/kmeans_portable.cuh"

namespace sparsedit::kmeans {

template const void* PortableKernel<__nv_bfloat16>(int padded_dim);

}  // namespace sparsedit::kmeans
