// The smallest test framework that serves: CHECK counts and prints failures, TestMain reports.
#ifndef SPARSEDIT_TEST_CHECK_H_
#define SPARSEDIT_TEST_CHECK_H_

#include <cstdio>

namespace sparsedit::test {

inline int& Failures() {
  static int failures = 0;
  return failures;
}
inline int& Checks() {
  static int checks = 0;
  return checks;
}

// Exit code that CTest takes for "skipped".
constexpr int kSkipped = 77;

#define CHECK(condition)                                                             \
  do {                                                                               \
    ++::sparsedit::test::Checks();                                                   \
    if (!(condition)) {                                                              \
      ++::sparsedit::test::Failures();                                               \
      std::printf("%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition);      \
    }                                                                                \
  } while (false)

inline int Report(const char* name) {
  std::printf("%s: %d checks, %d failed\n", name, Checks(), Failures());
  return Failures() == 0 ? 0 : 1;
}

}  // namespace sparsedit::test

#endif  // SPARSEDIT_TEST_CHECK_H_
