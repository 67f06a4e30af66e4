package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.rules.syntax.Comparison;
import io.sparsedit.compiler.rules.syntax.Span;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A checked rule.
 *
 * @param name its qualified name
 * @param doc what it is for
 * @param benefit rules of larger benefit go first; equal ones in order of declaration
 * @param opsets bounds on operator-set versions
 * @param root pattern of the root
 * @param rootOutputs slots of the root's outputs
 * @param rootOps the operators that the root may be
 * @param slotNames names of the slots; one that no rule text can name is empty
 * @param definitions for each slot the pattern that defines it, if a statement does
 * @param choices number of choices
 * @param repeats the repetitions by their ids
 * @param keep slots whose values may be read outside the match
 * @param tags by name of a statement, the branches that bear tags
 * @param conditions what must hold, in order
 * @param replacement the new nodes; empty for a rule that only recognises
 * @param span where the rule is declared
 */
public record Rule(
    String name,
    String doc,
    int benefit,
    List<OpsetBound> opsets,
    Pattern root,
    List<Integer> rootOutputs,
    Set<OpName> rootOps,
    List<String> slotNames,
    Map<Integer, Pattern> definitions,
    int choices,
    Map<Integer, Pattern.Repeat> repeats,
    Set<Integer> keep,
    Map<String, List<Expr.TaggedBranch>> tags,
    List<Condition> conditions,
    Optional<Replacement> replacement,
    Span span) {

  /** An operator with its domain, which is empty for the default one. */
  public record OpName(String domain, String type) {
    @Override
    public String toString() {
      return domain.isEmpty() ? type : domain + "." + type;
    }
  }

  /** A bound on the version of an operator set. */
  public record OpsetBound(String domain, Comparison comparison, long version) {}

  /** Whether the rule is for models that import these operator sets. */
  public boolean appliesTo(Map<String, Long> opsetVersions) {
    for (OpsetBound bound : opsets) {
      Long version = opsetVersions.get(bound.domain());
      if (version == null || !bound.comparison().holds(Long.compare(version, bound.version()))) {
        return false;
      }
    }
    return true;
  }

  @Override
  public String toString() {
    return name;
  }

  @Override
  public boolean equals(Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }
}
