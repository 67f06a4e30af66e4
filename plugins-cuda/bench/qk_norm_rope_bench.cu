// Times QkNormRope on Q and K of real models beside a device copy of as many bytes, and checks it.
//
//   qk_norm_rope_bench [--repeat N] SHAPE ...
//   SHAPE wan, wan-small: RMS over the hidden size, interleaved; hunyuan: RMS of each head,
//   interleaved, video tokens first; cogvideo: LayerNorm of each head, half, text tokens first
//
// bf16, random normal inputs and bf16 weights, tables of head dim lanes. Median of CUDA graph replays;
// bytes are one read and one write of Q and K. Sampled tokens are compared with float64.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bench/bench_data.cuh"
#include "bench/graph_timing.h"
#include "kernels/qk_norm_rope.h"

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

// The token's row of [B,S,H,D] as numbers.
std::vector<double> ReadToken(const QkNormRopeProblem& p, Layout layout, const __nv_bfloat16* from,
                              int batch, int token) {
  std::vector<double> row(p.heads * p.head_dim);
  std::vector<__nv_bfloat16> head(p.head_dim);
  const std::int64_t tokens = p.tokens[0];
  for (int h = 0; h < p.heads; ++h) {
    const std::int64_t at =
        layout == Layout::kBshd
            ? ((batch * tokens + token) * p.heads + h) * p.head_dim
            : ((static_cast<std::int64_t>(batch) * p.heads + h) * tokens + token) * p.head_dim;
    CUDA_OK(cudaMemcpy(head.data(), from + at, p.head_dim * 2, cudaMemcpyDeviceToHost));
    for (int d = 0; d < p.head_dim; ++d) row[h * p.head_dim + d] = __bfloat162float(head[d]);
  }
  return row;
}

// Largest error over what rounding once allows.
double Compare(const QkNormRopeProblem& p, const __nv_bfloat16* x, const __nv_bfloat16* out,
               const std::vector<__nv_bfloat16>& weight, const std::vector<float>& cos,
               const std::vector<float>& sin) {
  double worst = 0;
  for (int n = 0; n < 24; ++n) {
    const int batch = n % p.batch;
    const int token = static_cast<int>((n * 7919LL * 131 + (n % 2) * 17) % p.tokens[0]);
    std::vector<double> y = ReadToken(p, p.layout, x, batch, token);
    const int hidden = p.heads * p.head_dim;
    const int span = p.scope == NormScope::kHidden ? hidden : p.head_dim;
    for (int first = 0; first < hidden; first += span) {
      double mean = 0, square = 0;
      for (int i = 0; i < span; ++i) mean += y[first + i] / span;
      for (int i = 0; i < span; ++i) {
        if (p.norm == NormKind::kLayer) y[first + i] -= mean;
        square += y[first + i] * y[first + i] / span;
      }
      for (int i = first; i < first + span; ++i) {
        y[i] *= __bfloat162float(weight[p.weight_of_head ? i % p.head_dim : i]) /
                std::sqrt(square + p.epsilon);
      }
    }
    const int row = token - (p.first_rotated < 0 ? p.tokens[0] - p.rotated : p.first_rotated);
    const std::vector<double> got = ReadToken(p, p.output_layout, out, batch, token);
    const int half = p.head_dim / 2;
    for (int i = 0; i < hidden; ++i) {
      const int d = i % p.head_dim;
      double expected = y[i];
      if (row >= 0 && row < p.rotated) {
        const double turned = p.rope == RopeForm::kInterleaved ? (d % 2 ? y[i - 1] : -y[i + 1])
                              : d < half                       ? -y[i + half]
                                                               : y[i - half];
        const std::int64_t at = static_cast<std::int64_t>(row) * p.head_dim + d;
        expected = y[i] * cos[at] + turned * sin[at];
      }
      const double error = std::abs(got[i] - expected) / (std::abs(expected) * 0x1.03p-8 + 2e-5);
      worst = std::isnan(error) ? INFINITY : std::fmax(worst, error);
    }
  }
  return worst;
}

