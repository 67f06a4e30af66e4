package io.sparsedit.compiler.shape;

import io.sparsedit.compiler.ir.Tensor;
import java.util.Optional;

/** Reads tensors whose elements are in another file. Asked for small ones only. */
@FunctionalInterface
public interface ConstantSource {
  /** A source that reads nothing. */
  ConstantSource NONE = external -> Optional.empty();

  /** The tensor with its elements in memory; empty if they cannot or should not be read. */
  Optional<Tensor> read(Tensor external);
}
