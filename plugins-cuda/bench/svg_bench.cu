// Times SVG's planning on the shapes of real models and checks what it timed.
//
//   svg_bench [--path auto|portable] [--layout bshd|bhsd] [--rows R] [--repeat N] SHAPE ...
//   SHAPE wan, hunyuan, cogvideo, wan-small
//
// q, k and v are bf16 and normal; in q and k of odd heads a part that all tokens of a patch share is
// added, in the others one that all tokens of a frame share, so that classes alternate. Settings are
// the published ones (R = 64 rows unless said). With text its last tenth is masked. Timed are the
// classes and the plan, apart and together, each as a CUDA graph, median of the repeats.
//
// Checked in the same run: every head has its class, and both sums of errors are those of the
// portable path, which is f32 throughout, to 5 % of the larger.
#include <cuda_bf16.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bench/bench_data.cuh"
#include "bench/graph_timing.h"
#include "kernels/band_plan.h"
#include "kernels/head_classes.h"
#include "test/device_array.h"

namespace sparsedit::bench {
namespace {

using test::DeviceArray;

struct Fill {
  int heads, tokens, dim, start, per_frame;
  bool head_major, planted;
};

__global__ void FillTokens(__nv_bfloat16* x, const Fill f, std::int64_t count, std::uint64_t seed) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; i < count;
       i += stride) {
    float v = Normal(seed + i);
    if (f.planted) {
      const std::int64_t row = i / f.dim;  // of all batches
      const std::int64_t head = f.head_major ? row / f.tokens
                                             : row / f.heads / f.tokens * f.heads + row % f.heads;
      const int token = static_cast<int>(f.head_major ? row % f.tokens : row / f.heads % f.tokens);
      const int video = token - f.start;
      if (video >= 0) {
        const int shared = head % 2 == 1 ? video % f.per_frame : video / f.per_frame;
        // The same for q and k.
        v = .5f * v + Normal(7 + (head * (f.tokens + 1) + shared) * f.dim + i % f.dim);
      }
    }
    x[i] = __float2bfloat16_rn(v);
  }
}

struct Options {
  HeadClassesPath path = HeadClassesPath::kAuto;
  Layout layout = Layout::kBshd;
  int rows = 64, repeat = 21;
};

int failures = 0;

