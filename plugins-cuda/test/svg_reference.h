// SVG's planning in float64 and by counting on the CPU, from its definition: every pair of blocks,
// every key. Host code without CUDA.
#ifndef SPARSEDIT_TEST_SVG_REFERENCE_H_
#define SPARSEDIT_TEST_SVG_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/band_plan.h"
#include "kernels/head_classes.h"
#include "test/attention_reference.h"
#include "test/dot.h"

namespace sparsedit::test {

// A video and its text.
struct Clip {
  int frames, height, width, text;
  TextPosition position;

  int per_frame() const { return height * width; }
  int video() const { return frames * per_frame(); }
  int tokens() const { return video() + text; }
  int start() const { return position == TextPosition::kFirst ? text : 0; }
  bool IsText(int token) const { return token < start() || token >= start() + video(); }
};

// Video tokens by position.
inline std::vector<int> OrderOfClass(const Clip& clip, bool temporal) {
  std::vector<int> order;
  if (!temporal) {
    for (int t = 0; t < clip.video(); ++t) order.push_back(t);
    return order;
  }
  for (int patch = 0; patch < clip.per_frame(); ++patch) {
    for (int frame = 0; frame < clip.frames; ++frame) {
      order.push_back(frame * clip.per_frame() + patch);
    }
  }
  return order;
}

// The plan of a head of one class, block by block.
struct ReferencePlan {
  std::vector<int> query_order, key_order, query_offsets, key_offsets;
  std::vector<std::vector<bool>> keep;
  int band = 0;
};

inline ReferencePlan PlanOfClass(const BandPlanProblem& p, const Clip& clip, bool temporal,
                                 bool everything) {
  const int room = static_cast<int>(CeilDiv(p.tokens, p.block_size)), video = clip.video();
  const std::vector<int> order = OrderOfClass(clip, temporal);
  const bool corrected = p.sink == FrameSink::kCorrected;
  std::vector<int> keys;  // by position, those of the corrected sink first
  std::vector<std::int64_t> sizes(room), key_sizes(room);
  if (corrected) {
    for (int t = 0; t < clip.per_frame(); ++t) keys.push_back(t);
  }
  for (int i = 0; i < video; ++i) {
    ++sizes[i / p.block_size];
    if (corrected && order[i] < clip.per_frame()) continue;
    ++key_sizes[i / p.block_size];
    keys.push_back(order[i]);
  }
  std::vector<bool> always(room);
  for (int j = 0; j < room; ++j) {
    always[j] = p.sink == FrameSink::kPublished &&
                static_cast<std::int64_t>(j) * p.block_size < clip.per_frame();
  }
  const auto pairs = [&](int m) {
    std::int64_t kept = 0;
    for (int i = 0; i < room; ++i) {
      if (corrected) kept += sizes[i] * clip.per_frame();
      for (int j = 0; j < room; ++j) {
        if (always[j] || std::abs(i - j) <= m) kept += sizes[i] * key_sizes[j];
      }
    }
    return kept;
  };
  ReferencePlan plan;
  if (p.budget) {
    const double all = static_cast<double>(video) * video;
    const double limit = std::floor(all * static_cast<double>(p.density));
    while (plan.band + 1 < room && static_cast<double>(pairs(plan.band + 1)) <= limit) ++plan.band;
  } else {
    const double length = p.tokens;
    const double share = static_cast<double>(p.density) - 2.0 * clip.text / length;
    const double tokens = length * (1 - std::sqrt(std::clamp(1 - share, 0.0, 1.0)));
    const double exact = tokens / p.block_size;
    plan.band = static_cast<int>(p.text == TextPosition::kNone ? std::ceil(exact - 1e-4)
                                                               : std::floor(exact + 1e-4));
  }

  const auto add = [](std::vector<int>& offsets, std::int64_t size) {
    offsets.push_back(offsets.back() + static_cast<int>(size));
  };
  const bool has_text = p.text != TextPosition::kNone;
  plan.query_offsets = plan.key_offsets = {0};
  for (const bool before : {true, false}) {
    if (has_text && before == (p.text == TextPosition::kFirst)) {
      add(plan.query_offsets, clip.text);
      add(plan.key_offsets, clip.text);
      for (int t = 0; t < clip.tokens(); ++t) {
        if (!clip.IsText(t)) continue;
        plan.query_order.push_back(t);
        plan.key_order.push_back(t);
      }
    }
    if (!before) continue;
    if (corrected) add(plan.key_offsets, clip.per_frame());
    for (int i = 0; i < room; ++i) {
      add(plan.query_offsets, sizes[i]);
      add(plan.key_offsets, key_sizes[i]);
    }
    for (const int t : order) plan.query_order.push_back(clip.start() + t);
    for (const int t : keys) plan.key_order.push_back(clip.start() + t);
  }
  const int query_segments = static_cast<int>(plan.query_offsets.size()) - 1;
  const int key_segments = static_cast<int>(plan.key_offsets.size()) - 1;
  const int blocks = static_cast<int>(CeilDiv(video, p.block_size));
  const int lead = p.text == TextPosition::kFirst ? 1 : 0;
  const int text = p.text == TextPosition::kFirst ? 0 : key_segments - 1;
  plan.keep.assign(query_segments, std::vector<bool>(key_segments, everything));
  for (int i = 0; i < query_segments; ++i) {
    const int row = i - lead;
    for (int j = 0; j < key_segments; ++j) {
      const int column = j - lead - (corrected ? 1 : 0);
      const bool text_row = has_text && (row < 0 || row == room);
      bool kept = text_row || (has_text && j == text);
      if (!text_row && row < blocks && !(has_text && j == text)) {
        kept = kept || (corrected && column < 0) ||
               (column >= 0 && column < blocks &&
                (always[column] || std::abs(row - column) <= plan.band));
      }
      if (kept) plan.keep[i][j] = true;
    }
  }
  return plan;
}

// Activations of a site in host memory, already rounded to their type.
struct HostSite {
  HeadClassesProblem p;
  Clip clip;
  std::vector<float> q, k, v, key_bias;  // key_bias [B,S] or empty

