package io.sparsedit.compiler.ir;

import java.util.List;
import java.util.Optional;

/** The declared type of a value. */
public sealed interface ValueType {

  /**
   * A dense tensor.
   *
   * @param elementType type of the elements
   * @param dims the dimensions, or empty when the rank is not declared
   */
  record TensorType(DataType elementType, Optional<List<DeclaredDim>> dims) implements ValueType {
    public TensorType {
      dims = dims.map(List::copyOf);
    }

    /** A tensor of fixed size. */
    public static TensorType of(DataType elementType, long... dims) {
      List<DeclaredDim> list =
          java.util.Arrays.stream(dims)
              .mapToObj(d -> (DeclaredDim) new DeclaredDim.Fixed(d))
              .toList();
      return new TensorType(elementType, Optional.of(list));
    }
  }

  /** A sequence, map, optional or sparse tensor; kept encoded, not understood. */
  record OpaqueType(Extras encoded) implements ValueType {}

  /** A dimension as the model declares it. */
  sealed interface DeclaredDim {
    /** A known size. */
    record Fixed(long size) implements DeclaredDim {}

    /** A named size ({@code dim_param}); dynamo exports write expressions here. */
    record Named(String name) implements DeclaredDim {}

    /** Nothing is said. */
    record Unknown() implements DeclaredDim {}
  }
}
