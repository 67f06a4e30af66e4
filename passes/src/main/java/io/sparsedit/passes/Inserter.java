package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.List;

/**
 * Puts nodes in front of another.
 *
 * @param before the node that they stand before
 */
record Inserter(Node before) {
  /** A default-domain node with one output. */
  Value node(String type, Value... inputs) {
    return before.graph().insertBefore(before, type, inputs);
  }

  /** A transposition; the value itself where the permutation changes nothing. */
  Value transpose(Value value, List<Integer> perm) {
    boolean ordered = true;
    for (int i = 0; i < perm.size(); i++) {
      ordered &= perm.get(i) == i;
    }
    if (ordered) {
      return value;
    }
    Value turned = node("Transpose", value);
    turned
        .producer()
        .orElseThrow()
        .setAttribute(
            "perm", new Attribute.IntList(perm.stream().map(Integer::longValue).toList()));
    return turned;
  }

  /** The last two of so many axes, exchanged. */
  Value swapLast(Value value, int rank) {
    return transpose(value, Permutations.swapLast(rank));
  }

  /** Axes of size 1 at the given places of the result. */
  Value unsqueeze(Value value, long... axes) {
    return axes.length == 0
        ? value
        : node("Unsqueeze", value, before.graph().addConstant("axes", Tensor.vector(axes)));
  }
}
