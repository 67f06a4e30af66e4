package io.sparsedit.passes;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** The sparse-attention methods. */
public enum Method {
  /** Sparse VideoGen2: semantic-aware permutation, arXiv 2505.18875. */
  SVG2,
  /** AdaSpa: blocks found by exact search at a few steps, arXiv 2502.21079. */
  ADASPA,
  /** Sparse VideoGen: spatial and temporal heads, arXiv 2502.01776. */
  SVG,
  /** A reference: the blocks of the exact attention with the most mass. */
  ORACLE,
  /** A reference: random blocks. */
  RANDOM;

  /** The name on the command line and in bundles. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The method of a name. */
  public static Optional<Method> of(String label) {
    return Arrays.stream(values()).filter(method -> method.label().equals(label)).findFirst();
  }
}
