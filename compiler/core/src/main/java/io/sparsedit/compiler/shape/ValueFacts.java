package io.sparsedit.compiler.shape;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.Optional;

/** What the compiler knows about the values of a model. */
public interface ValueFacts {
  /** The element type; {@link DataType#UNDEFINED} if unknown or not a tensor. */
  DataType elementType(Value value);

  /** The dimensions, symbolic where the export is dynamic; empty if the rank is unknown. */
  Optional<List<Dim>> shape(Value value);

  /** The dimensions, where the graph fixes all of them. */
  default Optional<List<Long>> fixedShape(Value value) {
    return shape(value)
        .filter(dims -> dims.stream().allMatch(Dim::isConstant))
        .map(dims -> dims.stream().map(dim -> dim.constant().orElseThrow()).toList());
  }

  /** The elements, where they are known at compile time and few. */
  Optional<Tensor> constant(Value value);

  /**
   * The elements of an integer scalar or vector, each a number or an expression of symbolic
   * dimensions; empty if some element is not known even so.
   */
  Optional<List<Dim>> elements(Value value);

  /** Element type and dimensions for a reader, such as {@code f32[1, 2, 192, 32]}. */
  default String describe(Value value) {
    DataType type = elementType(value);
    Optional<List<Dim>> shape = shape(value);
    if (shape.isEmpty()) {
      return type == DataType.UNDEFINED
          ? "of unknown type and rank"
          : type.shortName() + " of unknown rank";
    }
    return (type == DataType.UNDEFINED ? "" : type.shortName()) + shape.get();
  }
}
