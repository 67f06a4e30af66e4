// Block-sparse attention in float64 on the CPU, a row at a time, and random problems to try it on.
// Host code only.
#ifndef SPARSEDIT_TEST_ATTENTION_REFERENCE_H_
#define SPARSEDIT_TEST_ATTENTION_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <thread>
#include <vector>

#include "kernels/plan.h"
#include "test/dot.h"

namespace sparsedit::test {

// A small, portable generator: splitmix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  int Below(int bound) { return static_cast<int>(Next() % static_cast<std::uint64_t>(bound)); }
  double Normal() {
    double sum = 0.0;
    for (int i = 0; i < 4; ++i) sum += Uniform();
    return (sum - 2.0) * std::sqrt(3.0);
  }

 private:
  std::uint64_t state_;
};

// A plan in host memory.
struct HostPlan {
  PlanShape shape;
  std::vector<std::int32_t> query_order, key_order;  // empty: natural
  std::vector<std::int32_t> query_offsets, key_offsets, keep;

  const std::int32_t* KeepRow(int head, int segment) const {
    return keep.data() + (static_cast<std::int64_t>(head) * shape.query_segments + segment) *
                             KeepWords(shape.key_segments);
  }
  void SetKeep(int head, int query_segment, int key_segment) {
    const std::int64_t row = static_cast<std::int64_t>(head) * shape.query_segments + query_segment;
    std::int32_t& word = keep[row * KeepWords(shape.key_segments) + key_segment / 32];
    word = static_cast<std::int32_t>(static_cast<std::uint32_t>(word) | 1u << (key_segment % 32));
  }
  // Kept (query, key) pairs of a head over all pairs.
  double Density(int head) const {
    const std::int32_t* qo = query_offsets.data() + head * (shape.query_segments + 1);
    const std::int32_t* ko = key_offsets.data() + head * (shape.key_segments + 1);
    double pairs = 0.0;
    for (int i = 0; i < shape.query_segments; ++i) {
      double keys = 0.0;
      for (int j = 0; j < shape.key_segments; ++j) {
        if (Keeps(KeepRow(head, i), j)) keys += ko[j + 1] - ko[j];
      }
      pairs += keys * (qo[i + 1] - qo[i]);
    }
    return pairs / shape.tokens / KeyTokens(shape);
  }
};

// Segment starts of `segments` runs over `tokens`: sizes with a long tail (the square of a uniform
// number, plus a floor), some of them empty if `with_empty`.
inline std::vector<std::int32_t> SkewedOffsets(Random& random, int tokens, int segments,
                                               bool with_empty) {
  std::vector<double> weights(segments);
  for (double& w : weights) {
    const double u = random.Uniform();
    w = with_empty && random.Below(8) == 0 ? 0.0 : 0.15 + 2.5 * u * u;
  }
  if (std::accumulate(weights.begin(), weights.end(), 0.0) == 0.0) weights[0] = 1.0;
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::int32_t> offsets(segments + 1, 0);
  double sum = 0.0;
  for (int i = 0; i < segments; ++i) {
    sum += weights[i];
    offsets[i + 1] = static_cast<std::int32_t>(std::llround(sum / total * tokens));
  }
  offsets[segments] = tokens;
  for (int i = segments; i > 0 && offsets[i - 1] > offsets[i]; --i) offsets[i - 1] = offsets[i];
  return offsets;
}

inline std::vector<std::int32_t> RandomOrder(Random& random, int tokens) {
  std::vector<std::int32_t> order(tokens);
  std::iota(order.begin(), order.end(), 0);
  for (int i = tokens - 1; i > 0; --i) std::swap(order[i], order[random.Below(i + 1)]);
  return order;
}

