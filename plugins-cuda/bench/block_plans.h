// Plans of uniform blocks, as AdaSpa and SVG make them, for timings. Host code.
#ifndef SPARSEDIT_BENCH_BLOCK_PLANS_H_
#define SPARSEDIT_BENCH_BLOCK_PLANS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "bench/bench_data.cuh"
#include "test/attention_reference.h"

namespace sparsedit::bench {

// Video tokens in blocks of `size`, and the text, if any, as a segment of its own. As many segments
// as the planners have: ceil(S / size), of which those that the video does not fill are empty, and
// the text's.
struct BlockGrid {
  int blocks, segments, text_segment;  // text_segment -1: none
  std::vector<std::int32_t> offsets;
};

inline BlockGrid MakeBlockGrid(const Shape& shape, int size) {
  const int video = shape.tokens - shape.text_tokens;
  const bool text = shape.text_tokens > 0, first = shape.text == TextPosition::kFirst;
  const int room = (shape.tokens + size - 1) / size;
  BlockGrid grid{(video + size - 1) / size, room + text, !text ? -1 : first ? 0 : room, {0}};
  if (text && first) grid.offsets.push_back(shape.text_tokens);
  const int start = grid.offsets.back();
  for (int i = 1; i <= room; ++i) grid.offsets.push_back(start + std::min(video, i * size));
  if (text && !first) grid.offsets.push_back(shape.tokens);
  return grid;
}

inline test::HostPlan PlanOf(const Shape& shape, const BlockGrid& grid) {
  test::HostPlan plan;
  plan.shape = {shape.batch, shape.heads, shape.tokens, grid.segments, grid.segments};
  const int heads = shape.batch * shape.heads;
  for (int head = 0; head < heads; ++head) {
    plan.query_offsets.insert(plan.query_offsets.end(), grid.offsets.begin(), grid.offsets.end());
  }
  plan.key_offsets = plan.query_offsets;
  plan.keep.assign(
      static_cast<std::size_t>(heads) * grid.segments * KeepWords(grid.segments), 0);
  if (grid.text_segment < 0) return plan;
  for (int head = 0; head < heads; ++head) {
    for (int i = 0; i < grid.segments; ++i) {
      plan.SetKeep(head, i, grid.text_segment);
      plan.SetKeep(head, grid.text_segment, i);
    }
  }
  return plan;
}

// AdaSpa: natural order, each row of 64-token blocks keeps the k of the greatest mass; a quarter of
// the heads has half the density, a quarter one and a half times it. Masses are random: uniform ones
// where `alike` is 0 (no two rows have anything in common but chance); else, with neighbouring rows
// sharing all but 1 - alike of the variance of their logarithms.
inline test::HostPlan MakeAdaSpaPlan(const Shape& shape, double density, double alike) {
  const BlockGrid grid = MakeBlockGrid(shape, 64);
  test::HostPlan plan = PlanOf(shape, grid);
  const int heads = shape.batch * shape.heads, first = grid.text_segment == 0 ? 1 : 0;
  test::Random random(17);
  std::vector<float> mass(grid.blocks);
  std::vector<int> ranked(grid.blocks);
  const float keep_share = static_cast<float>(alike);
  const float fresh_share = static_cast<float>(std::sqrt(1 - alike * alike));
  for (int head = 0; head < heads; ++head) {
    const double spread = std::min(density / 2, 1 - density);
    const double own = head % 4 == 0   ? density - spread
                       : head % 4 == 1 ? density + spread
                                       : density;
    const int k = std::clamp(static_cast<int>((own + 1e-6) * grid.blocks + .5), 1, grid.blocks);
    for (float& m : mass) m = static_cast<float>(random.Normal());
    for (int i = 0; i < grid.blocks; ++i) {
      for (float& m : mass) {
        m = keep_share * m + fresh_share * static_cast<float>(random.Normal());
      }
      std::iota(ranked.begin(), ranked.end(), 0);
      std::nth_element(ranked.begin(), ranked.begin() + k - 1, ranked.end(),
                       [&](int a, int b) { return mass[a] > mass[b]; });
      for (int n = 0; n < k; ++n) plan.SetKeep(head, i + first, ranked[n] + first);
    }
  }
  return plan;
}

// SVG: blocks of 128 tokens; every second head takes its tokens patch by patch (temporal). Without
// text the blocks of the first frame are kept by all. The band is the widest that keeps no more than
// `density` with them.
inline test::HostPlan MakeSvgPlan(const Shape& shape, double density) {
  constexpr int kSize = 128;
  const BlockGrid grid = MakeBlockGrid(shape, kSize);
  test::HostPlan plan = PlanOf(shape, grid);
  const int heads = shape.batch * shape.heads, first = grid.text_segment == 0 ? 1 : 0;
  const int frame = shape.height * shape.width, video = shape.frames * frame;
  const int sink = shape.text_tokens > 0 ? 0 : (frame + kSize - 1) / kSize;
  const auto size_of = [&](int i) { return std::min(kSize, video - i * kSize); };
  std::vector<double> by_distance(grid.blocks);
  double kept = 0;
  for (int i = 0; i < grid.blocks; ++i) {
    for (int j = 0; j < grid.blocks; ++j) {
      const double pairs = static_cast<double>(size_of(i)) * size_of(j);
      (j < sink ? kept : by_distance[std::abs(i - j)]) += pairs;
    }
  }
  int width = -1;
  while (width + 1 < grid.blocks &&
         kept + by_distance[width + 1] <= density * video * static_cast<double>(video)) {
    kept += by_distance[++width];
  }
  width = std::max(width, 0);
  const int before = shape.text == TextPosition::kFirst ? shape.text_tokens : 0;
  plan.query_order.reserve(static_cast<std::size_t>(heads) * shape.tokens);
  for (int head = 0; head < heads; ++head) {
    const std::size_t start = plan.query_order.size();
    for (int token = 0; token < shape.tokens; ++token) plan.query_order.push_back(token);
    if (head % 2 == 1) {
      for (int p = 0; p < video; ++p) {
        plan.query_order[start + before + p] =
            before + p % shape.frames * frame + p / shape.frames;
      }
    }
    for (int i = 0; i < grid.blocks; ++i) {
      for (int j = 0; j < grid.blocks; ++j) {
        if (j < sink || std::abs(i - j) <= width) plan.SetKeep(head, i + first, j + first);
      }
    }
  }
  plan.key_order = plan.query_order;
  return plan;
}

}  // namespace sparsedit::bench

#endif  // SPARSEDIT_BENCH_BLOCK_PLANS_H_
