package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import java.util.Optional;

/** Sizes as values of a graph. */
@FunctionalInterface
public interface SizeValues {
  /** The size as int64 {@code [1]}; empty if the graph does not tell it. */
  Optional<Value> of(Dim size);
}
