package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.syntax.Span;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Where an attempt came furthest, and why it went no further: what a user is told. */
final class DeepestFailure {
  private Failure.Stage stage = Failure.Stage.OPSET;
  private String reason = "";
  private List<Node> matched = List.of();
  private Span span;
  private final Set<String> expected = new LinkedHashSet<>();
  private @Nullable Value expectedOf;

  DeepestFailure(Span rule) {
    this.span = rule;
  }

  /**
   * A value does not fit a pattern. Alternatives that fail at one value are told together.
   *
   * @param wanted what the pattern wants there
   * @param nodes the nodes that fitted before
   */
  void mismatch(Value value, String wanted, Collection<Node> nodes) {
    if (value == expectedOf && matched.size() == nodes.size()) {
      expected.add(wanted);
    } else if (isDeeper(Failure.Stage.STRUCTURE, nodes)) {
      record(Failure.Stage.STRUCTURE, span, "", nodes);
      expected.add(wanted);
      expectedOf = value;
    }
  }

  /** Names the part of the rule that is compared, which a mismatch at this depth is told with. */
  void pointAt(Span where, Collection<Node> nodes) {
    boolean isShallower =
        Failure.isDeeper(stage, matched.size(), Failure.Stage.STRUCTURE, nodes.size());
    if (!isShallower) {
      span = where;
    }
  }

  Span span() {
    return span;
  }

  /** An attempt fails for another reason. */
  void fail(Failure.Stage failedStage, Span where, String why, Collection<Node> nodes) {
    if (isDeeper(failedStage, nodes)) {
      record(failedStage, where, why, nodes);
    }
  }

  /** The attempt is ended, whatever failed before. */
  void giveUp(String why) {
    String soFar = reason.isEmpty() ? "" : "; until then: " + reason();
    expected.clear();
    expectedOf = null;
    reason = why + soFar;
  }

  Failure failure(Rule rule, Node root) {
    return new Failure(rule, root, stage, reason(), matched, span);
  }

  private void record(Failure.Stage failedStage, Span where, String why, Collection<Node> nodes) {
    stage = failedStage;
    reason = why;
    matched = List.copyOf(nodes);
    span = where;
    expected.clear();
    expectedOf = null;
  }

  private boolean isDeeper(Failure.Stage failedStage, Collection<Node> nodes) {
    return Failure.isDeeper(failedStage, nodes.size(), stage, matched.size());
  }

  private String reason() {
    return expectedOf == null
        ? reason
        : "expected " + orList(expected) + ", found " + describe(expectedOf);
  }

  private static String orList(Set<String> words) {
    List<String> list = List.copyOf(words);
    int last = list.size() - 1;
    return last == 0
        ? list.get(0)
        : String.join(", ", list.subList(0, last)) + " or " + list.get(last);
  }

  /** A value as a user knows it. */
  static String describe(Value value) {
    Optional<Node> producer = value.producer();
    if (producer.isPresent()) {
      Node node = producer.get();
      return value.outputIndex() == 0
          ? node.toString()
          : "output " + value.outputIndex() + " of " + node;
    }
    return (value.constant().isPresent() ? "constant " : "input ") + value;
  }
}
