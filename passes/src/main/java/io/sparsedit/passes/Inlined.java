package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.util.List;

/** The last step of inlining: results in the place of a node's outputs. */
final class Inlined {
  private Inlined() {}

  /**
   * Makes readers of a node's outputs read the results, and removes the node.
   *
   * <p>Where an output of the graph is replaced, the result takes over its name; if the result is
   * an input, a constant or an output already, a copy of it does.
   *
   * @param node the node
   * @param results a value for each of its outputs; further ones are not needed
   */
  static void replace(Node node, List<Value> results) {
    Graph graph = node.graph();
    for (int i = 0; i < node.outputs().size(); i++) {
      Value old = node.output(i);
      if (old.isUnused()) {
        continue;
      }
      Value result = results.get(i);
      if (old.isGraphOutput()) {
        boolean copied =
            result.producer().isEmpty() || result.graph() != graph || result.isGraphOutput();
        if (copied) {
          result = graph.insertBefore(node, "Identity", result);
        }
        String name = old.name();
        old.rename(graph.freshName(name));
        result.rename(name);
      }
      if (result.type().isEmpty()) {
        old.type().ifPresent(result::setType);
      }
      old.replaceAllUsesWith(result);
    }
    graph.remove(node);
  }
}