void Run(const Shape& shape, const Options& options) {
  cudaStream_t stream;
  CUDA_OK(cudaStreamCreate(&stream));
  const int all_heads = shape.batch * shape.heads;
  const std::int64_t count = static_cast<std::int64_t>(all_heads) * shape.tokens * shape.head_dim;
  HeadClassesProblem p;
  p.batch = shape.batch, p.heads = shape.heads, p.tokens = shape.tokens;
  p.head_dim = shape.head_dim, p.layout = options.layout;
  p.scale = 1.f / std::sqrt(static_cast<float>(shape.head_dim));
  p.text = shape.text;
  const bool has_text = shape.text != TextPosition::kNone;
  p.sink = has_text ? FrameSink::kNone : FrameSink::kPublished;
  p.profile_frames = has_text ? 1.5f : 2.f;
  p.sampled_rows = options.rows;
  BandPlanProblem band;
  band.batch = p.batch, band.heads = p.heads, band.tokens = p.tokens, band.text = p.text;
  band.sink = p.sink;
  band.density = has_text ? .25f : .3f;

  DeviceArray<__nv_bfloat16> x[3];
  const int start = shape.text == TextPosition::kFirst ? shape.text_tokens : 0;
  for (int i = 0; i < 3; ++i) {
    x[i] = DeviceArray<__nv_bfloat16>(count);
    const Fill fill = {shape.heads, shape.tokens, shape.head_dim, start,
                       shape.height * shape.width, options.layout == Layout::kBhsd, i < 2};
    FillTokens<<<1024, 256, 0, stream>>>(x[i].get(), fill, count, 1 + i * count);
  }
  std::vector<float> bias(static_cast<std::size_t>(shape.batch) * shape.tokens);
  const int text_start = shape.text == TextPosition::kFirst ? 0 : shape.tokens - shape.text_tokens;
  for (int b = 0; b < shape.batch; ++b) {
    for (int t = shape.text_tokens * 9 / 10; t < shape.text_tokens; ++t) {
      bias[static_cast<std::size_t>(b) * shape.tokens + text_start + t] = -INFINITY;
    }
  }
  DeviceArray<float> key_bias(bias), errors(2 * all_heads);
  DeviceArray<std::int32_t> geometry(
      std::vector<std::int32_t>{shape.frames, shape.height, shape.width});
  DeviceArray<std::int32_t> action(std::vector<std::int32_t>{2}), classes(all_heads);
  DeviceArray<char> workspace(HeadClassesWorkspaceSize(p));
  DeviceArray<char> band_workspace(BandPlanWorkspaceSize(band));
  HeadClassesBuffers b;
  b.q = x[0].get();
  b.k = x[1].get();
  b.v = x[2].get();
  b.geometry = geometry.get();
  b.key_bias = has_text ? key_bias.get() : nullptr;
  b.action = action.get();
  b.classes = classes.get();
  b.errors = errors.get();
  const std::size_t heads = all_heads;
  const int nq = QuerySegments(band), nk = KeySegments(band);
  DeviceArray<std::int32_t> query_order(heads * shape.tokens), key_order(heads * shape.tokens);
  DeviceArray<std::int32_t> query_offsets(heads * (nq + 1)), key_offsets(heads * (nk + 1));
  DeviceArray<std::int32_t> keep(heads * nq * KeepWords(nk));
  const BandPlanBuffers plan = {geometry.get(), classes.get(),
                                {query_order.get(), key_order.get(), query_offsets.get(),
                                 key_offsets.get(), keep.get()}};

  p.path = HeadClassesPath::kPortable;
  Require(LaunchHeadClasses(p, b, workspace.get(), workspace.size(), stream));
  CUDA_OK(cudaStreamSynchronize(stream));
  const std::vector<float> expected = errors.Get();
  errors.Poison();
  p.path = options.path;
  const auto classify = [&] {
    Require(LaunchHeadClasses(p, b, workspace.get(), workspace.size(), stream));
  };
  const auto make_plan = [&] {
    Require(LaunchBandPlan(band, plan, band_workspace.get(), band_workspace.size(), stream));
  };
  const double classes_ms = Time(stream, options.repeat, classify);
  const double plan_ms = Time(stream, options.repeat, make_plan);
  const double both_ms = Time(stream, options.repeat, [&] {
    classify();
    make_plan();
  });

  const std::vector<float> got = errors.Get();
  const std::vector<std::int32_t> of_heads = classes.Get();
  double worst = 0, nearest = INFINITY;
  int wrong = 0;
  for (int bh = 0; bh < all_heads; ++bh) {
    wrong += of_heads[bh] != bh % 2;
    for (int c = 0; c < 2; ++c) {
      const double larger = std::max(expected[2 * bh], expected[2 * bh + 1]);
      const double error = std::abs(got[2 * bh + c] - static_cast<double>(expected[2 * bh + c])) / larger;
      worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    }
    const double low = std::min(got[2 * bh], got[2 * bh + 1]);
    nearest = std::min(nearest, std::max(got[2 * bh], got[2 * bh + 1]) / low);
  }
  const bool good = wrong == 0 && worst <= .05;
  failures += !good;
  const double bytes = 4.0 * count;  // K and V once
  std::printf("%-9s R%-4d %-8s %s: classes %.3f ms (K and V at %.0f GB/s), plan %.3f ms, both %.3f ms; "
              "workspace %.1f MB; %d of %d classes wrong, errors off by %.2g, apart by %.2f or more%s\n",
              shape.name, p.sampled_rows, p.path == HeadClassesPath::kAuto ? "auto" : "portable",
              p.layout == Layout::kBhsd ? "BHSD" : "BSHD", classes_ms, bytes / classes_ms * 1e-6,
              plan_ms, both_ms, workspace.size() / 1e6, wrong, all_heads, worst, nearest,
              good ? "" : " FAIL");
  std::fflush(stdout);
  CUDA_OK(cudaStreamDestroy(stream));
}

}  // namespace
}  // namespace sparsedit::bench

int main(int argc, char** argv) {
  using namespace sparsedit;
  using namespace sparsedit::bench;
  Options options;
  bool any = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (argument == "--path") {
      options.path = value == "portable" ? HeadClassesPath::kPortable : HeadClassesPath::kAuto;
      ++i;
    } else if (argument == "--layout") {
      options.layout = value == "bhsd" ? Layout::kBhsd : Layout::kBshd;
      ++i;
    } else if (argument == "--rows") {
      options.rows = std::atoi(value.c_str());
      ++i;
    } else if (argument == "--repeat") {
      options.repeat = std::atoi(value.c_str());
      ++i;
    } else {
      for (const Shape& shape : kShapes) {
        if (argument != shape.name) continue;
        Run(shape, options);
        any = true;
      }
    }
  }
  if (!any) std::printf("usage: svg_bench [options] SHAPE ..., see the head of svg_bench.cu\n");
  return any && failures == 0 ? 0 : 1;
}
