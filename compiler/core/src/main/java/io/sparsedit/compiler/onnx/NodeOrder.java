package io.sparsedit.compiler.onnx;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/** Says why a node's input is not defined where the node stands. */
final class NodeOrder {
  private NodeOrder() {}

  /** The reason why the node at the index cannot read the value of the given name. */
  static String whyUndefined(GraphProto graph, int index, String name) {
    Map<String, Integer> producers = new HashMap<>();
    for (int i = graph.getNodeCount() - 1; i >= 0; i--) {
      for (String output : graph.getNode(i).getOutputList()) {
        producers.put(output, i);
      }
    }
    Integer producer = producers.get(name);
    if (producer == null) {
      return "reads '"
          + name
          + "', which is no input, no initializer and not computed by any node it can see;"
          + " export the model again";
    }
    String reads =
        "reads '"
            + name
            + "', which node "
            + ModelDecoder.describe(graph.getNode(producer), producer)
            + " computes only later";
    return dependsOn(graph, producers, producer, index)
        ? reads + ", from this node's own output: the graph has a cycle"
        : reads + "; nodes must be in topological order: sort the graph or export it again";
  }

  /** Whether the node at {@code from} needs, directly or not, the node at {@code target}. */
  private static boolean dependsOn(
      GraphProto graph, Map<String, Integer> producers, int from, int target) {
    boolean[] seen = new boolean[graph.getNodeCount()];
    Deque<Integer> pending = new ArrayDeque<>();
    pending.add(from);
    while (!pending.isEmpty()) {
      int at = pending.remove();
      if (at == target) {
        return true;
      }
      if (!seen[at]) {
        seen[at] = true;
        NodeProto node = graph.getNode(at);
        for (String input : node.getInputList()) {
          Integer producer = producers.get(input);
          if (producer != null && !input.isEmpty()) {
            pending.add(producer);
          }
        }
      }
    }
    return false;
  }
}
