package io.sparsedit.compiler.legal;

import java.util.Optional;

/** Who computes attention that is left dense under a mask of keys, in an engine. */
public enum MaskedAttention {
  /** SparseDiT's kernel where that is known to be faster, else TensorRT. */
  AUTO,
  /** SparseDiT's kernel wherever it can. */
  PLUGIN,
  /** TensorRT. */
  TENSORRT;

  /** GPUs that the kernel's fast path is for. */
  private static final int HOPPER = 90;

  /** Tokens from which on it is faster (docs/tensorrt.md). */
  private static final long FEWEST_TOKENS = 4_096;

  /**
   * The sites that SparseDiT's kernel computes.
   *
   * @param capability the GPU's compute capability, major * 10 + minor; 0 if it is not known
   * @param precision what becomes of the graph's f32
   * @param version the version of the plugins
   */
  public Optional<MaskedSites> sites(int capability, Precision precision, int version) {
    return switch (this) {
      case AUTO ->
          capability == HOPPER
              ? Optional.of(new MaskedSites(FEWEST_TOKENS, true, precision, version))
              : Optional.empty();
      case PLUGIN -> Optional.of(new MaskedSites(1, false, precision, version));
      case TENSORRT -> Optional.empty();
    };
  }
}
