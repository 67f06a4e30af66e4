package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.util.stream.IntStream;

/**
 * Lets {@code QkNormRope} read projections as they are, tokens before heads.
 *
 * <pre>
 *   before   q2, k2 = QkNormRope(Transpose(q, 0 2 1 3), Transpose(k, 0 2 1 3), ..., layout = "BHSD")
 *   after    q2, k2 = QkNormRope(q, k, ..., layout = "BSHD")
 * </pre>
 *
 * The node's tables have an order of their own. The portable model stays as it is.
 */
final class PrepareTokenMajor {
  private static final String LAYOUT = "layout";
  private static final String TENSORS = "tensors";

  private PrepareTokenMajor() {}

  /** Changes the graph; the number of nodes that were changed. */
  static int in(Graph graph) {
    int changed = 0;
    for (Node node : graph.nodeList()) {
      if (node.domain().equals(CallPlugins.DOMAIN)
          && node.opType().equals(LowerHeadTransposes.QK_NORM_ROPE)
          && node.stringAttribute(LAYOUT, "").equals("BHSD")) {
        changed += rewrite(graph, node) ? 1 : 0;
      }
    }
    return changed;
  }

  private static boolean rewrite(Graph graph, Node node) {
    int tensors = (int) node.intAttribute(TENSORS, 1);
    if (!IntStream.range(0, tensors)
        .mapToObj(node::requiredInput)
        .allMatch(LowerHeadTransposes::canMake)) {
      return false;
    }
    for (int i = 0; i < tensors; i++) {
      Value transposed = LowerHeadTransposes.make(graph, node.requiredInput(i));
      Node transpose = transposed.producer().orElseThrow();
      node.setInput(i, transpose.requiredInput(0));
      if (transposed.isUnused()) {
        graph.remove(transpose);
      }
    }
    node.setAttribute(LAYOUT, "BSHD");
    return true;
  }
}
