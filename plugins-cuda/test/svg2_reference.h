// SVG2's planning in float64 on the CPU, for one head. Host code without CUDA.
#ifndef SPARSEDIT_TEST_SVG2_REFERENCE_H_
#define SPARSEDIT_TEST_SVG2_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <thread>
#include <vector>

#include "test/dot.h"

namespace sparsedit::test {

// Row-major [rows][dim].
struct Matrix {
  int rows = 0, dim = 0;
  std::vector<double> values;

  Matrix(int rows, int dim) : rows(rows), dim(dim), values(static_cast<std::size_t>(rows) * dim) {}
  double* operator[](int row) { return values.data() + static_cast<std::size_t>(row) * dim; }
  const double* operator[](int row) const {
    return values.data() + static_cast<std::size_t>(row) * dim;
  }
};

// Token floor((j+.5)*n/C) for centroid j.
inline Matrix InitialCentroids(const Matrix& tokens, int clusters) {
  Matrix c(clusters, tokens.dim);
  for (int j = 0; j < clusters && tokens.rows > 0; ++j) {
    const int token = static_cast<int>((j + .5) * tokens.rows / clusters);
    std::copy_n(tokens[token], tokens.dim, c[j]);
  }
  return c;
}

// body(i) for i in [0, count), on every core; a thread for `grain` of them at least.
template <typename Body>
void ParallelFor(int count, const Body& body, int grain = 64) {
  const int workers =
      std::max(1, std::min<int>(std::thread::hardware_concurrency(), count / grain));
  std::vector<std::thread> threads;
  for (int w = 0; w < workers; ++w) {
    threads.emplace_back([&, w] {
      for (int i = w; i < count; i += workers) body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// |c_j|^2 - 2 x.c_j for all j.
inline std::vector<double> AssignmentScores(const double* x, const Matrix& centroids) {
  std::vector<double> scores(centroids.rows);
  for (int j = 0; j < centroids.rows; ++j) {
    scores[j] = Dot(centroids[j], centroids[j], centroids.dim) -
                2 * Dot(x, centroids[j], centroids.dim);
  }
  return scores;
}

inline std::vector<int> Assign(const Matrix& tokens, const Matrix& centroids) {
  std::vector<int> labels(tokens.rows);
  ParallelFor(tokens.rows, [&](int t) {
    const std::vector<double> s = AssignmentScores(tokens[t], centroids);
    labels[t] = static_cast<int>(std::min_element(s.begin(), s.end()) - s.begin());
  });
  return labels;
}

// Means; an empty cluster keeps its centroid.
inline Matrix Update(const Matrix& tokens, const std::vector<int>& labels, const Matrix& centroids) {
  Matrix sums(centroids.rows, centroids.dim);
  std::vector<int> count(centroids.rows);
  for (int t = 0; t < tokens.rows; ++t) {
    ++count[labels[t]];
    for (int i = 0; i < tokens.dim; ++i) sums[labels[t]][i] += tokens[t][i];
  }
  for (int j = 0; j < centroids.rows; ++j) {
    for (int i = 0; i < centroids.dim; ++i) {
      sums[j][i] = count[j] > 0 ? sums[j][i] / count[j] : centroids[j][i];
    }
  }
  return sums;
}

struct Clustering {
  std::vector<int> labels;
  Matrix centroids;
};

inline Clustering Kmeans(const Matrix& tokens, Matrix centroids, int iterations) {
  std::vector<int> labels;
  for (int i = 0; i < iterations; ++i) {
    labels = Assign(tokens, centroids);
    centroids = Update(tokens, labels, centroids);
  }
  return {labels, centroids};
}

// Tokens by label, ascending inside a label; offsets of clusters + 1.
struct TokenOrder {
  std::vector<int> order, offsets;
};

inline TokenOrder OrderByLabel(const std::vector<int>& labels, int clusters) {
  TokenOrder result;
  result.order.resize(labels.size());
  std::iota(result.order.begin(), result.order.end(), 0);
  std::stable_sort(result.order.begin(), result.order.end(),
                   [&](int a, int b) { return labels[a] < labels[b]; });
  result.offsets.assign(clusters + 1, 0);
  for (const int label : labels) ++result.offsets[label + 1];
  std::partial_sum(result.offsets.begin(), result.offsets.end(), result.offsets.begin());
  return result;
}

// One row of the plan: clusters in the order of S + ln |K|, and their masses.
struct RankedRow {
  std::vector<double> logits;  // by cluster
  std::vector<int> ranked;     // clusters by descending logit, ties to the lower
  std::vector<double> mass;    // by cluster, sums to 1
  std::vector<double> per_token;  // by cluster: ln(mass / keys), -inf without keys
};

inline RankedRow RankRow(const std::vector<double>& scores, const std::vector<int>& sizes) {
  const int n = static_cast<int>(scores.size());
  RankedRow row;
  row.logits.resize(n);
  row.mass.resize(n);
  row.ranked.resize(n);
  double largest = -std::numeric_limits<double>::infinity();
  for (int j = 0; j < n; ++j) {
    row.logits[j] = sizes[j] > 0 ? scores[j] + std::log(static_cast<double>(sizes[j]))
                                 : -std::numeric_limits<double>::infinity();
    largest = std::max(largest, row.logits[j]);
  }
  double total = 0;
  for (int j = 0; j < n; ++j) {
    row.mass[j] = sizes[j] > 0 ? std::exp(row.logits[j] - largest) : 0;
    total += row.mass[j];
  }
  for (double& m : row.mass) m /= std::max(total, 1e-12);
  // The number of keys cancels out: clusters of one score are alike whatever their sizes.
  for (int j = 0; j < n; ++j) {
    row.per_token.push_back(sizes[j] > 0 ? scores[j] - (largest + std::log(total))
                                         : -std::numeric_limits<double>::infinity());
  }
  std::iota(row.ranked.begin(), row.ranked.end(), 0);
  std::stable_sort(row.ranked.begin(), row.ranked.end(),
                   [&](int a, int b) { return row.logits[a] > row.logits[b]; });
  return row;
}

// Length of the shortest prefix of `ranked` whose weight exceeds `limit`; all of it if none does.
inline int ExceedingPrefix(const std::vector<int>& ranked, const std::vector<double>& weight,
                           double limit) {
  double sum = 0;
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    sum += weight[ranked[i]];
    if (sum > limit) return static_cast<int>(i) + 1;
  }
  return static_cast<int>(ranked.size());
}

// Which pairs of a head a budget by mass per token keeps: [row][cluster]. The `least` most massive
// clusters of each row come first, then pairs by mass per key token; equals by row, then by mass, then
// by cluster.
inline std::vector<std::vector<bool>> KeepByMassPerToken(const std::vector<RankedRow>& rows,
                                                         const std::vector<int>& queries,
                                                         const std::vector<int>& keys, int least,
                                                         std::int64_t budget) {
  struct Pair {
    double rank;
    int row, place, cluster;
  };
  std::vector<Pair> pairs;
  for (int i = 0; i < static_cast<int>(rows.size()); ++i) {
    for (int place = 0; place < static_cast<int>(keys.size()); ++place) {
      const int j = rows[i].ranked[place];
      const double rank =
          place < least ? std::numeric_limits<double>::infinity() : rows[i].per_token[j];
      pairs.push_back({rank, i, place, j});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& a, const Pair& b) { return a.rank > b.rank; });
  std::vector<std::vector<bool>> keep(rows.size(), std::vector<bool>(keys.size()));
  std::int64_t before = 0;
  for (const Pair& pair : pairs) {
    keep[pair.row][pair.cluster] = before < budget || pair.place < least;
    before += static_cast<std::int64_t>(queries[pair.row]) * keys[pair.cluster];
  }
  return keep;
}

}  // namespace sparsedit::test

#endif  // SPARSEDIT_TEST_SVG2_REFERENCE_H_
