#include "kernels/head_classes.h"

#include <algorithm>

#include "kernels/exponential.h"
#include "kernels/head_classes_paths.h"

namespace sparsedit {
namespace {

constexpr int kJoinThreads = 512;
constexpr int kLaneValues = 4;  // elements of an output that a lane holds: 32 apart, D at most 128

// Joins the partial results of the rows of a head and takes the class from their errors.
__global__ void __launch_bounds__(kJoinThreads)
    JoinProfiles(const __grid_constant__ ProfileParams p, const std::int32_t* last_classes,
                 std::int32_t* classes, float* all_errors) {
  const int bh = blockIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (!ActionPlans(*p.action)) {
    if (threadIdx.x == 0) {
      classes[bh] = last_classes == nullptr ? kNoHeadClass : last_classes[bh] == 1 ? 1 : 0;
    }
    return;
  }
  // Sums of squares: of both differences, and of O.
  float sums[3] = {0.0f, 0.0f, 0.0f};
  for (int row = warp; row < p.sampled_rows; row += kJoinThreads / 32) {
    const int unit = bh * p.row_groups + row / p.rows;
    const std::int64_t first_tile = static_cast<std::int64_t>(unit) * p.tiles;
    const int first = WorkerOf(p, first_tile), last = WorkerOf(p, first_tile + p.tiles - 1);
    float outputs[kProfileOutputs][kLaneValues];
    for (int m = 0; m < kProfileOutputs; ++m) {
      const auto at = [&](int worker) {
        return (static_cast<std::int64_t>(worker + unit) * kProfileOutputs + m) * p.rows +
               row % p.rows;
      };
      float maximum = -INFINITY;
      for (int worker = first; worker <= last; ++worker) {
        maximum = fmaxf(maximum, p.sums[at(worker)].x);
      }
      float sum = 0.0f;
#pragma unroll
      for (int i = 0; i < kLaneValues; ++i) outputs[m][i] = 0.0f;
      for (int worker = first; worker <= last; ++worker) {
        const float2 part = p.sums[at(worker)];
        if (!(part.y > 0.0f)) continue;
        const float weight = exp2f(part.x - maximum);
        sum += part.y * weight;
        const float* output = p.outputs + at(worker) * p.head_dim;
#pragma unroll
        for (int i = 0; i < kLaneValues; ++i) {
          if (lane + 32 * i < p.head_dim) outputs[m][i] += weight * output[lane + 32 * i];
        }
      }
#pragma unroll
      for (int i = 0; i < kLaneValues; ++i) {
        if (sum > 0.0f) outputs[m][i] /= sum;
      }
    }
#pragma unroll
    for (int i = 0; i < kLaneValues; ++i) {
      const float o = outputs[0][i], spatial = outputs[1][i] - o, temporal = outputs[2][i] - o;
      sums[0] += spatial * spatial;
      sums[1] += temporal * temporal;
      sums[2] += o * o;
    }
  }
  __shared__ float of_warps[3][kJoinThreads / 32];
#pragma unroll
  for (int k = 0; k < 3; ++k) {
    for (int d = 16; d > 0; d /= 2) sums[k] += __shfl_xor_sync(0xffffffffu, sums[k], d);
    if (lane == 0) of_warps[k][warp] = sums[k];
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  float totals[3] = {0.0f, 0.0f, 0.0f};
  for (int k = 0; k < 3; ++k) {
    for (int i = 0; i < kJoinThreads / 32; ++i) totals[k] += of_warps[k][i];
    if (all_errors != nullptr && k < 2) all_errors[2 * bh + k] = totals[k];
  }
  const bool temporal = totals[1] + kHeadClassSlack * totals[2] < totals[0];
  classes[bh] =
      static_cast<std::int32_t>(temporal ? HeadClass::kTemporal : HeadClass::kSpatial);
}

// Rows that the slots of a path have together.
std::int64_t RowsOfSlots(const HeadClassesProblem& problem, int rows, int workers) {
  const std::int64_t units = static_cast<std::int64_t>(problem.batch) * problem.heads *
                             CeilDiv(problem.sampled_rows, rows);
  return (units + workers) * rows * kProfileOutputs;
}

struct Workspace {
  float* outputs;
  float2* sums;
  std::size_t bytes;
};

Workspace Carve(const HeadClassesProblem& problem, void* base) {
  std::int64_t rows = RowsOfSlots(problem, kPortableProfileRows, kMostPortableWorkers);
  if (HasFastProfile(problem.type, problem.head_dim)) {
    rows = std::max(rows, RowsOfSlots(problem, kFastProfileRows, kMostFastWorkers));
  }
  WorkspaceCarver carver(base);
  Workspace parts;
  parts.outputs = carver.Take<float>(rows * problem.head_dim);
  parts.sums = carver.Take<float2>(rows);
  parts.bytes = carver.used();
  return parts;
}

}  // namespace

std::size_t HeadClassesWorkspaceSize(const HeadClassesProblem& problem) {
  return CheckHeadClasses(problem) == Status::kOk ? Carve(problem, nullptr).bytes : 0;
}

Status LaunchHeadClasses(const HeadClassesProblem& problem, const HeadClassesBuffers& b,
                         void* workspace, std::size_t workspace_size, CUstream_st* stream) {
  SPARSEDIT_RETURN_IF_ERROR(CheckHeadClasses(problem));
  SPARSEDIT_REQUIRE(IsAligned(b.q, 16) && IsAligned(b.k, 16) && IsAligned(b.v, 16),
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(IsAligned(b.geometry, 4) && IsAligned(b.action, 4) && IsAligned(b.classes, 4),
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE((b.key_bias == nullptr || IsAligned(b.key_bias, 4)) &&
                        (b.last_classes == nullptr || IsAligned(b.last_classes, 4)) &&
                        (b.errors == nullptr || IsAligned(b.errors, 4)),
                    Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(IsAligned(workspace, 16), Status::kInvalidArgument);
  SPARSEDIT_REQUIRE(workspace_size >= HeadClassesWorkspaceSize(problem),
                    Status::kWorkspaceTooSmall);
  int device = 0, major = 0, minor = 0, multiprocessors = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device) !=
          cudaSuccess) {
    cudaGetLastError();
    return Status::kLaunchFailed;
  }
  SPARSEDIT_REQUIRE(major >= 8, Status::kUnsupported);

  const Workspace parts = Carve(problem, workspace);
  const PlanShape shape = {problem.batch, problem.heads, problem.tokens, 1, 1};
  ProfileParams p = {};
  p.q = b.q;
  p.k = b.k;
  p.v = b.v;
  p.geometry = b.geometry;
  p.key_bias = b.key_bias;
  p.action = b.action;
  p.outputs = parts.outputs;
  p.sums = parts.sums;
  p.strides = StridesOf(shape, problem.head_dim, problem.layout);
  p.scale_log2 = problem.scale * kLog2E;
  p.profile_frames = problem.profile_frames;
  p.heads = problem.heads;
  p.tokens = problem.tokens;
  p.head_dim = problem.head_dim;
  p.sampled_rows = problem.sampled_rows;
  p.block_size = problem.block_size;
  p.text = problem.text;
  p.sink = problem.sink;
  const bool fast = problem.path == HeadClassesPath::kAuto && major == 9 && minor == 0 &&
                    HasFastProfile(problem.type, problem.head_dim);
  SPARSEDIT_RETURN_IF_ERROR(fast ? LaunchHopperProfile(p, problem, multiprocessors, stream)
                                 : LaunchPortableProfile(p, problem, multiprocessors, stream));
  JoinProfiles<<<problem.batch * problem.heads, kJoinThreads, 0, stream>>>(p, b.last_classes,
                                                                          b.classes, b.errors);
  return LaunchStatus();
}

}  // namespace sparsedit
