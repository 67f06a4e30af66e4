// Softmax runs on powers of two: e^x = 2^(x log2 e), and the machine has an instruction for 2^x alone.
#ifndef SPARSEDIT_KERNELS_EXPONENTIAL_H_
#define SPARSEDIT_KERNELS_EXPONENTIAL_H_

namespace sparsedit {

constexpr float kLog2E = 1.4426950408889634f;

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_EXPONENTIAL_H_
