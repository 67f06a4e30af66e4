// QkNormRope in float64 on the CPU.
#ifndef SPARSEDIT_TEST_QK_NORM_ROPE_REFERENCE_H_
#define SPARSEDIT_TEST_QK_NORM_ROPE_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/qk_norm_rope.h"
#include "test/attention_reference.h"

namespace sparsedit::test {

// Inputs of a problem; vectors that it does not have are empty.
struct QkNormRopeTensors {
  std::vector<float> x[2], weight[2], bias[2], cos, sin;
};

// Of the first lane.
inline std::int64_t QkNormRopeAt(const QkNormRopeProblem& p, Layout layout, int tensor, int b, int h, int t) {
  const std::int64_t tokens = p.tokens[tensor];
  return (layout == Layout::kBhsd ? (static_cast<std::int64_t>(b) * p.heads + h) * tokens + t
                                  : (b * tokens + t) * p.heads + h) *
         p.head_dim;
}

// The token's result, [H*D], as the header defines it.
inline std::vector<double> QkNormRopeRow(const QkNormRopeProblem& p,
                                         const QkNormRopeTensors& host, int tensor, int b, int t) {
  const int dim = p.head_dim, hidden = p.heads * dim;
  std::vector<double> y(hidden);
  for (int h = 0; h < p.heads; ++h) {
    for (int d = 0; d < dim; ++d) y[h * dim + d] = host.x[tensor][QkNormRopeAt(p, p.layout, tensor, b, h, t) + d];
  }
  const int span = p.scope == NormScope::kHidden ? hidden : dim;
  for (int first = 0; first < hidden && p.norm != NormKind::kNone; first += span) {
    double mean = 0, square = 0;
    for (int i = 0; i < span; ++i) mean += y[first + i] / span;
    for (int i = 0; i < span; ++i) {
      if (p.norm == NormKind::kLayer) y[first + i] -= mean;
      square += y[first + i] * y[first + i] / span;
    }
    for (int i = first; i < first + span; ++i) {
      const int lane = p.weight_of_head ? i % dim : i;
      y[i] /= std::max(std::sqrt(square + static_cast<double>(p.epsilon)) + p.root_epsilon,
                       static_cast<double>(p.root_floor));
      if (!host.weight[tensor].empty()) y[i] *= host.weight[tensor][lane];
      if (!host.bias[tensor].empty()) y[i] += host.bias[tensor][lane];
    }
  }
  const int row = t - (p.first_rotated < 0 ? p.tokens[tensor] - p.rotated : p.first_rotated);
  if (p.rope == RopeForm::kNone || row < 0 || row >= p.rotated) return y;
  std::vector<double> z = y;
  const int lanes = p.rotary_lanes, half = lanes / 2;
  for (int h = 0; h < p.heads; ++h) {
    const std::int64_t table =
        ((static_cast<std::int64_t>(p.table_batch == 1 ? 0 : b) * p.rotated + row) * p.table_heads +
         (p.table_heads == 1 ? 0 : h)) * lanes;
    const double* from = &y[h * dim + p.rotary_start];
    for (int i = 0; i < lanes; ++i) {
      const double turned = p.rope == RopeForm::kInterleaved
                                ? (i % 2 == 0 ? -from[i + 1] : from[i - 1])
                                : (i < half ? -from[i + half] : from[i - half]);
      z[h * dim + p.rotary_start + i] = from[i] * host.cos[table + i] + turned * host.sin[table + i];
    }
  }
  return z;
}

// The largest error of a tensor's result, over what rounding once allows.
inline double QkNormRopeError(const QkNormRopeProblem& p, const QkNormRopeTensors& host, int tensor,
                              const std::vector<float>& got) {
  const double ulp = p.type == DataType::kBFloat16  ? 0x1p-8
                     : p.type == DataType::kFloat16 ? 0x1p-11
                                                    : 0x1p-24;
  const int rows = p.batch * p.tokens[tensor];
  std::vector<double> errors(rows);
  ParallelFor(rows, [&](int row) {
    const int batch = row / p.tokens[tensor], t = row % p.tokens[tensor];
    const std::vector<double> expected = QkNormRopeRow(p, host, tensor, batch, t);
    for (int lane = 0; lane < p.heads * p.head_dim; ++lane) {
      const int head = lane / p.head_dim;
      const float v =
          got[QkNormRopeAt(p, p.output_layout, tensor, batch, head, t) + lane % p.head_dim];
      const double allowed = std::abs(expected[lane]) * ulp * 1.01 + 2e-5;
      const double error = std::abs(v - expected[lane]) / allowed;
      errors[row] = std::isnan(error) ? INFINITY : std::max(errors[row], error);
    }
  });
  return *std::max_element(errors.begin(), errors.end());
}

}  // namespace sparsedit::test

#endif  // SPARSEDIT_TEST_QK_NORM_ROPE_REFERENCE_H_
