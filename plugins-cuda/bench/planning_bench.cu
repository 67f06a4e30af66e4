// Times SVG2's planning on the shapes of real models and checks what it timed.
//
//   planning_bench [--data skewed|random] [--path portable|auto] [--layout bshd|bhsd] [--repeat N]
//                  SHAPE ...
//   SHAPE wan, hunyuan, cogvideo, wan-small
//
// Tokens are bf16. random: independent normal numbers. skewed: 500 normal centres a head,
// centre k drawn with a chance of about 1/(k+1), plus noise of .7. Centroids start from a COLD plan
// of 3 iterations; timed are a warm plan of 2 iterations, the scores and selection (p .9, at least a
// tenth), and the means of K and V, each as a CUDA graph, median of the repeats.
//
// Checked in the same run: the two timed iterations are two launches of one iteration each, to the
// bit; labels of sampled tokens are nearest centroids in float64 up to near ties; all orders are
// permutations by cluster; sampled centroids and means are means; sampled rows of the selection are
// prefixes with the mass asked for.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "bench/bench_data.cuh"
#include "bench/graph_timing.h"
#include "kernels/kmeans.h"
#include "kernels/plan_scores.h"
#include "kernels/segment_means.h"
#include "test/device_array.h"
#include "test/svg2_reference.h"

