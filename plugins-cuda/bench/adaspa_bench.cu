// Times AdaSpa's planner beside dense attention on the shapes of real models, and checks what it
// timed.
//
//   adaspa_bench [--repeat N] SHAPE ...       SHAPE: wan, hunyuan, cogvideo, wan-small
//
// q, k and v are random bf16, BSHD, two sets in turn; as CUDA graphs. The warm search of a set has
// the LSE of its own COLD search. Text is masked beyond its first half where it stands last. Of 12
// query blocks the masses and the kept blocks are compared with float64.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "bench/bench_data.cuh"
#include "bench/graph_timing.h"
#include "kernels/adaspa_plan.h"
#include "kernels/block_sparse_attention.h"
#include "test/device_array.h"
#include "test/svg2_reference.h"

namespace sparsedit::bench {
namespace {

using test::DeviceArray;

__global__ void FillNormal(__nv_bfloat16* to, std::int64_t count, std::uint64_t seed) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x;
       i < count; i += stride) {
    to[i] = __float2bfloat16_rn(Normal(seed + i));
  }
}

struct Checked {
  double worst_mass = 0;
  int blocks = 0, wrong = 0;
};

// Rows of W and of keep of some query blocks of video against float64, with the LSE that was used.
Checked CheckBlocks(const AdaSpaProblem& p, int text_tokens, const DeviceArray<__nv_bfloat16>& q,
                    const DeviceArray<__nv_bfloat16>& k, const std::vector<float>& bias,
                    const DeviceArray<float>& lse, const float* mass,
                    const DeviceArray<std::int32_t>& keep) {
  Checked checked;
  const int video = p.tokens - text_tokens, blocks = (video + 63) / 64;
  const int first = p.text == TextPosition::kFirst ? text_tokens : 0;
  const int shift = p.text == TextPosition::kFirst ? 1 : 0;
  const int n = AdaSpaSegments(p.tokens, 64, p.text), words = KeepWords(n);
  const std::int64_t stride = static_cast<std::int64_t>(p.heads) * p.head_dim;
  std::vector<__nv_bfloat16> queries(64 * p.head_dim);
  std::vector<__nv_bfloat16> keys(static_cast<std::size_t>(p.tokens) * p.head_dim);
  for (int sample = 0; sample < 12; ++sample) {
    const int bh = sample % 4 * (p.batch * p.heads - 1) / 3, b = bh / p.heads, h = bh % p.heads;
    const int block = sample * (blocks - 1) / 11;
    const int rows = std::min(64, video - block * 64);
    const auto rows_of = [&](const DeviceArray<__nv_bfloat16>& x, int token, int count,
                             __nv_bfloat16* to) {
      CUDA_OK(cudaMemcpy2D(to, p.head_dim * 2,
                           x.get() + (static_cast<std::int64_t>(b) * p.tokens + token) * stride +
                               h * p.head_dim,
                           stride * 2, p.head_dim * 2, count, cudaMemcpyDeviceToHost));
    };
    rows_of(q, first + block * 64, rows, queries.data());
    rows_of(k, 0, p.tokens, keys.data());
    std::vector<float> row_lse(rows), got(n);
    std::vector<std::int32_t> row_keep(words);
    CUDA_OK(cudaMemcpy(row_lse.data(),
                       lse.get() + static_cast<std::int64_t>(bh) * p.tokens + first + block * 64,
                       rows * 4, cudaMemcpyDeviceToHost));
    CUDA_OK(cudaMemcpy(got.data(), mass + (static_cast<std::int64_t>(bh) * n + block) * n, n * 4,
                       cudaMemcpyDeviceToHost));
    CUDA_OK(cudaMemcpy(row_keep.data(),
                       keep.get() + (static_cast<std::int64_t>(bh) * n + block + shift) * words,
                       words * 4, cudaMemcpyDeviceToHost));
    std::vector<double> expected(blocks, 0);
    test::ParallelFor(
        blocks,
        [&](int j) {
          for (int c = j * 64; c < std::min(video, j * 64 + 64); ++c) {
            const double extra = bias.empty() ? 0 : bias[b * p.tokens + first + c];
            for (int r = 0; r < rows; ++r) {
              double dot = 0;
              for (int d = 0; d < p.head_dim; ++d) {
                dot += static_cast<double>(__bfloat162float(queries[r * p.head_dim + d])) *
                       __bfloat162float(keys[(first + c) * static_cast<std::size_t>(p.head_dim) + d]);
              }
              expected[j] += std::exp(dot * p.scale + extra - row_lse[r]);
            }
          }
        },
        8);
    double lowest = 1e300, highest = -1e300;
    bool good = true;
    for (int j = 0; j < blocks; ++j) {
      checked.worst_mass =
          std::max(checked.worst_mass, std::abs(got[j] - expected[j]) / (expected[j] + 1e-9));
      const bool bit = Keeps(row_keep.data(), j + shift);
      if (bit) lowest = std::min(lowest, expected[j]);
      if (!bit) highest = std::max(highest, expected[j]);
    }
    good = lowest >= highest * (1 - 5e-4) && checked.worst_mass < 4e-4;
    checked.wrong += !good;
    ++checked.blocks;
  }
  return checked;
}

