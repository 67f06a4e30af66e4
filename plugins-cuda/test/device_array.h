// Typed device memory for tests and timings.
#ifndef SPARSEDIT_TEST_DEVICE_ARRAY_H_
#define SPARSEDIT_TEST_DEVICE_ARRAY_H_

#include <cstdio>
#include <utility>
#include <vector>

#include "test/device_memory.h"

namespace sparsedit::test {

#define CUDA_OK(expression) ::sparsedit::test::CheckCuda((expression), #expression)

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

// `values` as they are after rounding to `type`.
inline std::vector<float> Rounded(DataType type, std::vector<float> values) {
  for (float& v : values) v = RoundTo(type, v);
  return values;
}

}  // namespace sparsedit::test

#endif  // SPARSEDIT_TEST_DEVICE_ARRAY_H_
