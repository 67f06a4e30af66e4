// AdaSpa's planning in float64 on the CPU. Host code without CUDA.
#ifndef SPARSEDIT_TEST_ADASPA_REFERENCE_H_
#define SPARSEDIT_TEST_ADASPA_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/adaspa_plan.h"
#include "kernels/strides.h"
#include "test/dot.h"
#include "test/svg2_reference.h"

namespace sparsedit::test {

constexpr double kHugeValue = std::numeric_limits<double>::infinity();

struct AdaSpaInputs {
  AdaSpaProblem problem;
  int text_tokens = 0;
  std::vector<float> q, k;       // in the problem's layout
  std::vector<float> key_bias;   // [B,S], or empty
  std::vector<float> lse;        // [B,H,S]: incoming

  std::int64_t At(int all_head, int token) const {
    const AdaSpaProblem& p = problem;
    const Strides s = StridesOf({p.batch, p.heads, p.tokens, 1, 1}, p.head_dim, p.layout);
    return all_head / p.heads * s.batch + all_head % p.heads * s.head + token * s.token;
  }
};

// Rows and columns of W: video blocks, then blocks of text.
struct Blocks {
  int size, video, text, video_first, text_first;
  explicit Blocks(const AdaSpaInputs& in)
      : size(in.problem.block_size),
        video(in.problem.tokens - in.text_tokens),
        text(in.text_tokens),
        video_first(in.problem.text == TextPosition::kFirst ? in.text_tokens : 0),
        text_first(in.problem.text == TextPosition::kFirst ? 0 : video) {}
  int VideoBlocks() const { return (video + size - 1) / size; }
  int All() const { return VideoBlocks() + (text + size - 1) / size; }
  int BlockOf(int token) const {
    const bool is_video = token >= video_first && token < video_first + video;
    return is_video ? (token - video_first) / size : VideoBlocks() + (token - text_first) / size;
  }
  // Tokens of block i.
  void Range(int block, int* first, int* last) const {
    const bool is_video = block < VideoBlocks();
    const int before = (is_video ? block : block - VideoBlocks()) * size;
    *first = (is_video ? video_first : text_first) + before;
    *last = *first + std::min(size, (is_video ? video : text) - before);
  }
};

// Scores of one query.
inline std::vector<double> AdaSpaScores(const AdaSpaInputs& in, int all_head, int query) {
  const AdaSpaProblem& p = in.problem;
  std::vector<double> scores(p.tokens);
  const float* q = &in.q[in.At(all_head, query)];
  for (int c = 0; c < p.tokens; ++c) {
    const float* k = &in.k[in.At(all_head, c)];
    scores[c] = static_cast<double>(p.scale) * Dot(q, k, p.head_dim);
    if (!in.key_bias.empty()) scores[c] += in.key_bias[all_head / p.heads * p.tokens + c];
  }
  return scores;
}

inline double LogSumExp(const std::vector<double>& scores) {
  const double high = *std::max_element(scores.begin(), scores.end());
  if (high == -kHugeValue) return kHugeValue;
  double sum = 0;
  for (const double s : scores) sum += std::exp(s - high);
  return high + std::log(sum);
}

struct AdaSpaHead {
  std::vector<double> lse;   // [S]
  std::vector<double> mass;  // [All][All]
  double recall = 0;
};

inline int KeptBlocks(double density, int blocks) {
  const int nearest = static_cast<int>(std::floor((density + 1e-6) * blocks + .5));
  return std::min(std::max(nearest, 1), blocks);
}

// Adds the row of W that is query block `block` to `mass` [All]; lse by token of the head.
template <typename Lse>
void AddMassOfQuery(const AdaSpaInputs& in, const Blocks& blocks, int all_head, int query,
                    const Lse& lse_of, std::vector<double>& mass, double* own_lse) {
  const std::vector<double> scores = AdaSpaScores(in, all_head, query);
  if (own_lse != nullptr) *own_lse = LogSumExp(scores);
  const double lse = lse_of(query, own_lse);
  if (lse == kHugeValue) return;
  for (int c = 0; c < in.problem.tokens; ++c) mass[blocks.BlockOf(c)] += std::exp(scores[c] - lse);
}

inline AdaSpaHead SearchHead(const AdaSpaInputs& in, int all_head, bool cold) {
  const AdaSpaProblem& p = in.problem;
  const Blocks blocks(in);
  const int all = blocks.All(), video = blocks.VideoBlocks();
  AdaSpaHead head;
  head.lse.resize(p.tokens);
  head.mass.assign(static_cast<std::size_t>(all) * all, 0);
  ParallelFor(
      all,
      [&](int block) {
        int first, last;
        blocks.Range(block, &first, &last);
        std::vector<double> mass(all, 0);
        for (int r = first; r < last; ++r) {
          double own = 0;
          AddMassOfQuery(
              in, blocks, all_head, r,
              [&](int query, const double* o) {
                return cold ? *o
                            : static_cast<double>(
                                  in.lse[static_cast<std::size_t>(all_head) * p.tokens + query]);
              },
              mass, &own);
          head.lse[r] =
              cold ? own : in.lse[static_cast<std::size_t>(all_head) * p.tokens + r];
        }
        std::copy(mass.begin(), mass.end(), &head.mass[static_cast<std::size_t>(block) * all]);
      },
      1);
  const int kept = KeptBlocks(p.density, video);
  double dropped = 0;
  for (int i = 0; i < video; ++i) {
    std::vector<double> row(&head.mass[static_cast<std::size_t>(i) * all],
                            &head.mass[static_cast<std::size_t>(i) * all] + video);
    std::sort(row.begin(), row.end(), std::greater<>());
    dropped += std::accumulate(row.begin() + kept, row.end(), 0.0);
  }
  const double total = std::accumulate(head.mass.begin(), head.mass.end(), 0.0);
  head.recall = 1 - dropped / (total > 0 ? total : 1);
  return head;
}

// Blocks that each head of an element of the batch keeps.
inline std::vector<int> KeptOfHeads(const AdaSpaProblem& p, const std::vector<double>& recalls,
                                    int video_blocks) {
  const int heads = static_cast<int>(recalls.size());
  const double d = p.density, spread = std::min(d / 2, std::max(1 - d, 0.0));
  std::vector<int> ranked(heads), kept(heads);
  std::iota(ranked.begin(), ranked.end(), 0);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [&](int a, int b) { return recalls[a] > recalls[b]; });
  int giving = 0;
  for (const double r : recalls) giving += r > static_cast<double>(p.recall_threshold);
  giving = std::min(giving, heads / 2);
  for (int r = 0; r < heads; ++r) {
    kept[ranked[r]] = KeptBlocks(r < giving ? d - spread : r >= heads - giving ? d + spread : d,
                                 video_blocks);
  }
  return kept;
}

}  // namespace sparsedit::test

#endif  // SPARSEDIT_TEST_ADASPA_REFERENCE_H_