bool Measure(const Shape& shape, int repeat) {
  AdaSpaProblem p;
  p.batch = shape.batch, p.heads = shape.heads, p.tokens = shape.tokens;
  p.head_dim = shape.head_dim, p.layout = Layout::kBshd, p.text = shape.text;
  p.scale = 1 / std::sqrt(static_cast<float>(p.head_dim));
  const std::int64_t count =
      static_cast<std::int64_t>(p.batch) * p.heads * p.tokens * p.head_dim;
  const int n = AdaSpaSegments(p.tokens, p.block_size, p.text), heads = p.batch * p.heads;
  std::vector<float> bias;
  if (shape.text == TextPosition::kLast) {
    bias.assign(static_cast<std::size_t>(p.batch) * p.tokens, 0.0f);
    for (int b = 0; b < p.batch; ++b) {
      for (int t = p.tokens - shape.text_tokens / 2; t < p.tokens; ++t) {
        bias[b * p.tokens + t] = -std::numeric_limits<float>::infinity();
      }
    }
  }
  DeviceArray<float> key_bias(bias);
  std::vector<DeviceArray<__nv_bfloat16>> inputs;
  for (int i = 0; i < 6; ++i) {
    inputs.emplace_back(count);
    FillNormal<<<1024, 256>>>(inputs.back().get(), count, 1000003ull * (i + 1) << 20);
  }
  std::vector<DeviceArray<float>> lse;
  for (int i = 0; i < 2; ++i) lse.emplace_back(static_cast<std::size_t>(heads) * p.tokens);
  DeviceArray<std::int32_t> offsets(static_cast<std::size_t>(heads) * (n + 1));
  DeviceArray<std::int32_t> keep(static_cast<std::size_t>(heads) * n * KeepWords(n));
  DeviceArray<std::int32_t> geometry(
      std::vector<std::int32_t>{shape.frames, shape.height, shape.width});
  DeviceArray<std::int32_t> cold(std::vector<std::int32_t>{6}), warm(std::vector<std::int32_t>{2});
  cudaStream_t stream;
  CUDA_OK(cudaStreamCreate(&stream));

  const auto plan = [&](int set, const std::int32_t* action, DeviceArray<char>& workspace) {
    AdaSpaBuffers b;
    b.q = inputs[3 * set].get(), b.k = inputs[3 * set + 1].get();
    b.action = action, b.geometry = geometry.get();
    b.key_bias = bias.empty() ? nullptr : key_bias.get();
    b.lse_in = b.lse = lse[set].get();
    b.plan.query_offsets = b.plan.key_offsets = offsets.get(), b.plan.keep = keep.get();
    Require(LaunchAdaSpaPlan(p, b, workspace.get(), workspace.size(), stream));
  };
  double cold_ms = 0, warm_ms = 0, skipped_ms = 0;
  Checked checked;
  {
    DeviceArray<char> workspace(AdaSpaWorkspaceSize(p));
    cold_ms = TimeInTurn(stream, std::max(1, repeat / 2),
                         {[&] { plan(0, cold.get(), workspace); }, [&] { plan(1, cold.get(), workspace); }});
    workspace.Poison();
    keep.Poison();
    warm_ms = TimeInTurn(stream, repeat,
                         {[&] { plan(0, warm.get(), workspace); }, [&] { plan(1, warm.get(), workspace); }});
    checked = CheckBlocks(p, shape.text_tokens, inputs[3], inputs[4], bias, lse[1],
                          reinterpret_cast<const float*>(workspace.get()), keep);
    DeviceArray<std::int32_t> none(std::vector<std::int32_t>{0});
    skipped_ms = TimeInTurn(stream, repeat, {[&] { plan(0, none.get(), workspace); }});
    plan(1, warm.get(), workspace);
  }

  BlockSparseAttentionArgs args;
  args.shape = {p.batch, p.heads, p.tokens, n, n};
  args.head_dim = p.head_dim, args.layout = p.layout, args.scale = p.scale;
  args.plan = {nullptr, nullptr, offsets.get(), offsets.get(), keep.get()};
  DeviceArray<std::int32_t> dense(std::vector<std::int32_t>{0}), sparse(std::vector<std::int32_t>{3});
  DeviceArray<__nv_bfloat16> o(count);
  args.o = o.get();
  DeviceArray<char> workspace(
      BlockSparseAttentionWorkspaceBytes(args.shape, p.head_dim, args.type, false));
  const auto attend = [&](int set, const std::int32_t* action) {
    args.q = inputs[3 * set].get(), args.k = inputs[3 * set + 1].get();
    args.v = inputs[3 * set + 2].get(), args.action = action;
    Require(LaunchBlockSparseAttention(args, workspace.get(), workspace.size(), stream));
  };
  args.key_bias = bias.empty() ? nullptr : key_bias.get();
  const double dense_ms = TimeInTurn(
      stream, repeat, {[&] { attend(0, dense.get()); }, [&] { attend(1, dense.get()); }});
  // The plan is that of the second set.
  const double sparse_ms = TimeInTurn(stream, repeat, {[&] { attend(1, sparse.get()); }});
  const double flops = 4.0 * p.tokens * p.tokens * p.head_dim * heads;
  std::printf("%-10s warm %7.2f ms (%5.1f TFLOP/s, %4.1f %% of dense)  cold %7.2f ms (%5.1f %%)  "
              "no plan %.3f ms  dense %7.2f ms (%5.1f TFLOP/s)  sparse .2 %7.2f ms  "
              "W %.1e, %d of %d blocks %s\n",
              shape.name, warm_ms, flops / 2 / warm_ms / 1e9, 100 * warm_ms / dense_ms, cold_ms,
              100 * cold_ms / dense_ms, skipped_ms, dense_ms, flops / dense_ms / 1e9, sparse_ms,
              checked.worst_mass, checked.blocks - checked.wrong, checked.blocks,
              checked.wrong == 0 ? "ok" : "WRONG");
  std::fflush(stdout);
  CUDA_OK(cudaStreamDestroy(stream));
  return checked.wrong == 0;
}

int Main(int argc, char** argv) {
  int repeat = 5;
  bool right = true;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--repeat") == 0 && i + 1 < argc) {
      repeat = std::atoi(argv[++i]);
      continue;
    }
    for (const Shape& shape : kShapes) {
      if (std::strcmp(argv[i], shape.name) == 0) right = Measure(shape, repeat) && right;
    }
  }
  return right ? 0 : 1;
}

}  // namespace
}  // namespace sparsedit::bench

int main(int argc, char** argv) { return sparsedit::bench::Main(argc, argv); }
