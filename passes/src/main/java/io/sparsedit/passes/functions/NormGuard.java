package io.sparsedit.passes.functions;

/**
 * What keeps a norm from dividing by zero: with m the mean of the squares, x is divided by
 *
 * <pre>
 *   max(sqrt(m + epsilon) + rootEpsilon, rootFloor)
 * </pre>
 *
 * @param epsilon what is added to the mean of the squares
 * @param rootEpsilon what is added to its root
 * @param rootFloor the least number that is divided by
 */
public record NormGuard(float epsilon, float rootEpsilon, float rootFloor) {
  public NormGuard {
    boolean positive = epsilon > 0 || rootEpsilon > 0 || rootFloor > 0;
    if (!positive || !(epsilon >= 0) || !(rootEpsilon >= 0) || !(rootFloor >= 0)) {
      throw new IllegalArgumentException(
          "none may be negative and one must be positive: "
              + epsilon
              + ", "
              + rootEpsilon
              + ", "
              + rootFloor);
    }
  }

  /** The usual one. */
  public static NormGuard underRoot(float epsilon) {
    return new NormGuard(epsilon, 0, 0);
  }

  /** Whether something happens to the root. */
  public boolean guardsRoot() {
    return rootEpsilon > 0 || rootFloor > 0;
  }
}
