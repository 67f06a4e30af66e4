// Device memory for tests and timings, and the errors that a test does not expect.
#ifndef SPARSEDIT_TEST_DEVICE_ARRAY_H_
#define SPARSEDIT_TEST_DEVICE_ARRAY_H_

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/plan.h"

namespace sparsedit::test {

#define CUDA_OK(expression)                                                              \
  do {                                                                                   \
    const cudaError_t cuda_ok_ = (expression);                                           \
    if (cuda_ok_ != cudaSuccess) {                                                       \
      std::printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #expression,                    \
                  cudaGetErrorString(cuda_ok_));                                         \
      std::exit(1);                                                                      \
    }                                                                                    \
  } while (false)

inline bool HasGpu() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return false;
  }
  return count > 0;
}

template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(std::size_t count) : count_(count) {
    CUDA_OK(cudaMalloc(&data_, (count > 0 ? count : 1) * sizeof(T)));
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { Set(values); }
  DeviceArray(DeviceArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~DeviceArray() { cudaFree(data_); }

  T* get() const { return data_; }
  std::size_t size() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(T); }

  void Set(const std::vector<T>& values) {
    CUDA_OK(cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  // Fills every byte: 0xff is NaN in every float type and -1 in integers.
  void Poison(int byte = 0xff) { CUDA_OK(cudaMemset(data_, byte, bytes())); }
  std::vector<T> Get() const {
    std::vector<T> values(count_);
    CUDA_OK(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

template <typename T>
bool SameBytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Tokens of `type` from floats, and the values that the rounding leaves.
struct TypedTokens {
  std::vector<unsigned char> bytes;
  std::vector<float> values;
};

inline TypedTokens RoundTo(DataType type, const std::vector<float>& source) {
  TypedTokens t;
  t.values.resize(source.size());
  t.bytes.resize(source.size() * SizeOf(type));
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (type == DataType::kFloat32) {
      t.values[i] = source[i];
      std::memcpy(&t.bytes[i * 4], &source[i], 4);
    } else if (type == DataType::kFloat16) {
      const __half h = __float2half_rn(source[i]);
      t.values[i] = __half2float(h);
      std::memcpy(&t.bytes[i * 2], &h, 2);
    } else {
      const __nv_bfloat16 h = __float2bfloat16_rn(source[i]);
      t.values[i] = __bfloat162float(h);
      std::memcpy(&t.bytes[i * 2], &h, 2);
    }
  }
  return t;
}

}  // namespace sparsedit::test

#endif  // SPARSEDIT_TEST_DEVICE_ARRAY_H_
