package io.sparsedit.compiler.rules;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.GraphPrinter;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.rules.match.Externs;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.compiler.rules.match.Rewriter;
import io.sparsedit.compiler.rules.syntax.Source;
import java.util.List;
import java.util.function.Consumer;

/** {@code assertRule(text).on(graph).matches()} or {@code .doesNotMatch(reason)}. */
final class RuleAssert {
  private static final DeclaredFacts FACTS = new DeclaredFacts();

  private final RuleEngine engine;
  private long opset = 17;
  private Graph graph = Graph.create("empty");

  private RuleAssert(String text, Externs externs) {
    engine = new RuleEngine(RuleSet.load(List.of(new Source("test.rules", text)), externs));
  }

  static RuleAssert assertRule(String text) {
    return new RuleAssert(text, Externs.none());
  }

  static RuleAssert assertRule(String text, Externs externs) {
    return new RuleAssert(text, externs);
  }

  /** A rule that matches the statements and copies nothing: it only recognises. */
  static RuleAssert assertMatch(String statements) {
    return assertRule("rule test { match { " + statements + " } }");
  }

  RuleAssert opset(long version) {
    opset = version;
    return this;
  }

  RuleAssert on(Consumer<Graph> builder) {
    graph = Graph.create("test");
    builder.accept(graph);
    return this;
  }

  Graph graph() {
    return graph;
  }

  RuleEngine engine() {
    return engine;
  }

  List<Match> all() {
    return engine.findMatches(graph, FACTS, opset);
  }

  /** There is one match. */
  Match matches() {
    List<Match> matches = all();
    assertThat(matches).as("matches\n%s", engine.trace()).hasSize(1);
    return matches.get(0);
  }

  /** There is none, and the reason contains the text. */
  void doesNotMatch(String reason) {
    assertThat(all()).isEmpty();
    String reasons =
        engine.trace().stats().stream()
            .map(s -> s.bestPartial().map(Object::toString).orElse("not tried"))
            .toList()
            .toString();
    assertThat(reasons).contains(reason);
  }

  /** Rewrites the one match, removes what is dead, and compares the printed graph. */
  Rewriter.Applied rewritesTo(String... lines) {
    Rewriter.Applied applied = engine.apply(matches());
    assertThat(GraphVerifier.problems(graph)).isEmpty();
    graph.removeDeadNodes();
    assertThat(GraphPrinter.print(graph).strip().lines().map(String::strip).toList())
        .containsSubsequence(lines);
    return applied;
  }
}
