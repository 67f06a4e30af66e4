package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Node;
import java.util.Arrays;
import java.util.Set;

/** Reads calls of planners back from the nodes of a compiled model. */
public final class Planners {
  private Planners() {}

  /**
   * The call that a node is.
   *
   * @param node a planner's node
   * @param inputs the names of its inputs
   * @throws IllegalArgumentException if it is no planner that this version knows
   */
  public static Planner of(Node node, Set<String> inputs) {
    boolean planState = inputs.contains(Planner.last(SparseOps.KEEP));
    return switch (node.opType()) {
      case Svg2Plan.OP_TYPE -> Svg2Plan.of(node, planState);
      case AdaSpaPlan.OP_TYPE ->
          AdaSpaPlan.of(node, inputs.contains(SparseOps.KEY_BIAS), planState);
      case SvgPlan.OP_TYPE ->
          SvgPlan.of(
              node, inputs.contains(SparseOps.KEY_BIAS), inputs.contains(SvgPlan.HEAD_CLASSES));
      case ReferencePlan.OP_TYPE -> ReferencePlan.of(node, inputs.contains(SparseOps.KEY_BIAS));
      default -> throw new IllegalArgumentException("no planner is called " + node.opType());
    };
  }

  /** The layout of q and k. */
  static Layout layout(Node node) {
    return Layout.valueOf(node.stringAttribute(SparseOps.LAYOUT, Layout.BHSD.name()));
  }

  /** Where text stands. */
  public static TextPosition text(Node node) {
    String spelling =
        node.stringAttribute(Svg2Plan.TEXT_POSITION, TextPosition.NONE.attributeValue());
    return Arrays.stream(TextPosition.values())
        .filter(position -> position.attributeValue().equals(spelling))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("no text position is " + spelling));
  }
}
