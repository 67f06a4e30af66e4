#include "kernels/kmeans.h"

#include <algorithm>

#include "kernels/kmeans_device.cuh"

namespace sparsedit {
namespace kmeans {
namespace {

const void* PortableKernelFor(DataType type, int padded_dim) {
  switch (type) {
    case DataType::kFloat16: return PortableKernel<__half>(padded_dim);
    case DataType::kBFloat16: return PortableKernel<__nv_bfloat16>(padded_dim);
    case DataType::kFloat32: return PortableKernel<float>(padded_dim);
  }
  return nullptr;
}

const void* HopperKernelFor(DataType type, int padded_dim) {
  switch (type) {
    case DataType::kFloat16: return HopperKernel<__half>(padded_dim);
    case DataType::kBFloat16: return HopperKernel<__nv_bfloat16>(padded_dim);
    case DataType::kFloat32: return nullptr;
  }
  return nullptr;
}

Status CheckBuffers(const KmeansProblem& problem, const KmeansBuffers& b) {
  for (const void* pointer : {b.q, b.k, static_cast<const void*>(b.query_centroids_in),
                              static_cast<const void*>(b.key_centroids_in),
                              static_cast<const void*>(b.query_centroids),
                              static_cast<const void*>(b.key_centroids)}) {
    SPARSEDIT_REQUIRE(IsAligned(pointer, 16), Status::kInvalidArgument);
  }
  for (const void* pointer : {b.action, static_cast<const std::int32_t*>(b.plan.query_order),
                              static_cast<const std::int32_t*>(b.plan.key_order),
                              static_cast<const std::int32_t*>(b.plan.query_offsets),
                              static_cast<const std::int32_t*>(b.plan.key_offsets)}) {
    SPARSEDIT_REQUIRE(IsAligned(pointer, 4), Status::kInvalidArgument);
  }
  const bool any = b.previous.query_order || b.previous.key_order || b.previous.query_offsets ||
                   b.previous.key_offsets;
  const bool all = b.previous.query_order && b.previous.key_order && b.previous.query_offsets &&
                   b.previous.key_offsets;
  SPARSEDIT_REQUIRE(any == all, Status::kInvalidArgument);
  return Status::kOk;
}

}  // namespace
}  // namespace kmeans

std::size_t KmeansWorkspaceSize(const KmeansProblem& problem) {
  return CheckKmeans(problem) == Status::kOk ? kmeans::CarveWorkspace(problem, nullptr).bytes : 0;
}

Status LaunchKmeans(const KmeansProblem& problem, const KmeansBuffers& buffers, void* workspace,
                    std::size_t workspace_size, CUstream_st* stream, KmeansPath path) {
  using namespace kmeans;
  SPARSEDIT_RETURN_IF_ERROR(CheckKmeans(problem));
  SPARSEDIT_RETURN_IF_ERROR(CheckBuffers(problem, buffers));
  SPARSEDIT_REQUIRE(IsAligned(workspace, 16), Status::kInvalidArgument);
  const Workspace parts = CarveWorkspace(problem, workspace);
  SPARSEDIT_REQUIRE(workspace_size >= parts.bytes, Status::kWorkspaceTooSmall);

  int device = 0, major = 0, processors = 0, cooperative = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device) != cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  SPARSEDIT_REQUIRE(major >= 8 && cooperative, Status::kUnsupported);

  const int dim = PaddedDim(problem.head_dim);
  const void* hopper = major == 9 ? HopperKernelFor(problem.type, dim) : nullptr;
  SPARSEDIT_REQUIRE(path != KmeansPath::kHopper || hopper != nullptr, Status::kUnsupported);
  const bool fast = hopper != nullptr && path != KmeansPath::kPortable;
  const void* kernel = fast ? hopper : PortableKernelFor(problem.type, dim);
  const int split = PartsOf(problem.type);
  const int group_bytes = fast ? kHopperGroupBytes : kPortableGroupBytes;
  const int threads = fast ? kHopperThreads : kPortableThreads;
  Params p = {};
  int shared = 0;
  for (int i = 0; i < 2; ++i) {
    Side& s = p.side[i];
    const SideWorkspace& w = parts.side[i];
    s.image = reinterpret_cast<__half*>(w.image);
    s.norms = w.norms;
    s.scale = w.scale;
    s.largest = w.largest;
    s.labels = w.labels;
    s.best = w.best;
    s.counts = w.counts;
    s.partial = w.partial;
    s.clusters = i == 0 ? problem.query_clusters : problem.key_clusters;
    s.plan = PlanGroups(s.clusters, dim, split, group_bytes);
    shared = std::max(shared, SharedBytes(s.plan, s.clusters, dim, split, threads));
    p.stage_at = std::max(p.stage_at, AssignBytes(s.plan, dim, split));
    s.x = i == 0 ? buffers.q : buffers.k;
    s.incoming = i == 0 ? buffers.query_centroids_in : buffers.key_centroids_in;
    s.centroids = i == 0 ? buffers.query_centroids : buffers.key_centroids;
    s.previous_order = i == 0 ? buffers.previous.query_order : buffers.previous.key_order;
    s.previous_offsets = i == 0 ? buffers.previous.query_offsets : buffers.previous.key_offsets;
    s.order = i == 0 ? buffers.plan.query_order : buffers.plan.key_order;
    s.offsets = i == 0 ? buffers.plan.query_offsets : buffers.plan.key_offsets;
  }
  p.pass_at = p.stage_at + (fast ? StageBytes(dim, threads) : 0);
  static_assert(sizeof(AssignPass) <= kPassBytes);
  shared = std::max(shared, p.pass_at + kPassBytes);
  p.action = buffers.action;
  p.geometry = buffers.geometry;
  p.batch_heads = problem.batch * problem.heads;
  p.heads = problem.heads;
  p.tokens = problem.tokens;
  p.head_dim = problem.head_dim;
  const std::int64_t d = problem.head_dim, s = problem.tokens, h = problem.heads;
  const bool head_major = problem.layout == Layout::kBhsd;
  p.batch_stride = h * s * d;
  p.head_stride = head_major ? s * d : d;
  p.token_stride = head_major ? d : h * d;
  p.text = static_cast<int>(problem.text);
  p.text_tokens = problem.text_tokens;
  p.iterations = problem.iterations;
  p.init_iterations = problem.init_iterations;

  int blocks = 0;
  if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared) !=
          cudaSuccess ||
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, shared) !=
          cudaSuccess ||
      blocks == 0) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  p.sort_chunk = SortChunkFor(2 * static_cast<std::int64_t>(p.batch_heads), p.tokens,
                              processors * blocks, threads);
  p.chunks_per_tile = static_cast<float>(threads / 32 * kWarpRows) / static_cast<float>(p.sort_chunk);
  void* arguments[] = {&p};
  if (cudaLaunchCooperativeKernel(kernel, dim3(processors * blocks), dim3(threads), arguments,
                                  shared, stream) != cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  return LaunchStatus();
}

}  // namespace sparsedit
