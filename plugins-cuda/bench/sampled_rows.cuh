// Compares sampled rows of a bf16 attention output with float64 on the same plan, key bias and
// pseudo-keys (rounded to bf16, as on the fast path), on the device.
#ifndef SPARSEDIT_BENCH_SAMPLED_ROWS_CUH_
#define SPARSEDIT_BENCH_SAMPLED_ROWS_CUH_

#include <cuda_bf16.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/block_sparse_attention.h"
#include "kernels/strides.h"
#include "test/attention_reference.h"
#include "test/device_memory.h"

namespace sparsedit::bench {

struct SampledRows {
  double relative_error;  // L1, over all sampled rows
  double kept_mass;       // share of the dense softmax that falls on kept keys, mean over the rows
  bool ok() const { return relative_error <= 1e-2; }
};

__device__ inline double RoundedMean(float x) { return __bfloat162float(__float2bfloat16_rn(x)); }

// One block a sampled row. sums: |error|, |reference|, kept mass.
__global__ void CompareRow(const BlockSparseAttentionArgs args, const Strides strides, bool dense,
                           const int2* samples, double* sums, float* scores) {
  const int bh = samples[blockIdx.x].x, position = samples[blockIdx.x].y;
  const int tokens = args.shape.tokens, dim = args.head_dim;
  const std::int64_t offset = bh / args.shape.heads * strides.batch +
                              bh % args.shape.heads * strides.head;
  const __nv_bfloat16* q = static_cast<const __nv_bfloat16*>(args.q) + offset;
  const __nv_bfloat16* k = static_cast<const __nv_bfloat16*>(args.k) + offset;
  const __nv_bfloat16* v = static_cast<const __nv_bfloat16*>(args.v) + offset;
  const __nv_bfloat16* o = static_cast<const __nv_bfloat16*>(args.o) + offset;
  const std::int64_t at = static_cast<std::int64_t>(bh) * tokens;
  const int token = dense || args.plan.query_order == nullptr ? position
                                                              : args.plan.query_order[at + position];
  const bool natural = dense || args.plan.key_order == nullptr;
  const int segments = args.shape.key_segments;
  const int pseudo_keys = dense || args.means_k == nullptr ? 0 : segments;
  float* score =
      scores + static_cast<std::int64_t>(blockIdx.x) * (tokens + segments);  // -inf: not kept
  const float* bias =
      args.key_bias == nullptr
          ? nullptr
          : args.key_bias + static_cast<std::int64_t>(bh / args.shape.heads) * tokens;
  __shared__ double partial[256];
  __shared__ int segment;
  const std::int32_t* offsets = args.plan.key_offsets + bh * (args.shape.key_segments + 1);
  if (threadIdx.x == 0) {
    const std::int32_t* query_offsets =
        args.plan.query_offsets + bh * (args.shape.query_segments + 1);
    segment = 0;
    while (!dense && query_offsets[segment + 1] <= position) ++segment;
  }
  __syncthreads();
  const std::int32_t* keep =
      args.plan.keep + (static_cast<std::int64_t>(bh) * args.shape.query_segments + segment) *
                           KeepWords(args.shape.key_segments);
  const auto reduce = [&](double mine, auto combine) {
    __syncthreads();
    partial[threadIdx.x] = mine;
    __syncthreads();
    for (int i = 128; i > 0; i /= 2) {
      if (static_cast<int>(threadIdx.x) < i) {
        partial[threadIdx.x] = combine(partial[threadIdx.x], partial[threadIdx.x + i]);
      }
      __syncthreads();
    }
    return partial[0];
  };
  double kept_maximum = -1e300, skipped_maximum = -1e300;
  // Of the skipped keys, relative to the thread's own maximum of them.
  double skipped_sum = 0.0;
  for (int p = threadIdx.x; p < tokens; p += blockDim.x) {
    bool kept = true;
    if (!dense) {
      int low = 0, high = args.shape.key_segments;  // the last segment that starts at or before p
      while (high - low > 1) {
        const int middle = (low + high) / 2;
        (offsets[middle] <= p ? low : high) = middle;
      }
      kept = Keeps(keep, low);
    }
    const int key = natural ? p : args.plan.key_order[at + p];
    double dot = 0.0;
    for (int d = 0; d < dim; ++d) {
      dot += static_cast<double>(__bfloat162float(q[token * strides.token + d])) *
             static_cast<double>(__bfloat162float(k[key * strides.token + d]));
    }
    const double s = dot * args.scale + (bias == nullptr ? 0.0f : bias[key]);
    score[p] = kept ? static_cast<float>(s) : -INFINITY;
    if (kept) {
      kept_maximum = fmax(kept_maximum, s);
    } else {
      const double maximum = fmax(skipped_maximum, s);
      skipped_sum = skipped_sum * exp(skipped_maximum - maximum) + exp(s - maximum);
      skipped_maximum = maximum;
    }
  }
  const std::int64_t means_at = static_cast<std::int64_t>(bh) * segments;
  for (int j = threadIdx.x; j < pseudo_keys; j += blockDim.x) {
    const int size = offsets[j + 1] - offsets[j];
    double s = -INFINITY;
    if (size > 0 && !Keeps(keep, j)) {
      double dot = 0.0;
      for (int d = 0; d < dim; ++d) {
        dot += static_cast<double>(__bfloat162float(q[token * strides.token + d])) *
               RoundedMean(args.means_k[(means_at + j) * dim + d]);
      }
      s = dot * args.scale + (args.means_bias == nullptr ? log(static_cast<double>(size))
                                                         : args.means_bias[means_at + j]);
    }
    score[tokens + j] = static_cast<float>(s);
    kept_maximum = fmax(kept_maximum, s);
  }
  const auto larger = [](double a, double b) { return fmax(a, b); };
  const auto plus = [](double a, double b) { return a + b; };
  const double maximum = reduce(kept_maximum, larger);
  const double skipped = reduce(skipped_sum * exp(skipped_maximum - maximum), plus);
  const int d = threadIdx.x;
  if (d >= dim) return;
  double sum = 0.0, out = 0.0;
  for (int p = 0; p < tokens; ++p) {
    if (score[p] == -INFINITY) continue;
    const int key = natural ? p : args.plan.key_order[at + p];
    const double weight = exp(score[p] - maximum);
    sum += weight;
    out += weight * static_cast<double>(__bfloat162float(v[key * strides.token + d]));
  }
  const double mass = sum;
  for (int j = 0; j < pseudo_keys; ++j) {
    if (score[tokens + j] == -INFINITY) continue;
    const double weight = exp(score[tokens + j] - maximum);
    sum += weight;
    out += weight * RoundedMean(args.means_v[(means_at + j) * dim + d]);
  }
  out = sum > 0.0 ? out / sum : 0.0;
  const double got = static_cast<double>(__bfloat162float(o[token * strides.token + d]));
  atomicAdd(&sums[0], isfinite(got) ? fabs(got - out) : 1e30);
  atomicAdd(&sums[1], fabs(out));
  if (d == 0) atomicAdd(&sums[2], mass / (mass + skipped));
}

// `args` as they were launched.
inline SampledRows CompareSampledRows(const BlockSparseAttentionArgs& args, bool dense) {
  constexpr int kSamples = 96;
  std::vector<int2> samples;
  test::Random random(3);
  for (int i = 0; i < kSamples; ++i) {
    samples.push_back(
        {random.Below(args.shape.batch * args.shape.heads), random.Below(args.shape.tokens)});
  }
  test::DeviceBuffer device_samples(samples), sums(24);
  test::DeviceBuffer scores(static_cast<std::size_t>(kSamples) *
                            (args.shape.tokens + args.shape.key_segments) * 4);
  sums.Fill(0);
  CompareRow<<<kSamples, 256>>>(args, StridesOf(args.shape, args.head_dim, args.layout), dense,
                                device_samples.As<int2>(), sums.As<double>(), scores.As<float>());
  test::CheckCuda(cudaDeviceSynchronize(), "check of sampled rows");
  double values[3];
  std::memcpy(values, sums.Read().data(), sizeof values);
  return {values[0] / values[1], values[2] / kSamples};
}

}  // namespace sparsedit::bench

#endif  // SPARSEDIT_BENCH_SAMPLED_ROWS_CUH_
