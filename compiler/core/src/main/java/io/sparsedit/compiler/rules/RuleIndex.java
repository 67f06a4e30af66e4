package io.sparsedit.compiler.rules;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.rules.match.Rule;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Rules by the operator of their root, of larger benefit first, then in order of declaration. */
final class RuleIndex {
  private final Map<Rule.OpName, List<Rule>> byRoot = new LinkedHashMap<>();

  RuleIndex(List<Rule> rules) {
    List<Rule> ordered = new ArrayList<>(rules);
    ordered.sort(Comparator.comparingInt(Rule::benefit).reversed());
    for (Rule rule : ordered) {
      for (Rule.OpName op : rule.rootOps()) {
        byRoot.computeIfAbsent(op, o -> new ArrayList<>()).add(rule);
      }
    }
  }

  /** The rules to try at the node, in order. */
  List<Rule> rulesFor(Node node) {
    return byRoot.getOrDefault(new Rule.OpName(node.domain(), node.opType()), List.of());
  }

  /** The operators at which rules start. */
  Set<Rule.OpName> roots() {
    return byRoot.keySet();
  }
}