// Skewed segments in random orders; each pair of segments kept with probability `density`.
inline HostPlan RandomPlan(Random& random, const PlanShape& shape, double density,
                           bool with_empty, bool with_order) {
  HostPlan plan;
  plan.shape = shape;
  const int heads = shape.batch * shape.heads;
  plan.keep.assign(
      static_cast<std::size_t>(heads) * shape.query_segments * KeepWords(shape.key_segments), 0);
  auto append = [](std::vector<std::int32_t>& to, const std::vector<std::int32_t>& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  for (int head = 0; head < heads; ++head) {
    append(plan.query_offsets,
           SkewedOffsets(random, shape.tokens, shape.query_segments, with_empty));
    append(plan.key_offsets,
           SkewedOffsets(random, KeyTokens(shape), shape.key_segments, with_empty));
    if (with_order) {
      append(plan.query_order, RandomOrder(random, shape.tokens));
      append(plan.key_order, RandomOrder(random, KeyTokens(shape)));
    }
    for (int i = 0; i < shape.query_segments; ++i) {
      for (int j = 0; j < shape.key_segments; ++j) {
        if (random.Uniform() < density) plan.SetKeep(head, i, j);
      }
    }
  }
  return plan;
}

// Blocks of `size` tokens with a text segment of `text` tokens before or after them (none: 0), and two
// empty segments after the blocks. Keeps each pair of blocks with the chance `density`, or where
// `band` >= 0 those up to so many blocks apart and the first two; text keeps all and is kept by all.
// Every second head has random orders where `with_order`, the others the natural one, spelt out.
inline HostPlan BlockPlan(Random& random, const PlanShape& extents, int size, int text,
                          bool text_first, double density, int band, bool with_order) {
  const int video = extents.tokens - text, blocks = (video + size - 1) / size;
  const int shift = text > 0 && text_first ? 1 : 0;
  HostPlan plan;
  plan.shape = extents;
  plan.shape.query_segments = plan.shape.key_segments = blocks + 2 + (text > 0 ? 1 : 0);
  const PlanShape& s = plan.shape;
  const int heads = s.batch * s.heads;
  plan.keep.assign(
      static_cast<std::size_t>(heads) * s.query_segments * KeepWords(s.key_segments), 0);
  for (int head = 0; head < heads; ++head) {
    std::vector<std::int32_t> starts = {0};
    if (shift) starts.push_back(text);
    for (int i = 1; i <= blocks + 2; ++i) {
      starts.push_back(shift * text + std::min(video, i * size));
    }
    if (text > 0 && !shift) starts.push_back(extents.tokens);
    plan.query_offsets.insert(plan.query_offsets.end(), starts.begin(), starts.end());
    if (with_order) {
      for (std::vector<std::int32_t>* order : {&plan.query_order, &plan.key_order}) {
        std::vector<std::int32_t> own = RandomOrder(random, extents.tokens);
        if (head % 2 == 1) std::iota(own.begin(), own.end(), 0);
        order->insert(order->end(), own.begin(), own.end());
      }
    }
    for (int i = 0; i < s.query_segments; ++i) {
      for (int j = 0; j < s.key_segments; ++j) {
        const int a = i - shift, b = j - shift;
        const bool of_text = text > 0 && (a < 0 || b < 0 || a == blocks + 2 || b == blocks + 2);
        const bool kept = band >= 0 ? b < 2 || std::abs(a - b) <= band : random.Uniform() < density;
        if (of_text || (kept && a < blocks && b < blocks)) plan.SetKeep(head, i, j);
      }
    }
  }
  plan.key_offsets = plan.query_offsets;
  return plan;
}

// A problem in host memory; q, k and v hold values that their type represents exactly.
struct HostAttention {
  HostPlan plan;
  int head_dim = 0;
  Layout layout = Layout::kBhsd;
  float scale = 0.0f;
  bool dense = false;
  std::vector<float> q, k, v;
  std::vector<float> key_bias;           // empty: none
  std::vector<float> means_k, means_v;   // empty: no compensation
  std::vector<float> means_bias;         // of the pseudo-keys; filled with the means

  std::int64_t At(int batch, int head, int token) const {
    return At(batch, head, token, plan.shape.tokens);
  }
  // The same in k and v.
  std::int64_t KeyAt(int batch, int head, int token) const {
    return At(batch, head, token, KeyTokens(plan.shape));
  }

 private:
  std::int64_t At(int batch, int head, int token, int tokens) const {
    const int heads = plan.shape.heads;
    return (layout == Layout::kBhsd
                ? (static_cast<std::int64_t>(batch) * heads + head) * tokens + token
                : (static_cast<std::int64_t>(batch) * tokens + token) * heads + head) *
           head_dim;
  }
};

// Means of K and V over the key segments, [B,H,Nk,D], a key weighing exp(bias), and the logarithms of
// the weights [B,H,Nk]; 0 and -inf for a segment that weighs nothing.
inline void FillMeans(HostAttention& a) {
  const PlanShape& s = a.plan.shape;
  a.means_k.assign(static_cast<std::size_t>(s.batch) * s.heads * s.key_segments * a.head_dim, 0);
  a.means_v = a.means_k;
  a.means_bias.assign(static_cast<std::size_t>(s.batch) * s.heads * s.key_segments,
                      -std::numeric_limits<float>::infinity());
  for (int bh = 0; bh < s.batch * s.heads; ++bh) {
    const std::int32_t* offsets =
        a.plan.key_offsets.data() + static_cast<std::int64_t>(bh) * (s.key_segments + 1);
    for (int j = 0; j < s.key_segments; ++j) {
      std::vector<double> k(a.head_dim, 0.0), v(a.head_dim, 0.0);
      double size = 0.0;
      for (int p = offsets[j]; p < offsets[j + 1]; ++p) {
        const int token =
            a.plan.key_order.empty()
                ? p
                : a.plan.key_order[static_cast<std::int64_t>(bh) * KeyTokens(s) + p];
        const std::int64_t at = a.KeyAt(bh / s.heads, bh % s.heads, token);
        const double weight =
            a.key_bias.empty()
                ? 1.0
                : std::exp(static_cast<double>(
                      a.key_bias[static_cast<std::int64_t>(bh / s.heads) * KeyTokens(s) + token]));
        size += weight;
        for (int d = 0; d < a.head_dim; ++d) {
          k[d] += weight * a.k[at + d];
          v[d] += weight * a.v[at + d];
        }
      }
      if (size == 0.0) continue;
      const std::int64_t segment = static_cast<std::int64_t>(bh) * s.key_segments + j;
      a.means_bias[segment] = static_cast<float>(std::log(size));
      for (int d = 0; d < a.head_dim; ++d) {
        a.means_k[segment * a.head_dim + d] = static_cast<float>(k[d] / size);
        a.means_v[segment * a.head_dim + d] = static_cast<float>(v[d] / size);
      }
    }
  }
}

// Output and LSE of the query at `position` (of the query order) of head bh; returns its token.
inline int AttentionRow(const HostAttention& a, int bh, int position, double* out, double* lse) {
  const PlanShape& s = a.plan.shape;
  const int batch = bh / s.heads, head = bh % s.heads;
  const std::int64_t order_at = static_cast<std::int64_t>(bh) * s.tokens;
  const bool ordered = !a.dense;
  const int token = ordered && !a.plan.query_order.empty()
                        ? a.plan.query_order[order_at + position]
                        : position;
  const float* q = a.q.data() + a.At(batch, head, token);

  struct Term {
    double score;
    const float* value;
  };
  std::vector<Term> terms;
  auto add = [&](const float* key, const float* value, double bias) {
    terms.push_back({Dot(q, key, a.head_dim) * a.scale + bias, value});
  };
  auto add_position = [&](int p) {
    const std::int64_t keys_at = static_cast<std::int64_t>(bh) * KeyTokens(s);
    const int t = ordered && !a.plan.key_order.empty() ? a.plan.key_order[keys_at + p] : p;
    const std::int64_t at = a.KeyAt(batch, head, t);
    add(a.k.data() + at, a.v.data() + at,
        a.key_bias.empty() ? 0.0 : a.key_bias[static_cast<std::int64_t>(batch) * KeyTokens(s) + t]);
  };
  if (a.dense) {
    for (int p = 0; p < KeyTokens(s); ++p) add_position(p);
  } else {
    const std::int32_t* query_offsets =
        a.plan.query_offsets.data() + static_cast<std::int64_t>(bh) * (s.query_segments + 1);
    const std::int32_t* key_offsets =
        a.plan.key_offsets.data() + static_cast<std::int64_t>(bh) * (s.key_segments + 1);
    int segment = 0;
    while (query_offsets[segment + 1] <= position) ++segment;
    const std::int32_t* keep = a.plan.KeepRow(bh, segment);
    for (int j = 0; j < s.key_segments; ++j) {
      if (Keeps(keep, j)) {
        for (int p = key_offsets[j]; p < key_offsets[j + 1]; ++p) add_position(p);
      } else if (!a.means_k.empty() && key_offsets[j + 1] > key_offsets[j]) {
        const std::int64_t of = static_cast<std::int64_t>(bh) * s.key_segments + j;
        add(a.means_k.data() + of * a.head_dim, a.means_v.data() + of * a.head_dim,
            a.means_bias[of]);
      }
    }
  }
  const double infinity = std::numeric_limits<double>::infinity();
  double maximum = -infinity;
  for (const Term& term : terms) maximum = std::max(maximum, term.score);
  std::fill(out, out + a.head_dim, 0.0);
  double sum = 0.0;
  if (maximum > -infinity) {
    for (const Term& term : terms) {
      const double p = std::exp(term.score - maximum);
      sum += p;
      for (int d = 0; d < a.head_dim; ++d) out[d] += p * term.value[d];
    }
    for (int d = 0; d < a.head_dim; ++d) out[d] /= sum;
  }
  *lse = sum > 0.0 ? maximum + std::log(sum) : -infinity;
  return token;
}

// Runs job(i) for i in [0, count) on all cores.
inline void ParallelFor(int count, const std::function<void(int)>& job) {
  const int workers = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (int w = 0; w < workers; ++w) {
    threads.emplace_back([=, &job] {
      for (int i = w; i < count; i += workers) job(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace sparsedit::test

#endif  // SPARSEDIT_TEST_ATTENTION_REFERENCE_H_
