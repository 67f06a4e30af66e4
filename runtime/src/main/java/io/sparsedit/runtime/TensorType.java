package io.sparsedit.runtime;

import java.util.List;
import java.util.OptionalLong;
import java.util.stream.Collectors;

/**
 * Element type and dimensions of a tensor of the model, some of them symbolic.
 *
 * @param element the element type
 * @param dims the dimensions; empty for a scalar
 */
public record TensorType(ElementType element, List<Dim> dims) {
  /** Keeps its own copy of {@code dims}. */
  public TensorType {
    dims = List.copyOf(dims);
  }

  /** Number of dimensions. */
  public int rank() {
    return dims.size();
  }

  /** Dimension {@code axis} where it is a number. */
  public OptionalLong fixed(int axis) {
    return dims.get(axis) instanceof Dim.Fixed fixed
        ? OptionalLong.of(fixed.size())
        : OptionalLong.empty();
  }

  /** As in {@code f32[batch, 16, 21]}. */
  @Override
  public String toString() {
    return element + dims.stream().map(Dim::toString).collect(Collectors.joining(", ", "[", "]"));
  }
}
