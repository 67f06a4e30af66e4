// Shapes of real models and random numbers on the device, for timings.
#ifndef SPARSEDIT_BENCH_BENCH_DATA_CUH_
#define SPARSEDIT_BENCH_BENCH_DATA_CUH_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "kernels/kmeans.h"

namespace sparsedit::bench {

// Video tokens are frames x height x width of the latent's patches.
struct Shape {
  const char* name;
  int batch, heads, tokens, head_dim, query_clusters, key_clusters;
  TextPosition text;
  int text_tokens;
  int frames, height, width;
};

constexpr Shape kShapes[] = {
    {"wan", 1, 40, 75600, 128, 300, 1000, TextPosition::kNone, 0, 21, 45, 80},
    {"hunyuan", 1, 24, 119056, 128, 400, 1000, TextPosition::kLast, 256, 33, 45, 80},
    {"cogvideo", 2, 48, 45106, 64, 200, 500, TextPosition::kFirst, 226, 11, 48, 85},
    {"wan-small", 1, 12, 32760, 128, 150, 500, TextPosition::kNone, 0, 21, 30, 52},
};

// The key bias [B,S] that --bias names: none (empty), zero (nothing is masked), text (the second
// half of the text is masked) or tokens (every 50th token is: most tiles of keys have one).
inline std::vector<float> KeyBias(const Shape& shape, const std::string& kind) {
  std::vector<float> bias;
  if (kind == "none") return bias;
  if (kind != "zero" && kind != "text" && kind != "tokens") {
    std::printf("unknown bias %s\n", kind.c_str());
    std::exit(2);
  }
  bias.assign(static_cast<std::size_t>(shape.batch) * shape.tokens, 0.0f);
  const int text_end =
      shape.text == TextPosition::kFirst ? shape.text_tokens : shape.tokens;
  for (std::size_t i = 0; i < bias.size(); ++i) {
    const int token = static_cast<int>(i % shape.tokens);
    const bool masked =
        kind == "text" ? token < text_end && token >= text_end - shape.text_tokens / 2
                       : kind == "tokens" && token % 50 == 0;
    if (masked) bias[i] = -std::numeric_limits<float>::infinity();
  }
  return bias;
}

__device__ inline std::uint32_t Hash(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return static_cast<std::uint32_t>(x >> 32);
}
// In (0, 1).
__device__ inline float Uniform(std::uint64_t x) { return (Hash(x) + .5f) * 2.3283064e-10f; }
// Box and Muller.
__device__ inline float Normal(std::uint64_t x) {
  return sqrtf(-2.f * logf(fminf(Uniform(2 * x + 1), 1.f))) * cospif(2.f * Uniform(2 * x));
}

}  // namespace sparsedit::bench

#endif  // SPARSEDIT_BENCH_BENCH_DATA_CUH_
