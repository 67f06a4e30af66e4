package io.sparsedit.compiler.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Set;

/** Puts nodes in order, and says why a node's input is not defined where the node stands. */
final class NodeOrder {
  private NodeOrder() {}

  /**
   * The graph with each node behind those that it reads, otherwise in the order that it has; the
   * same graph if it is in order, or cannot be. ONNX demands the order, but converters to half
   * precision put their casts at the end, and ONNX Runtime takes that.
   */
  static GraphProto sorted(GraphProto graph) {
    Map<String, Integer> producers = new HashMap<>();
    for (int i = 0; i < graph.getNodeCount(); i++) {
      for (String output : graph.getNode(i).getOutputList()) {
        if (!output.isEmpty()) {
          producers.putIfAbsent(output, i);
        }
      }
    }
    List<Set<Integer>> readers = new ArrayList<>();
    int[] open = new int[graph.getNodeCount()];
    boolean inOrder = true;
    for (int i = 0; i < graph.getNodeCount(); i++) {
      readers.add(new HashSet<>());
    }
    for (int i = 0; i < graph.getNodeCount(); i++) {
      for (String name : reads(graph.getNode(i))) {
        Integer producer = producers.get(name);
        if (producer != null && readers.get(producer).add(i)) {
          open[i]++;
          inOrder &= producer < i;
        }
      }
    }
    if (inOrder) {
      return graph;
    }
    PriorityQueue<Integer> ready = new PriorityQueue<>();
    for (int i = 0; i < open.length; i++) {
      if (open[i] == 0) {
        ready.add(i);
      }
    }
    GraphProto.Builder sorted = graph.toBuilder().clearNode();
    while (!ready.isEmpty()) {
      int next = ready.remove();
      sorted.addNode(graph.getNode(next));
      for (int reader : readers.get(next)) {
        if (--open[reader] == 0) {
          ready.add(reader);
        }
      }
    }
    return sorted.getNodeCount() == graph.getNodeCount() ? sorted.build() : graph;
  }

  /** What a node reads, its subgraphs included. */
  private static Set<String> reads(NodeProto node) {
    Set<String> names = new HashSet<>(node.getInputList());
    for (AttributeProto attribute : node.getAttributeList()) {
      List<GraphProto> bodies = new ArrayList<>(attribute.getGraphsList());
      if (attribute.hasG()) {
        bodies.add(attribute.getG());
      }
      for (GraphProto body : bodies) {
        body.getNodeList().forEach(inner -> names.addAll(reads(inner)));
        body.getOutputList().forEach(output -> names.add(output.getName()));
      }
    }
    return names;
  }

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
        : reads + ", and the graph cannot be sorted: it has a cycle elsewhere";
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
