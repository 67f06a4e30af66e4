package io.sparsedit.compiler.shape;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import java.util.Optional;

/** The tensors of Constant nodes, whichever attribute holds them. */
public final class ConstantTensors {
  private ConstantTensors() {}

  /** The tensor of a Constant node; empty for strings, sparse tensors and any other node. */
  public static Optional<Tensor> of(Node node) {
    if (!node.is("Constant") || node.attributes().size() != 1) {
      return Optional.empty();
    }
    return of(node.attributes().values().iterator().next());
  }

  /** The tensor that an attribute of a Constant node stands for. */
  static Optional<Tensor> of(Attribute attribute) {
    if (attribute instanceof Attribute.TensorValue tensor) {
      return Optional.of(tensor.value());
    }
    if (attribute instanceof Attribute.IntValue integer) {
      return Optional.of(Tensor.scalar(integer.value()));
    }
    if (attribute instanceof Attribute.FloatValue real) {
      return Optional.of(Tensor.scalar(real.value()));
    }
    if (attribute instanceof Attribute.IntList integers) {
      return Optional.of(
          Tensor.vector(integers.values().stream().mapToLong(Long::longValue).toArray()));
    }
    if (attribute instanceof Attribute.FloatList reals) {
      float[] elements = new float[reals.values().size()];
      for (int i = 0; i < elements.length; i++) {
        elements[i] = reals.values().get(i);
      }
      return Optional.of(Tensor.ofFloats(new long[] {elements.length}, elements));
    }
    return Optional.empty();
  }
}
