package io.sparsedit.runtime.sampling;

import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Dim;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.TensorType;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Random;

/**
 * Inputs for a model of which only the bundle is known: normal noise for floating-point inputs, 1
 * for masks and integers, 0 for places in a table that has no more. An input whose name contains
 * {@code timestep} is left to the sampler.
 */
public final class SeededInputs {
  private SeededInputs() {}

  /**
   * New inputs, the same for the same seed.
   *
   * @param sizes the sizes of symbolic dimensions
   * @throws IllegalArgumentException if a symbolic dimension has no size
   */
  public static Map<String, Tensor> of(Bundle bundle, Map<String, Long> sizes, long seed) {
    Random random = new Random(seed);
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    bundle
        .inputs()
        .forEach(
            (name, type) -> {
              Tensor tensor = Tensor.allocate(type.element(), dims(type, sizes));
              boolean noise =
                  type.element().isFloating() && !name.toLowerCase(Locale.ROOT).contains("mask");
              int constant = bundle.tableLength(name).orElse(2) > 1 ? 1 : 0;
              for (int i = 0; i < tensor.elementCount(); i++) {
                tensor.set(i, noise ? random.nextGaussian() : constant);
              }
              inputs.put(name, tensor);
            });
    return inputs;
  }

  private static long[] dims(TensorType type, Map<String, Long> sizes) {
    return type.dims().stream().mapToLong(dim -> size(dim, sizes)).toArray();
  }

  private static long size(Dim dim, Map<String, Long> sizes) {
    if (dim instanceof Dim.Fixed fixed) {
      return fixed.size();
    }
    Long size = sizes.get(dim.toString());
    if (size == null) {
      throw new IllegalArgumentException(
          "the model's inputs depend on " + dim + ": say --dim " + dim + "=SIZE");
    }
    return size;
  }
}