  std::int64_t At(int b, int h, int t) const {
    const std::int64_t heads = p.heads, tokens = p.tokens;
    return (p.layout == Layout::kBhsd ? (b * heads + h) * tokens + t
                                      : (b * tokens + t) * heads + h) *
           p.head_dim;
  }
};

struct ProfileErrors {
  double spatial, temporal;
  double square;  // of O

  bool IsTemporal() const {
    return temporal + static_cast<double>(kHeadClassSlack) * square < spatial;
  }
};

// The sums of squares that a head's class is told from.
inline ProfileErrors ErrorsOf(const HostSite& site, int b, int h) {
  const HeadClassesProblem& p = site.p;
  const Clip& clip = site.clip;
  const int video = clip.video(), per_frame = clip.per_frame();
  const int reach = std::max(
      1, static_cast<int>(std::floor((static_cast<double>(p.profile_frames) + 1e-6) * per_frame)) /
             p.block_size);
  std::vector<int> positions[2];
  for (const bool temporal : {false, true}) {
    const std::vector<int> order = OrderOfClass(clip, temporal);
    positions[temporal].resize(video);
    for (int i = 0; i < video; ++i) positions[temporal][order[i]] = i;
  }
  const auto sees = [&](int row, int key, bool temporal) {
    if (clip.IsText(key)) return true;
    const int token = key - clip.start(), position = positions[temporal][token];
    if (p.sink == FrameSink::kPublished && position < per_frame) return true;
    if (p.sink == FrameSink::kCorrected && token < per_frame) return true;
    return std::abs(positions[temporal][row] / p.block_size - position / p.block_size) < reach;
  };
  std::vector<ProfileErrors> of_rows(p.sampled_rows);
  ParallelFor(p.sampled_rows, [&](int j) {
    const int row = static_cast<int>((2LL * j + 1) * video / (2LL * p.sampled_rows));
    const float* q = &site.q[site.At(b, h, clip.start() + row)];
    std::vector<double> scores(p.tokens);
    for (int t = 0; t < p.tokens; ++t) {
      const float* k = &site.k[site.At(b, h, t)];
      scores[t] = Dot(q, k, p.head_dim) * p.scale;
      if (!site.key_bias.empty()) {
        scores[t] += site.key_bias[static_cast<std::int64_t>(b) * p.tokens + t];
      }
    }
    std::vector<double> outputs[3];
    for (int m = 0; m < 3; ++m) {
      std::vector<double>& o = outputs[m];
      o.assign(p.head_dim, 0);
      double maximum = -INFINITY, sum = 0;
      const auto in = [&](int t) { return m == 0 || sees(row, t, m == 2); };
      for (int t = 0; t < p.tokens; ++t) {
        if (in(t)) maximum = std::max(maximum, scores[t]);
      }
      if (maximum == -INFINITY) continue;
      for (int t = 0; t < p.tokens; ++t) {
        if (!in(t)) continue;
        const double mass = std::exp(scores[t] - maximum);
        if (mass == 0) continue;
        const float* v = &site.v[site.At(b, h, t)];
        sum += mass;
        for (int d = 0; d < p.head_dim; ++d) o[d] += mass * v[d];
      }
      for (double& x : o) x /= sum;
    }
    double errors[2] = {0, 0}, square = 0;
    for (const double x : outputs[0]) square += x * x;
    for (int c = 0; c < 2; ++c) {
      for (int d = 0; d < p.head_dim; ++d) {
        const double difference = outputs[c + 1][d] - outputs[0][d];
        errors[c] += difference * difference;
      }
    }
    of_rows[j] = {errors[0], errors[1], square};
  });
  ProfileErrors all = {0, 0, 0};
  for (const ProfileErrors& e : of_rows) {
    all.spatial += e.spatial;
    all.temporal += e.temporal;
    all.square += e.square;
  }
  return all;
}

}  // namespace sparsedit::test

#endif  // SPARSEDIT_TEST_SVG_REFERENCE_H_
