package io.sparsedit.compiler.ir;

import java.util.Set;

/** Operators that hand elements of tensors on, to other places at most or in another type. */
public final class MovingOperators {
  private static final Set<String> ALL =
      Set.of(
          "Cast",
          "Concat",
          "Expand",
          "Flatten",
          "Gather",
          "Identity",
          "Reshape",
          "Slice",
          "Split",
          "Squeeze",
          "Tile",
          "Transpose",
          "Unsqueeze");

  private MovingOperators() {}

  /**
   * Whether a node does nothing else.
   *
   * @param node the node, whose outputs are made of its first input; of a Concat's, of each
   */
  public static boolean include(Node node) {
    return node.domain().isEmpty() && ALL.contains(node.opType());
  }
}
