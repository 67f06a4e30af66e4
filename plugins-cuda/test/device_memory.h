// Device buffers for tests and benchmarks, and conversion of tensors between host and device types.
#ifndef SPARSEDIT_TEST_DEVICE_MEMORY_H_
#define SPARSEDIT_TEST_DEVICE_MEMORY_H_

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/plan.h"

namespace sparsedit::test {

inline void CheckCuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

// Device memory that frees itself; null when empty.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(std::size_t bytes) : bytes_(bytes) {
    if (bytes > 0) CheckCuda(cudaMalloc(&data_, bytes), "cudaMalloc");
  }
  template <typename T>
  explicit DeviceBuffer(const std::vector<T>& host) : DeviceBuffer(host.size() * sizeof(T)) {
    if (bytes_ > 0) {
      CheckCuda(cudaMemcpy(data_, host.data(), bytes_, cudaMemcpyHostToDevice), "cudaMemcpy");
    }
  }
  ~DeviceBuffer() { cudaFree(data_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  void* data() const { return data_; }
  template <typename T>
  T* As() const {
    return static_cast<T*>(data_);
  }
  std::size_t bytes() const { return bytes_; }
  void Fill(int byte) { CheckCuda(cudaMemset(data_, byte, bytes_), "cudaMemset"); }
  std::vector<char> Read() const {
    std::vector<char> host(bytes_);
    CheckCuda(cudaMemcpy(host.data(), data_, bytes_, cudaMemcpyDeviceToHost), "cudaMemcpy");
    return host;
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
};

inline float RoundTo(DataType type, float x) {
  if (type == DataType::kFloat16) return __half2float(__float2half_rn(x));
  if (type == DataType::kBFloat16) return __bfloat162float(__float2bfloat16_rn(x));
  return x;
}

inline std::vector<char> Encode(DataType type, const std::vector<float>& values) {
  std::vector<char> bytes(values.size() * SizeOf(type));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (type == DataType::kFloat32) {
      std::memcpy(&bytes[i * 4], &values[i], 4);
    } else if (type == DataType::kFloat16) {
      const __half x = __float2half_rn(values[i]);
      std::memcpy(&bytes[i * 2], &x, 2);
    } else {
      const __nv_bfloat16 x = __float2bfloat16_rn(values[i]);
      std::memcpy(&bytes[i * 2], &x, 2);
    }
  }
  return bytes;
}

inline std::vector<float> Decode(DataType type, const std::vector<char>& bytes) {
  std::vector<float> values(bytes.size() / SizeOf(type));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (type == DataType::kFloat32) {
      std::memcpy(&values[i], &bytes[i * 4], 4);
    } else if (type == DataType::kFloat16) {
      __half x;
      std::memcpy(&x, &bytes[i * 2], 2);
      values[i] = __half2float(x);
    } else {
      __nv_bfloat16 x;
      std::memcpy(&x, &bytes[i * 2], 2);
      values[i] = __bfloat162float(x);
    }
  }
  return values;
}

}  // namespace sparsedit::test

#endif  // SPARSEDIT_TEST_DEVICE_MEMORY_H_