namespace sparsedit::bench {
namespace {

using test::DeviceArray;

__global__ void FillTokens(__nv_bfloat16* x, int heads, int tokens, int dim, std::int64_t count,
                           bool skewed, bool head_major, std::uint64_t seed) {
  constexpr int kCentres = 500;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(blockDim.x) + threadIdx.x; i < count;
       i += stride) {
    float v = Normal(seed + i);
    if (skewed) {
      const std::int64_t token = i / dim;  // of all heads
      const std::int64_t head =
          head_major ? token / tokens : token / heads / tokens * heads + token % heads;
      const int centre = static_cast<int>(
          expf(Uniform(seed * 3 + token) * logf(kCentres + 1.f))) - 1;
      v = .7f * v + Normal(seed * 5 + (head * kCentres + centre) * dim + i % dim);
    }
    x[i] = __float2bfloat16_rn(v);
  }
}

struct SideArrays {
  DeviceArray<__nv_bfloat16> x;
  DeviceArray<float> start, middle, end;  // centroids before, after one and after two iterations
  DeviceArray<std::int32_t> order, offsets;
};

// Faults found on the host in one side's outputs.
struct Verdict {
  std::int64_t near_ties = 0, sampled = 0, wrong = 0;
  double worst_mean = 0;
};

int failures = 0;

void Run(const Shape& shape, bool skewed, KmeansPath path, Layout layout, int repeat) {
  cudaStream_t stream;
  CUDA_OK(cudaStreamCreate(&stream));
  const int heads = shape.batch * shape.heads, dim = shape.head_dim;
  const std::int64_t count = static_cast<std::int64_t>(heads) * shape.tokens * dim;
  const int video = shape.tokens - shape.text_tokens;
  const int first_video = shape.text == TextPosition::kFirst ? shape.text_tokens : 0;
  const int clusters[2] = {shape.query_clusters, shape.key_clusters};

  KmeansProblem problem{shape.batch, shape.heads, shape.tokens, dim, DataType::kBFloat16,
                        layout, clusters[0], clusters[1], shape.text, shape.text_tokens, 2, 3};
  SideArrays side[2];
  for (int i = 0; i < 2; ++i) {
    SideArrays& s = side[i];
    s.x = DeviceArray<__nv_bfloat16>(count);
    FillTokens<<<2048, 256, 0, stream>>>(s.x.get(), shape.heads, shape.tokens, dim, count, skewed,
                                         layout == Layout::kBhsd, 1000 + i * 77);
    for (DeviceArray<float>* c : {&s.start, &s.middle, &s.end}) {
      *c = DeviceArray<float>(static_cast<std::size_t>(heads) * clusters[i] * dim);
      c->Poison();
    }
    s.order = DeviceArray<std::int32_t>(static_cast<std::size_t>(heads) * shape.tokens);
    s.offsets = DeviceArray<std::int32_t>(static_cast<std::size_t>(heads) *
                                          (SegmentsOf(clusters[i], shape.text) + 1));
    s.order.Poison();
    s.offsets.Poison();
  }
  DeviceArray<std::int32_t> cold(std::vector<std::int32_t>{6}), warm(std::vector<std::int32_t>{2});
  DeviceArray<char> workspace(KmeansWorkspaceSize(problem));
  workspace.Poison();
  const auto launch = [&](const DeviceArray<std::int32_t>& action, int iterations,
                          DeviceArray<float> SideArrays::*from, DeviceArray<float> SideArrays::*to) {
    KmeansBuffers b;
    b.q = side[0].x.get();
    b.k = side[1].x.get();
    b.action = action.get();
    b.query_centroids_in = (side[0].*from).get();
    b.key_centroids_in = (side[1].*from).get();
    b.query_centroids = (side[0].*to).get();
    b.key_centroids = (side[1].*to).get();
    b.plan.query_order = side[0].order.get();
    b.plan.key_order = side[1].order.get();
    b.plan.query_offsets = side[0].offsets.get();
    b.plan.key_offsets = side[1].offsets.get();
    KmeansProblem p = problem;
    p.iterations = iterations;
    Require(LaunchKmeans(p, b, workspace.get(), workspace.size(), stream, path));
  };
  launch(cold, 2, &SideArrays::middle, &SideArrays::start);
  launch(warm, 1, &SideArrays::start, &SideArrays::middle);
  launch(warm, 1, &SideArrays::middle, &SideArrays::end);
  CUDA_OK(cudaStreamSynchronize(stream));
  std::vector<std::vector<float>> stepwise;
  std::vector<std::vector<std::int32_t>> stepwise_orders;
  for (SideArrays& s : side) {
    stepwise.push_back(s.end.Get());
    stepwise_orders.push_back(s.order.Get());
    s.end.Poison();
    s.order.Poison();
    s.offsets.Poison();
  }
  const double kmeans_ms = Time(stream, repeat, [&] {
    launch(warm, 2, &SideArrays::start, &SideArrays::end);
  });

  Verdict verdict[2];
  double giant[2] = {};
  for (int i = 0; i < 2; ++i) {
    SideArrays& s = side[i];
    const std::vector<float> from = s.middle.Get(), to = s.end.Get();
    const std::vector<std::int32_t> order = s.order.Get(), offsets = s.offsets.Get();
    std::vector<__nv_bfloat16> x = s.x.Get();
    if (!test::SameBytes(to, stepwise[i]) || !test::SameBytes(order, stepwise_orders[i])) {
      std::printf("side %d: two iterations in one launch differ from two launches\n", i);
      ++failures;
    }
    const int segments = SegmentsOf(clusters[i], shape.text);
    const int shift = shape.text == TextPosition::kFirst ? 1 : 0;
    std::atomic<std::int64_t> near_ties{0}, sampled{0}, wrong{0}, largest{0};
    std::vector<double> errors(heads);
    const auto check_head = [&](int bh) {
      const auto token_at = [&](int token, std::vector<double>& to_row) {
        const std::int64_t row =
            layout == Layout::kBhsd
                ? static_cast<std::int64_t>(bh) * shape.tokens + token
                : (static_cast<std::int64_t>(bh / shape.heads) * shape.tokens + token) * shape.heads +
                      bh % shape.heads;
        for (int d = 0; d < dim; ++d) to_row[d] = __bfloat162float(x[row * dim + d]);
      };
      const std::int32_t* o = &order[static_cast<std::size_t>(bh) * shape.tokens];
      const std::int32_t* f = &offsets[static_cast<std::size_t>(bh) * (segments + 1)];
      std::vector<int> labels(shape.tokens, -1);
      bool valid = f[0] == 0 && f[segments] == shape.tokens;
      for (int j = 0; valid && j < segments; ++j) {
        valid = f[j] <= f[j + 1] && f[j + 1] <= shape.tokens;
        for (int p = f[j]; valid && p < f[j + 1]; ++p) {
          valid = o[p] >= 0 && o[p] < shape.tokens && labels[o[p]] < 0 && (p == f[j] || o[p - 1] < o[p]);
          if (valid) labels[o[p]] = j - shift;
        }
      }
      if (!valid) {
        wrong += 1000000;
        return;
      }
      test::Matrix centroids(clusters[i], dim);
      std::copy_n(&from[static_cast<std::size_t>(bh) * clusters[i] * dim], centroids.values.size(),
                  centroids.values.begin());
      std::vector<double> norms(clusters[i]), token(dim), sum(dim);
      for (int j = 0; j < clusters[i]; ++j) norms[j] = test::Dot(centroids[j], centroids[j], dim);
      for (int n = 0; n < 150; ++n) {
        const int t = first_video + static_cast<int>((n * 7919LL + bh * 104729LL) % video);
        token_at(t, token);
        double best = INFINITY, own = 0;
        int nearest = 0;
        for (int j = 0; j < clusters[i]; ++j) {
          const double score = norms[j] - 2 * test::Dot(token.data(), centroids[j], dim);
          if (score < best) best = score, nearest = j;
          if (j == labels[t]) own = score;
        }
        ++sampled;
        if (nearest == labels[t]) continue;
        const double size = test::Dot(token.data(), token.data(), dim);
        const double norm = std::sqrt(std::max(norms[nearest], norms[labels[t]]));
        const double tolerance =
            std::ldexp(norm * (std::sqrt(std::max(0., size + own)) + std::sqrt(std::max(0., size + best))), -11) +
            2e-6 * norm * (norm + std::sqrt(size));
        ++(own - best <= tolerance ? near_ties : wrong);
      }
      for (int n = 0; n < 12; ++n) {
        const int j = static_cast<int>((n * 37LL + bh * 11LL) % clusters[i]);
        const int begin = f[j + shift], end = f[j + shift + 1];
        if (begin == end) continue;
        std::fill(sum.begin(), sum.end(), 0.);
        for (int p = begin; p < end; ++p) {
          token_at(o[p], token);
          for (int d = 0; d < dim; ++d) sum[d] += token[d];
        }
        for (int d = 0; d < dim; ++d) {
          const double got = to[(static_cast<std::size_t>(bh) * clusters[i] + j) * dim + d];
          const double error = std::abs(sum[d] / (end - begin) - got);
          errors[bh] = std::isnan(error) ? INFINITY : std::max(errors[bh], error);
        }
      }
      for (int j = 0; j < clusters[i]; ++j) {
        std::int64_t seen = largest;
        const std::int64_t size = f[j + shift + 1] - f[j + shift];
        while (size > seen && !largest.compare_exchange_weak(seen, size)) {
        }
      }
    };
    test::ParallelFor(heads, check_head, 1);
    verdict[i] = {near_ties, sampled, wrong, *std::max_element(errors.begin(), errors.end())};
    giant[i] = static_cast<double>(largest) / video;
    if (wrong > 0 || verdict[i].worst_mean > 2e-5) ++failures;
  }

  // Scores and selection on the centroids just made.
  PlanScoresProblem scores;
  scores.batch = shape.batch;
  scores.heads = shape.heads;
  scores.query_clusters = clusters[0];
  scores.key_clusters = clusters[1];
  scores.head_dim = dim;
  scores.text = shape.text;
  scores.scale = 1.f / std::sqrt(static_cast<float>(dim));
  const int query_segments = SegmentsOf(clusters[0], shape.text);
  const int key_segments = SegmentsOf(clusters[1], shape.text), words = KeepWords(key_segments);
  DeviceArray<std::int32_t> keep(static_cast<std::size_t>(heads) * query_segments * words);
  DeviceArray<char> scores_workspace(PlanScoresWorkspaceSize(scores));
  keep.Poison();
  PlanScoresBuffers sb;
  sb.query_centroids = side[0].end.get();
  sb.key_centroids = side[1].end.get();
  sb.key_offsets = side[1].offsets.get();
  sb.action = warm.get();
  sb.keep = keep.get();
  const double scores_ms = Time(stream, repeat, [&] {
    Require(LaunchPlanScores(scores, sb, scores_workspace.get(), scores_workspace.size(), stream));
  });
  const std::vector<std::int32_t> bits = keep.Get(), key_offsets = side[1].offsets.Get(),
                                  query_offsets = side[0].offsets.Get();
  const std::vector<float> qc = side[0].end.Get(), kc = side[1].end.Get();
  double kept_pairs = 0;
  int bad_rows = 0;
  const int shift = shape.text == TextPosition::kFirst ? 1 : 0;
  for (int bh = 0; bh < heads; ++bh) {
    const std::int32_t* kf = &key_offsets[static_cast<std::size_t>(bh) * (key_segments + 1)] + shift;
    const std::int32_t* qf = &query_offsets[static_cast<std::size_t>(bh) * (query_segments + 1)] + shift;
    for (int i = 0; i < clusters[0]; ++i) {
      const std::int32_t* row =
          &bits[(static_cast<std::size_t>(bh) * query_segments + i + shift) * words];
      double keys = 0;
      int kept = 0;
      for (int j = 0; j < clusters[1]; ++j) {
        if (!Keeps(row, j + shift)) continue;
        keys += kf[j + 1] - kf[j];
        ++kept;
      }
      kept_pairs += keys * (qf[i + 1] - qf[i]);
      if (i % 41 != bh % 41) continue;
      std::vector<double> s(clusters[1]);
      std::vector<int> sizes(clusters[1]);
      for (int j = 0; j < clusters[1]; ++j) {
        double sum = 0;
        for (int d = 0; d < dim; ++d) {
          sum += static_cast<double>(qc[(static_cast<std::size_t>(bh) * clusters[0] + i) * dim + d]) *
                 kc[(static_cast<std::size_t>(bh) * clusters[1] + j) * dim + d];
        }
        s[j] = sum * scores.scale;
        sizes[j] = kf[j + 1] - kf[j];
      }
      const test::RankedRow ranked = test::RankRow(s, sizes);
      const int least = MinimumKept(scores.min_kept, clusters[1]);
      const int low = std::max(least, test::ExceedingPrefix(ranked.ranked, ranked.mass, .9 - 1e-4));
      const int high = std::max(least, test::ExceedingPrefix(ranked.ranked, ranked.mass, .9 + 1e-4));
      double lowest = INFINITY, highest = -INFINITY;
      for (int j = 0; j < clusters[1]; ++j) {
        (Keeps(row, j + shift) ? lowest : highest) =
            Keeps(row, j + shift) ? std::min(lowest, ranked.logits[j]) : std::max(highest, ranked.logits[j]);
      }
      bad_rows += kept < low || kept > high || lowest < highest - 1e-4;
    }
  }
  failures += bad_rows > 0;

  // Means of K and V (the queries stand in for V).
  SegmentMeansProblem means{shape.batch, shape.heads, shape.tokens, dim, key_segments, 2,
                            DataType::kBFloat16, layout};
  DeviceArray<float> mean[2];
  DeviceArray<char> means_workspace(SegmentMeansWorkspaceSize(means));
  SegmentMeansBuffers mb;
  for (int i = 0; i < 2; ++i) {
    mean[i] = DeviceArray<float>(static_cast<std::size_t>(heads) * key_segments * dim);
    mean[i].Poison();
    mb.x[i] = side[1 - i].x.get();
    mb.means[i] = mean[i].get();
  }
  mb.order = side[1].order.get();
  mb.offsets = side[1].offsets.get();
  const double means_ms = Time(stream, repeat, [&] {
    Require(LaunchSegmentMeans(means, mb, means_workspace.get(), means_workspace.size(), stream));
  });
  // The means of K over its clusters are the centroids that it was ordered by.
  const std::vector<float> key_means = mean[0].Get();
  double means_error = 0;
  for (int bh = 0; bh < heads; ++bh) {
    const std::int32_t* kf = &key_offsets[static_cast<std::size_t>(bh) * (key_segments + 1)] + shift;
    for (int j = 0; j < clusters[1]; ++j) {
      if (kf[j + 1] == kf[j]) continue;
      for (int d = 0; d < dim; ++d) {
        const double error = std::abs(
            key_means[(static_cast<std::size_t>(bh) * key_segments + j + shift) * dim + d] -
            kc[(static_cast<std::size_t>(bh) * clusters[1] + j) * dim + d]);
        means_error = std::isnan(error) ? INFINITY : std::max(means_error, error);
      }
    }
  }
  failures += means_error > 1e-5;

  const double flops = 2. * 2 * heads * static_cast<double>(video) * dim * (clusters[0] + clusters[1]);
  std::printf(
      "%-9s %-6s %-8s %s k-means 2 it %7.3f ms (%3.0f TFLOP/s)  scores+select %6.3f ms  means K,V %6.3f ms "
      "(%4.0f GB/s)  | largest %.3f/%.3f of S, density %.3f, sampled %lld near ties %lld wrong %lld, "
      "means to %.0e/%.0e, rows wrong %d%s\n",
      shape.name, skewed ? "skewed" : "random", path == KmeansPath::kPortable ? "portable" : "auto",
      layout == Layout::kBhsd ? "BHSD" : "BSHD",
      kmeans_ms, flops / kmeans_ms * 1e-9, scores_ms, means_ms,
      2. * count * 2 / means_ms * 1e-6, giant[0], giant[1],
      kept_pairs / heads / video / video,
      static_cast<long long>(verdict[0].sampled + verdict[1].sampled),
      static_cast<long long>(verdict[0].near_ties + verdict[1].near_ties),
      static_cast<long long>(verdict[0].wrong + verdict[1].wrong),
      std::max(verdict[0].worst_mean, verdict[1].worst_mean), means_error, bad_rows,
      failures > 0 ? "  FAILED" : "");
  std::fflush(stdout);
  CUDA_OK(cudaStreamDestroy(stream));
}

}  // namespace
}  // namespace sparsedit::bench

int main(int argc, char** argv) {
  using namespace sparsedit;
  bool skewed = true;
  KmeansPath path = KmeansPath::kAuto;
  Layout layout = Layout::kBshd;
  int repeat = 10;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--data" && i + 1 < argc) {
      skewed = std::strcmp(argv[++i], "skewed") == 0;
    } else if (argument == "--path" && i + 1 < argc) {
      path = std::strcmp(argv[++i], "portable") == 0 ? KmeansPath::kPortable : KmeansPath::kAuto;
    } else if (argument == "--layout" && i + 1 < argc) {
      layout = std::strcmp(argv[++i], "bhsd") == 0 ? Layout::kBhsd : Layout::kBshd;
    } else if (argument == "--repeat" && i + 1 < argc) {
      repeat = std::atoi(argv[++i]);
    } else {
      bool known = false;
      for (const bench::Shape& shape : bench::kShapes) {
        if (argument != shape.name) continue;
        bench::Run(shape, skewed, path, layout, repeat);
        known = true;
      }
      if (!known) {
        std::printf("unknown argument %s\n", argv[i]);
        return 2;
      }
    }
  }
  return bench::failures == 0 ? 0 : 1;
}
