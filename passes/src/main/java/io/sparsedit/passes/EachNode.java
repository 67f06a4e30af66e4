package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import java.util.function.Predicate;

/** Rewrites of single nodes, throughout a graph and the graphs in it. */
final class EachNode {
  private EachNode() {}

  /**
   * Tries a rewrite on each node that is there at the beginning, the nodes of its subgraphs first;
   * nodes that an earlier rewrite removed are left out. What a rewrite leaves dead is removed.
   *
   * @param rewrite changes the graph around a node; whether it did
   * @return how many rewrites there were
   */
  static int rewrite(Graph graph, Predicate<Node> rewrite) {
    int changed = 0;
    for (Node node : graph.nodeList()) {
      for (Graph subgraph : node.subgraphs()) {
        changed += rewrite(subgraph, rewrite);
      }
      if (node.isAttached() && rewrite.test(node)) {
        changed++;
      }
    }
    if (changed > 0) {
      graph.removeDeadNodes();
    }
    return changed;
  }
}
