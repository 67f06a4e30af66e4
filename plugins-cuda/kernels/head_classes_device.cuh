// What a sampled row sees, on the device.
#ifndef SPARSEDIT_KERNELS_HEAD_CLASSES_DEVICE_CUH_
#define SPARSEDIT_KERNELS_HEAD_CLASSES_DEVICE_CUH_

#include "kernels/head_classes_paths.h"

namespace sparsedit {

// Positions of video keys in the order of a class, [first, first + count).
struct SeenRange {
  int first;
  unsigned count;
  // `position` as SeenBy::Position gives it.
  __device__ __forceinline__ bool Has(int position) const {
    return position < 0 || static_cast<unsigned>(position - first) < count;
  }
};

// The rules of a site, read once by a thread.
struct SeenBy {
  VideoTokens video;
  FrameSink sink;
  int block_size, reach, sampled_rows;

  __device__ explicit SeenBy(const ProfileParams& p)
      : video(SplitTokens(p.geometry, p.text, p.tokens)),
        sink(p.sink),
        block_size(p.block_size),
        reach(ProfileReach(p.profile_frames, video.per_frame, p.block_size)),
        sampled_rows(p.sampled_rows) {}

  // Token, of all tokens, of a sampled row.
  __device__ int RowToken(int row) const {
    return video.start + SampledToken(row, sampled_rows, video.count);
  }

  // Position of a key in the order of a class, or -1 for a key that all rows see. `token` is of all
  // tokens and exists.
  __device__ int Position(int token, bool temporal) const {
    const int video_token = token - video.start;
    if (video_token < 0 || video_token >= video.count) return -1;
    const int position = video.Position(video_token, temporal);
    if (sink == FrameSink::kPublished && position < video.per_frame) return -1;
    if (sink == FrameSink::kCorrected && video_token < video.per_frame) return -1;
    return position;
  }

  // The positions that a sampled row sees; none for a row past the last.
  __device__ SeenRange RangeOf(int row, bool temporal) const {
    if (row >= sampled_rows) return {0, 0u};
    const int position =
        video.Position(SampledToken(row, sampled_rows, video.count), temporal);
    const std::int64_t block = position / block_size;
    const std::int64_t first = (block - reach + 1) * block_size, end = (block + reach) * block_size;
    const int from = first < 0 ? 0 : static_cast<int>(first);
    const int to = end > video.count ? video.count : static_cast<int>(end);
    return {from, static_cast<unsigned>(to - from)};
  }
};

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_HEAD_CLASSES_DEVICE_CUH_
