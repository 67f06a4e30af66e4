package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Looks for interior values of a match that something outside it reads: replacing the match would
 * then not remove their computation. A reader whose outputs are all known at compile time does not
 * count, because it can be folded.
 */
final class EscapeCheck {
  private final Rule rule;
  private final Node root;
  private final Bindings bindings;
  private final ValueFacts facts;

  EscapeCheck(Rule rule, Node root, Bindings bindings, ValueFacts facts) {
    this.rule = rule;
    this.root = root;
    this.bindings = bindings;
    this.facts = facts;
  }

  /** The first escape, in words. */
  Optional<String> escape() {
    Optional<String> renamed = renamed();
    if (renamed.isPresent()) {
      return renamed;
    }
    Set<Value> kept = new HashSet<>();
    for (int slot : rule.keep()) {
      if (bindings.get(slot).orElse(null) instanceof Bindings.Bound bound) {
        kept.add(bound.value());
      }
    }
    List<Node> nodes = bindings.nodes();
    for (Node node : nodes) {
      if (node == root) {
        continue;
      }
      for (Value output : node.outputs()) {
        if (kept.contains(output)) {
          continue;
        }
        if (output.isGraphOutput()) {
          return Optional.of(output + " of " + node + " is a graph output");
        }
        for (Value.Use use : output.uses()) {
          if (!nodes.contains(use.node()) && !isFoldable(use.node())) {
            return Optional.of(output + " of " + node + " is also read by " + use.node());
          }
        }
      }
    }
    return Optional.empty();
  }

  /** A graph output that would have to be another input or output of the graph itself. */
  private Optional<String> renamed() {
    Replacement replacement = rule.replacement().orElseThrow();
    for (int i = 0; i < replacement.outputs().size(); i++) {
      Optional<Replacement.BuiltValue> built = replacement.outputs().get(i);
      if (built.isPresent()
          && root.output(i).isGraphOutput()
          && replacement.builds().get(built.get().build()).source()
              instanceof Replacement.Input.Matched matched
          && bindings.get(matched.slot()).orElse(null) instanceof Bindings.Bound bound
          && (bound.value().producer().isEmpty()
              || bound.value().isGraphOutput()
              || bound.value().graph() != root.graph())) {
        return Optional.of(
            root.output(i) + " is a graph output and cannot be replaced by " + bound.value());
      }
    }
    return Optional.empty();
  }

  private boolean isFoldable(Node reader) {
    for (Value output : reader.outputs()) {
      if (!output.name().isEmpty() && facts.constant(output).isEmpty()) {
        return false;
      }
    }
    return reader.subgraphs().isEmpty() && !reader.outputs().isEmpty();
  }
}
