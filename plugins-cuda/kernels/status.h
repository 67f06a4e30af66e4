// What a launch wrapper returns, and the checks that every wrapper makes of its arguments.
//
// A wrapper never allocates, never synchronises and never throws: it checks, enqueues on the given
// stream and returns. Anything but kOk means that nothing, or not everything, was enqueued.
// Usable from host code without CUDA.
#ifndef SPARSEDIT_KERNELS_STATUS_H_
#define SPARSEDIT_KERNELS_STATUS_H_

#include <cstddef>
#include <cstdint>

namespace sparsedit {

enum class Status : int {
  kOk = 0,
  kInvalidArgument = 1,     // a null pointer, a negative or zero extent, a misaligned buffer
  kUnsupported = 2,         // a head dim, type, extent or device that no kernel covers
  kWorkspaceTooSmall = 3,   // fewer bytes than the workspace function asks for
  kLaunchFailed = 4,        // CUDA refused the launch; cudaGetLastError was consumed
};

inline const char* StatusName(Status status) {
  switch (status) {
    case Status::kOk: return "ok";
    case Status::kInvalidArgument: return "invalid argument";
    case Status::kUnsupported: return "unsupported";
    case Status::kWorkspaceTooSmall: return "workspace too small";
    case Status::kLaunchFailed: return "launch failed";
  }
  return "unknown status";
}

// Leaves the enclosing function with the status of `expression` unless that is kOk.
#define SPARSEDIT_RETURN_IF_ERROR(expression)                                    \
  do {                                                                           \
    const ::sparsedit::Status sparsedit_status_ = (expression);                  \
    if (sparsedit_status_ != ::sparsedit::Status::kOk) return sparsedit_status_; \
  } while (false)

// Leaves the enclosing function with `status` unless `condition` holds.
#define SPARSEDIT_REQUIRE(condition, status) \
  do {                                       \
    if (!(condition)) return (status);       \
  } while (false)

// True if `pointer` is not null and a multiple of `alignment` bytes.
inline bool IsAligned(const void* pointer, std::size_t alignment) {
  return pointer != nullptr && reinterpret_cast<std::uintptr_t>(pointer) % alignment == 0;
}

// A workspace is carved into parts that each start on this boundary (TMA wants 128, wgmma 1024).
constexpr std::size_t kWorkspaceAlignment = 1024;

constexpr std::size_t RoundUpTo(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

constexpr std::int64_t CeilDiv(std::int64_t value, std::int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

// Carves a workspace into aligned parts. With a null base it only measures, so that the same code
// serves the size function and the launch.
class WorkspaceCarver {
 public:
  explicit WorkspaceCarver(void* base) : base_(static_cast<char*>(base)) {}

  template <typename T>
  T* Take(std::int64_t count) {
    T* part = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ += RoundUpTo(static_cast<std::size_t>(count) * sizeof(T), kWorkspaceAlignment);
    return part;
  }

  std::size_t used() const { return used_; }

 private:
  char* base_;
  std::size_t used_ = 0;
};

}  // namespace sparsedit

#ifdef __CUDACC__
#include <cuda_runtime_api.h>
namespace sparsedit {
// To be returned after the last launch of a wrapper.
inline Status LaunchStatus() {
  return cudaGetLastError() == cudaSuccess ? Status::kOk : Status::kLaunchFailed;
}
}  // namespace sparsedit
#endif

#endif  // SPARSEDIT_KERNELS_STATUS_H_
