#include "kernels/kmeans_portable.cuh"

namespace sparsedit::kmeans {

template const void* PortableKernel<float>(int padded_dim);

}  // namespace sparsedit::kmeans
