package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Walks over a graph and the bodies of its If, Loop and Scan nodes. */
final class Subgraphs {
  private Subgraphs() {}

  /** The graph, then all graphs within it. */
  static List<Graph> withSelf(Graph graph) {
    List<Graph> all = new ArrayList<>();
    all.add(graph);
    for (Node node : graph.nodes()) {
      node.subgraphs().forEach(subgraph -> all.addAll(withSelf(subgraph)));
    }
    return all;
  }

  /** The place of each node; nodes of a body come just before the node that runs it. */
  static Map<Node, Integer> order(Graph graph) {
    Map<Node, Integer> places = new HashMap<>();
    number(graph, places);
    return places;
  }

  private static void number(Graph graph, Map<Node, Integer> places) {
    for (Node node : graph.nodes()) {
      node.subgraphs().forEach(subgraph -> number(subgraph, places));
      places.put(node, places.size());
    }
  }

  /** The node of the enclosing graph that runs a subgraph. */
  static Optional<Node> owner(Graph subgraph) {
    if (subgraph.parent().isPresent()) {
      for (Node node : subgraph.parent().get().nodes()) {
        if (node.subgraphs().contains(subgraph)) {
          return Optional.of(node);
        }
      }
    }
    return Optional.empty();
  }

  /** What a node's bodies read of the graphs around them. */
  static Set<Value> captured(Node node) {
    Set<Value> captured = new LinkedHashSet<>();
    for (Graph body : node.subgraphs()) {
      List<Graph> inside = withSelf(body);
      for (Graph graph : inside) {
        for (Node inner : graph.nodes()) {
          inner.presentInputs().stream()
              .filter(value -> !inside.contains(value.graph()))
              .forEach(captured::add);
        }
        graph.outputs().stream()
            .filter(value -> !inside.contains(value.graph()))
            .forEach(captured::add);
      }
    }
    return captured;
  }
}
