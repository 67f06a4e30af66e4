package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The graph as the rules saw it, before they replaced anything.
 *
 * @param model a copy, which stays as it is
 * @param copies for each node of the compilation's graph at that time, its copy
 */
record RuleInput(Model model, Map<Node, Node> copies) {
  /** A copy of the model, which has the nodes of the original in the same order. */
  static RuleInput of(Model original, Model copy) {
    Map<Node, Node> copies = new HashMap<>();
    List<Node> from = original.graph().nodeList();
    List<Node> to = copy.graph().nodeList();
    for (int i = 0; i < from.size(); i++) {
      copies.put(from.get(i), to.get(i));
    }
    return new RuleInput(copy, copies);
  }

  /** The copy of a node. */
  Optional<Node> copyOf(Node node) {
    return Optional.ofNullable(copies.get(node));
  }
}
