package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.rules.syntax.Span;
import java.util.List;

/**
 * Where an attempt that did not match got furthest.
 *
 * @param rule the rule
 * @param root the node tried as root
 * @param stage how far the attempt came
 * @param reason why it stopped there
 * @param matched the nodes that matched, root first
 * @param span the part of the rule that did not match
 */
public record Failure(
    Rule rule, Node root, Stage stage, String reason, List<Node> matched, Span span) {

  /** The steps of an attempt. */
  public enum Stage {
    /** The rule is not for this model's operator sets. */
    OPSET,
    /** The nodes do not fit together as the rule says. */
    STRUCTURE,
    /** An interior value is read elsewhere. */
    ESCAPE,
    /** A where clause does not hold. */
    CONDITION,
    /** Everything fits, but a better match has taken one of the nodes. */
    OVERLAP
  }

  public Failure {
    matched = List.copyOf(matched);
  }

  /** Whether this attempt came further than another. */
  public boolean isDeeperThan(Failure other) {
    return isDeeper(stage, matched.size(), other.stage, other.matched.size());
  }

  static boolean isDeeper(Stage stage, int matched, Stage otherStage, int otherMatched) {
    int byStage =
        Boolean.compare(
            stage.compareTo(Stage.ESCAPE) >= 0, otherStage.compareTo(Stage.ESCAPE) >= 0);
    if (byStage != 0) {
      return byStage > 0;
    }
    return matched != otherMatched ? matched > otherMatched : stage.compareTo(otherStage) > 0;
  }

  /** One sentence: rule, place, reason. */
  @Override
  public String toString() {
    return rule.name()
        + " at "
        + root
        + ": "
        + reason
        + " ("
        + span.fileAndLine()
        + ", "
        + (matched.size() == 1 ? "1 node" : matched.size() + " nodes")
        + " matched)";
  }
}
