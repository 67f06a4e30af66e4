package io.sparsedit.compiler.legal;

import java.util.Optional;

/** Who computes attention that is left dense, in an engine. */
public enum DenseAttention {
  /** SparseDiT's kernel where that is known to be faster, else TensorRT. */
  AUTO,
  /** SparseDiT's kernel wherever it can. */
  PLUGIN,
  /** TensorRT. */
  TENSORRT;

  /** GPUs that the kernel's fast path is for. */
  private static final int HOPPER = 90;

  /**
   * Multiplications of queries by keys from which on it is faster. On an H200, beside TensorRT 10.6
   * and timed alone (docs/tensorrt-measured.md), the kernel was 1.37 times as fast at 2.0e9 (30
   * heads x 64, 8,192 queries, 128 keys), 1.38 at 3.2e9 and 1.1 to 7.6 above; 1.17 at 1.6e9 and
   * 0.95 at 1.3e9, where the launches count.
   */
  private static final long FEWEST_PRODUCTS = 2_000_000_000L;

  /**
   * The sites that SparseDiT's kernel computes.
   *
   * @param capability the GPU's compute capability, major * 10 + minor; 0 if it is not known
   * @param precision what becomes of the graph's f32
   * @param version the version of the plugins
   */
  public Optional<DenseSites> sites(int capability, Precision precision, int version) {
    return switch (this) {
      case AUTO ->
          capability == HOPPER
              ? Optional.of(new DenseSites(FEWEST_PRODUCTS, true, precision, version))
              : Optional.empty();
      case PLUGIN -> Optional.of(new DenseSites(1, false, precision, version));
      case TENSORRT -> Optional.empty();
    };
  }
}
