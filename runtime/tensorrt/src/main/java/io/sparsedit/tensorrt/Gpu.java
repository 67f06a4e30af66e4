package io.sparsedit.tensorrt;

import java.util.Locale;

/**
 * A GPU: CUDA's device 0, which {@code CUDA_VISIBLE_DEVICES} chooses.
 *
 * @param name as in {@code NVIDIA H100 80GB HBM3}
 * @param capability the compute capability, major * 10 + minor
 * @param memoryBytes all of its memory
 */
public record Gpu(String name, int capability, long memoryBytes) {
  /** As in {@code 9.0}. */
  public String computeCapability() {
    return capability / 10 + "." + capability % 10;
  }

  /** Name, compute capability and memory. */
  @Override
  public String toString() {
    return String.format(
        Locale.ROOT,
        "%s (compute capability %s, %.0f GB)",
        name,
        computeCapability(),
        memoryBytes / 1e9);
  }
}
