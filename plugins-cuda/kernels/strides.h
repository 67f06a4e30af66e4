// Distances, in elements, between neighbours along an axis of q, k, v or o.
#ifndef SPARSEDIT_KERNELS_STRIDES_H_
#define SPARSEDIT_KERNELS_STRIDES_H_

#include <cstdint>

#include "kernels/plan.h"

namespace sparsedit {

struct Strides {
  std::int64_t batch, head, token;
};

inline Strides StridesOf(const PlanShape& shape, int head_dim, Layout layout) {
  const std::int64_t heads = shape.heads, tokens = shape.tokens;
  if (layout == Layout::kBhsd) return {heads * tokens * head_dim, tokens * head_dim, head_dim};
  return {tokens * heads * head_dim, head_dim, heads * head_dim};
}

// The same of k and v.
inline Strides KeyStridesOf(PlanShape shape, int head_dim, Layout layout) {
  shape.tokens = KeyTokens(shape);
  return StridesOf(shape, head_dim, layout);
}

}  // namespace sparsedit

#endif  // SPARSEDIT_KERNELS_STRIDES_H_
