package io.sparsedit.runtime;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/** The sizes of symbolic dimensions, as the inputs of a run decide them. */
final class Dims {
  private final Map<String, Long> symbols = new HashMap<>();

  /**
   * Takes the symbols of {@code type} from the dimensions of an actual tensor.
   *
   * @return what does not fit, in words, or empty
   */
  Optional<String> bind(TensorType type, Tensor tensor) {
    Optional<String> misfit = misfit(type, tensor);
    if (misfit.isPresent()) {
      return misfit;
    }
    long[] actual = tensor.dims();
    for (int i = 0; i < actual.length; i++) {
      if (type.dims().get(i) instanceof Dim.Symbolic symbolic && !symbolic.name().isBlank()) {
        symbols.put(symbolic.name(), actual[i]);
      }
    }
    return Optional.empty();
  }

  /** Why a tensor is not of this type under the sizes known so far, in words, or empty. */
  Optional<String> misfit(TensorType type, Tensor tensor) {
    long[] actual = tensor.dims();
    if (tensor.type() != type.element() || actual.length != type.rank()) {
      return Optional.of("is " + tensor + ", must be " + type);
    }
    for (int i = 0; i < actual.length; i++) {
      Dim dim = type.dims().get(i);
      OptionalLong size = resolve(dim);
      if (size.isPresent() && size.getAsLong() != actual[i]) {
        String why = dim instanceof Dim.Symbolic ? ", where " + dim + " = " + size.getAsLong() : "";
        return Optional.of("is " + tensor + ", must be " + type + why);
      }
    }
    return Optional.empty();
  }

  /** The size of a dimension, if it is a number or its symbols are known. */
  OptionalLong resolve(Dim dim) {
    if (dim instanceof Dim.Fixed fixed) {
      return OptionalLong.of(fixed.size());
    }
    String name = ((Dim.Symbolic) dim).name();
    Long size = symbols.get(name);
    return size != null ? OptionalLong.of(size) : DimExpression.evaluate(name, symbols);
  }

  /** All dimensions, if each can be resolved. */
  Optional<long[]> resolve(TensorType type) {
    long[] out = new long[type.rank()];
    for (int i = 0; i < out.length; i++) {
      OptionalLong size = resolve(type.dims().get(i));
      if (size.isEmpty()) {
        return Optional.empty();
      }
      out[i] = size.getAsLong();
    }
    return Optional.of(out);
  }
}
