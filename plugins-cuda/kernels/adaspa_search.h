// The two passes of AdaSpa's search over q and k, inside of adaspa_plan.cu: LSE and block mass.
#ifndef SPARSEDIT_KERNELS_ADASPA_SEARCH_H_
#define SPARSEDIT_KERNELS_ADASPA_SEARCH_H_

#include "kernels/adaspa_plan.h"
#include "kernels/strides.h"

namespace sparsedit {

struct AdaSpaSearchArgs {
  const void* q;
  const void* k;
  const std::int32_t* action;
  const std::int32_t* geometry;
  const float* key_bias;
  float* lse;   // by token; written by the LSE pass, read by the other
  float* mass;  // W: [B H][segments][segments], of which all existing blocks are written
  Strides strides;
  int batch, heads, tokens, head_dim, block_size, segments;
  int text;  // TextPosition
  float scale;
};

// A run of tokens.
struct TokenRun {
  int first, count;
};

// Rows and columns of W: the blocks of video, then those of text; no block straddles the two.
struct BlockSplit {
  int size, video, text, video_first, text_first;  // tokens
  int video_blocks, text_blocks;

#ifdef __CUDACC__
  __device__ static BlockSplit Read(const AdaSpaSearchArgs& a) {
    BlockSplit s;
    s.size = a.block_size;
    s.video = a.tokens;
    if (a.text != static_cast<int>(TextPosition::kNone)) {
      const std::int64_t video =
          static_cast<std::int64_t>(a.geometry[0]) * a.geometry[1] * a.geometry[2];
      s.video = static_cast<int>(video < 0 ? 0 : video > a.tokens ? a.tokens : video);
    }
    s.text = a.tokens - s.video;
    const bool leads = a.text == static_cast<int>(TextPosition::kFirst);
    s.video_first = leads ? s.text : 0;
    s.text_first = leads ? 0 : s.video;
    s.video_blocks = (s.video + s.size - 1) / s.size;
    s.text_blocks = (s.text + s.size - 1) / s.size;
    return s;
  }
#endif

  SPARSEDIT_HOST_DEVICE int Blocks() const { return video_blocks + text_blocks; }

  // The tokens of `count` neighbouring blocks from `block` on; text and video apart, empty past the
  // end of either.
  SPARSEDIT_HOST_DEVICE TokenRun Tokens(int block, int count) const {
    const bool of_video = block < video_blocks;
    const int before = (of_video ? block : block - video_blocks) * size;
    const int left = (of_video ? video : text) - before;
    const int room = count * size;
    return {(of_video ? video_first : text_first) + before, left < 0 ? 0 : left < room ? left : room};
  }
};

// LSE of every query; nothing unless the action plans and is COLD.
Status LaunchPortableLse(const AdaSpaSearchArgs& args, DataType type, CUstream_st* stream);
// W; nothing unless the action plans.
Status LaunchPortableMass(const AdaSpaSearchArgs& args, DataType type, CUstream_st* stream);

// Both on sm_90: f16 or bf16, head dim 64 or 128, blocks of 64.
Status LaunchHopperSearch(const AdaSpaSearchArgs& args, DataType type, int multiprocessors,
                          CUstream_st* stream);

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_ADASPA_SEARCH_H_
