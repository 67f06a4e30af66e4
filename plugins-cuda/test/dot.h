// Dot products in float64 for the references.
#ifndef SPARSEDIT_TEST_DOT_H_
#define SPARSEDIT_TEST_DOT_H_

namespace sparsedit::test {

// Of `count` elements, floats or doubles.
template <typename A, typename B>
double Dot(const A* a, const B* b, int count) {
  double sums[8] = {};  // independent, for the compiler to run side by side
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int u = 0; u < 8; ++u) sums[u] += static_cast<double>(a[i + u]) * b[i + u];
  }
  for (; i < count; ++i) sums[0] += static_cast<double>(a[i]) * b[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace sparsedit::test

#endif  // SPARSEDIT_TEST_DOT_H_
