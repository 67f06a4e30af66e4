package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.compiler.rules.match.Rule;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** What the names of a rule stand for at a match, in words, in the order of the rule. */
final class MatchNames {
  private MatchNames() {}

  /** Free values, numbers and dimensions, and the alternatives taken; not what lies between. */
  static Map<String, String> of(Match match, ValueFacts facts) {
    Rule rule = match.rule();
    Map<String, String> names = new LinkedHashMap<>();
    for (int slot = 0; slot < rule.slotNames().size(); slot++) {
      String name = rule.slotNames().get(slot);
      if (name.isEmpty()) {
        continue;
      }
      List<String> tags = match.tags(name);
      if (!tags.isEmpty()) {
        names.put(name, "#" + String.join(" #", tags));
      } else if (!rule.definitions().containsKey(slot) && !rule.rootOutputs().contains(slot)) {
        text(match, name, facts).ifPresent(text -> names.put(name, text));
      }
    }
    return names;
  }

  /** The values that names of the rule stand for, each with the shortest of its names. */
  static Map<Value, String> values(Match match) {
    Map<Value, String> values = new LinkedHashMap<>();
    for (String name : match.rule().slotNames()) {
      if (!name.isEmpty()) {
        match
            .value(name)
            .ifPresent(
                value -> values.merge(value, name, (a, b) -> b.length() < a.length() ? b : a));
      }
    }
    return values;
  }

  private static Optional<String> text(Match match, String name, ValueFacts facts) {
    if (match.number(name).isPresent()) {
      return match.datum(name).map(Object::toString);
    }
    Optional<Value> value = match.value(name);
    return value.isPresent()
        ? value.map(v -> v + " " + facts.describe(v))
        : match.datum(name).map(Object::toString);
  }
}
