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

  /** The elements, where they are known at compile time and few. */
  Optional<Tensor> constant(Value value);

  /**
   * The elements of an integer scalar or vector, each a number or an expression of symbolic
   * dimensions; empty if some element is not known even so.
   */
  Optional<List<Dim>> elements(Value value);
}
