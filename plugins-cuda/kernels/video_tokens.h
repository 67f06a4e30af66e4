// The video tokens of a site: where they stand, and their two orders in SVG (Sparse VideoGen, arXiv
// 2502.01776, section 4). Usable from host code without CUDA.
//
// Video tokens are counted from 0: F frames of P tokens each, token t is patch t % P of frame t / P.
//   spatial heads   frame-major order: position = token
//   temporal heads  token-major order: position = patch * F + frame
#ifndef SPARSEDIT_KERNELS_VIDEO_TOKENS_H_
#define SPARSEDIT_KERNELS_VIDEO_TOKENS_H_

#include <cmath>
#include <cstdint>

#include "kernels/plan.h"

namespace sparsedit {

// The keys that every query of SVG attends beside its band.
enum class FrameSink : int {
  kNone = 0,
  kPublished = 1,  // the first P positions, whatever the order
  kCorrected = 2,  // the tokens of the first frame
};

// Of a head; what is not temporal is spatial.
enum class HeadClass : std::int32_t { kSpatial = 0, kTemporal = 1 };

struct VideoTokens {
  int frames = 1;      // F
  int per_frame = 1;   // P
  int count = 1;       // V = F P
  int start = 0;       // the first video token
  int text = 0;        // text tokens
  int text_start = 0;  // the first of them

  SPARSEDIT_HOST_DEVICE int Position(int token, bool temporal) const {
    return temporal ? token % per_frame * frames + token / per_frame : token;
  }
  SPARSEDIT_HOST_DEVICE int Token(int position, bool temporal) const {
    return temporal ? position % frames * per_frame + position / frames : position;
  }
};

// `geometry` is frames, height, width. One that does not fit `tokens`, with an extent below one or
// a product that is not the number of video tokens, counts as one frame of all tokens.
SPARSEDIT_HOST_DEVICE inline VideoTokens SplitTokens(const std::int32_t* geometry,
                                                     TextPosition text, int tokens) {
  VideoTokens v;
  const std::int64_t frames = geometry[0], height = geometry[1], width = geometry[2];
  // No extent is above `tokens` < 2^31, so that the first product does not overflow.
  bool fits = frames >= 1 && height >= 1 && width >= 1 && frames <= tokens && height <= tokens &&
              width <= tokens && height * width <= tokens;
  fits = fits && frames * (height * width) <= tokens;
  fits = fits && (text != TextPosition::kNone || frames * (height * width) == tokens);
  v.frames = fits ? static_cast<int>(frames) : 1;
  v.per_frame = fits ? static_cast<int>(height * width) : tokens;
  v.count = v.frames * v.per_frame;
  v.text = tokens - v.count;
  v.start = text == TextPosition::kFirst ? v.text : 0;
  v.text_start = text == TextPosition::kFirst ? 0 : v.count;
  return v;
}

// Sampled row j of R: video token floor((j + 1/2) V / R).
SPARSEDIT_HOST_DEVICE inline int SampledToken(int row, int rows, int count) {
  return static_cast<int>((2 * static_cast<std::int64_t>(row) + 1) * count /
                          (2 * static_cast<std::int64_t>(rows)));
}

// Blocks less than this far away are in the band that tells the classes apart.
SPARSEDIT_HOST_DEVICE inline int ProfileReach(float frames, int per_frame, int block_size) {
  // f32 holds decimal fractions a little off.
  const double width = floor((static_cast<double>(frames) + 1e-6) * per_frame);
  const double reach = floor(width / block_size);
  return reach < 1 ? 1 : reach > (1 << 24) ? 1 << 24 : static_cast<int>(reach);
}

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_VIDEO_TOKENS_H_