bool Measure(const Shape& shape, Layout output_layout, int repeat) {
  const bool hunyuan = std::strcmp(shape.name, "hunyuan") == 0;
  const bool cogvideo = std::strcmp(shape.name, "cogvideo") == 0;
  cudaStream_t stream;
  CUDA_OK(cudaStreamCreate(&stream));
  QkNormRopeProblem p;
  p.batch = shape.batch;
  p.heads = shape.heads;
  p.tokens[0] = p.tokens[1] = shape.tokens;
  p.head_dim = shape.head_dim;
  p.output_layout = output_layout;
  p.norm = cogvideo ? NormKind::kLayer : NormKind::kRms;
  p.scope = hunyuan || cogvideo ? NormScope::kHead : NormScope::kHidden;
  p.epsilon = 1e-6f;
  p.weight_type[0] = p.weight_type[1] = DataType::kBFloat16;
  p.weight_of_head = p.scope == NormScope::kHead;
  p.rope = cogvideo ? RopeForm::kHalf : RopeForm::kInterleaved;
  p.rotary_lanes = shape.head_dim;
  p.rotated = shape.tokens - shape.text_tokens;
  p.first_rotated = cogvideo ? -1 : 0;
  const std::size_t count =
      static_cast<std::size_t>(p.batch) * p.heads * shape.tokens * p.head_dim;
  const std::size_t lanes = p.weight_of_head ? p.head_dim : p.heads * p.head_dim;
  DeviceArray<__nv_bfloat16> x[2], out[2], weight(lanes);
  FillNormal<<<1024, 256, 0, stream>>>(weight.get(), lanes, 5ull << 40);
  std::vector<float> cos, sin;
  for (int t = 0; t < p.rotated; ++t) {
    for (int d = 0; d < p.head_dim; ++d) {
      const int pair = p.rope == RopeForm::kHalf ? d % (p.head_dim / 2) : d / 2;
      const double angle = t * std::pow(10000., -2. * pair / p.head_dim);
      cos.push_back(static_cast<float>(std::cos(angle)));
      sin.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  DeviceArray<float> device_cos(cos), device_sin(sin);
  QkNormRopeBuffers b;
  b.cos = device_cos.get();
  b.sin = device_sin.get();
  for (int i = 0; i < 2; ++i) {
    x[i] = DeviceArray<__nv_bfloat16>(count);
    out[i] = DeviceArray<__nv_bfloat16>(count);
    FillNormal<<<4096, 256, 0, stream>>>(x[i].get(), count, (1ull + i) << 50);
    out[i].Poison();
    b.x[i] = x[i].get();
    b.out[i] = out[i].get();
    b.weight[i] = weight.get();
  }
  const double ms = Time(stream, repeat, [&] { Require(LaunchQkNormRope(p, b, stream)); });
  const std::vector<__nv_bfloat16> host_weight = weight.Get();
  double worst = 0;
  for (int i = 0; i < 2; ++i) {
    worst = std::fmax(worst, Compare(p, x[i].get(), out[i].get(), host_weight, cos, sin));
  }
  const double copy_ms = Time(stream, repeat, [&] {
    for (int i = 0; i < 2; ++i) {
      CUDA_OK(cudaMemcpyAsync(out[i].get(), x[i].get(), count * 2, cudaMemcpyDeviceToDevice, stream));
    }
  });
  const double bytes = 2. * 2 * 2 * count;
  std::printf("%-9s BSHD to %s  %6.3f ms %5.0f GB/s, %4.1f %% of a copy (%6.3f ms, %5.0f GB/s)  "
              "error %.2f of what is allowed %s\n",
              shape.name, output_layout == Layout::kBshd ? "BSHD" : "BHSD", ms, bytes / ms * 1e-6,
              copy_ms / ms * 100, copy_ms, bytes / copy_ms * 1e-6, worst, worst <= 1 ? "ok" : "WRONG");
  std::fflush(stdout);
  CUDA_OK(cudaStreamDestroy(stream));
  return worst <= 1;
}

}  // namespace
}  // namespace sparsedit::bench

int main(int argc, char** argv) {
  using namespace sparsedit;
  int repeat = 20;
  bool right = true;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--repeat" && i + 1 < argc) {
      repeat = std::atoi(argv[++i]);
      continue;
    }
    bool known = false;
    for (const bench::Shape& shape : bench::kShapes) {
      if (argument != shape.name) continue;
      for (const Layout layout : {Layout::kBshd, Layout::kBhsd}) {
        right = bench::Measure(shape, layout, repeat) && right;
      }
      known = true;
    }
    if (!known) {
      std::printf("unknown argument %s\n", argv[i]);
      return 2;
    }
  }
  return right ? 0 : 1;
}
