// Shared memory by its own addresses (sm_80 and later): loads, and copies to it from global memory that
// the thread does not wait for.
#ifndef SPARSEDIT_KERNELS_SHARED_MEMORY_H_
#define SPARSEDIT_KERNELS_SHARED_MEMORY_H_

#include <cstdint>

namespace sparsedit {

__device__ __forceinline__ std::uint32_t SharedAddress(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// 16 bytes, as copies are.
__device__ __forceinline__ uint4 LoadShared(std::uint32_t from) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(from)
               : "memory");
  return v;
}

// A thread's copies form groups, which end at CommitCopies.
__device__ __forceinline__ void CopyAsync(std::uint32_t to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
// Without `copy`, writes zeros and does not read.
__device__ __forceinline__ void CopyAsyncOrZero(std::uint32_t to, const void* from, bool copy) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(copy ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void CommitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until all but kPending of this thread's groups are there; with 0 for copies outside groups too.
template <int kPending>
__device__ __forceinline__ void WaitCopies() {
  if constexpr (kPending == 0) {
    asm volatile("cp.async.wait_all;" ::: "memory");
  } else {
    asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
  }
}

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_SHARED_MEMORY_H_
