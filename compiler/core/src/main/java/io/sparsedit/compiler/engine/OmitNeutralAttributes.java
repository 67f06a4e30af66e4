package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import java.util.List;

/**
 * Leaves out attributes that say what holds without them, but that TensorRT's parser refuses.
 *
 * <pre>
 *   before   y = ScatterND(data, indices, updates, reduction = "none")
 *   after    y = ScatterND(data, indices, updates)
 * </pre>
 *
 * PyTorch's dynamo exporter writes the attribute into every ScatterND.
 */
final class OmitNeutralAttributes {
  private static final String REDUCTION = "reduction";
  private static final List<String> SCATTERS = List.of("ScatterND", "ScatterElements");

  private OmitNeutralAttributes() {}

  /** Changes the graph and its subgraphs; the number of attributes left out. */
  static int in(Graph graph) {
    int changed = 0;
    for (Node node : graph.nodeList()) {
      if (SCATTERS.stream().anyMatch(node::is)
          && node.stringAttribute(REDUCTION, "").equals("none")) {
        node.removeAttribute(REDUCTION);
        changed++;
      }
      for (Graph subgraph : node.subgraphs()) {
        changed += in(subgraph);
      }
    }
    return changed;
  }
}
