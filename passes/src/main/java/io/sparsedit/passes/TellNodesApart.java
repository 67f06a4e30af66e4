package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.pass.Pass;
import java.util.HashSet;
import java.util.Set;

/**
 * Gives nodes of one graph names of their own: ONNX Runtime refuses two of one name, and a function
 * that is called twice by calls without names leaves such nodes behind.
 *
 * <pre>
 *   before   a = Add 'scale' (x, y)   b = Add 'scale' (a, z)
 *   after    a = Add 'scale' (x, y)   b = Add 'scale_2' (a, z)
 * </pre>
 */
final class TellNodesApart implements Pass<Compilation> {
  @Override
  public String name() {
    return "tell nodes apart";
  }

  @Override
  public int run(Compilation compilation) {
    int renamed = 0;
    for (Graph graph : Subgraphs.withSelf(compilation.model().graph())) {
      renamed += run(graph);
    }
    return renamed;
  }

  private static int run(Graph graph) {
    Set<String> all = new HashSet<>();
    graph.nodes().forEach(node -> all.add(node.name()));
    Set<String> seen = new HashSet<>();
    int renamed = 0;
    for (Node node : graph.nodes()) {
      if (node.name().isEmpty() || seen.add(node.name())) {
        continue;
      }
      String name = node.name();
      for (int number = 2; !all.add(name); number++) {
        name = node.name() + "_" + number;
      }
      node.setName(name);
      seen.add(name);
      renamed++;
    }
    return renamed;
  }
}
