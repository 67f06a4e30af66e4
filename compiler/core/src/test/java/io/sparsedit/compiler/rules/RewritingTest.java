package io.sparsedit.compiler.rules;

import static io.sparsedit.compiler.rules.RuleAssert.assertRule;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.GraphPrinter;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType.TensorType;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.compiler.rules.match.Rewriter;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** The replacement part of rules, the trace, and explanations. */
class RewritingTest {
  private static Value input(Graph graph, String name, long... dims) {
    return graph.addInput(name, TensorType.of(DataType.FLOAT, dims));
  }

  private static final String SCALED =
      "rule test { match { y = Relu(x) #relu | Exp(x) #exp; out = Mul~(y, c: const scalar); }"
          + " rewrite { t = my.Op(x, none, const(c * 2, f16)) { half = c / 2, n = 3, kind = tag(y),"
          + " sizes = [1, 2], type = f16 };"
          + " out = case y { #relu => t, else => Add(t, const(1.5)) }; } }";

  private static Consumer<Graph> scaled(String op) {
    return g -> {
      Value y = g.append(op, input(g, "x", 2));
      g.addOutput(g.append("Mul", y, g.addConstant("c", Tensor.scalar(3f))));
    };
  }

  @Test
  void buildsNodesAttributesAndConstants() {
    Rewriter.Applied applied =
        assertRule(SCALED)
            .on(scaled("Relu"))
            .rewritesTo(
                "input %x : f32[2]",
                "init %Mul_const : f16[] = [6.0]",
                "%Mul = my.Op(%x, -, %Mul_const) {half=1.5, n=3, kind=\"relu\", sizes=[1, 2],"
                    + " type=10}",
                "output %Mul");
    assertThat(applied.nodes().get(0).metadata()).containsEntry("sparsedit.rule", "test");
    assertThat(applied.nodes()).hasSize(1);
  }

  @Test
  void picksByTag() {
    assertRule(SCALED)
        .on(scaled("Exp"))
        .rewritesTo("%Mul = Add(%Mul_t, %Mul_const_0)", "output %Mul");
  }

  @Test
  void replacementStandsBeforeTheRootAndKeepsNamesOfOutputs() {
    assertRule("rule test { match { y = Neg(x); out = Neg(y); } rewrite { out = x; } }")
        .on(
            g -> {
              Value e = g.append("Exp", input(g, "x", 2));
              Value y = g.append("Neg", g.append("Neg", e));
              g.addOutput(y);
              g.addOutput(g.append("Relu", y));
            })
        .rewritesTo("%Neg_0 = Exp(%x)", "%Relu = Relu(%Neg_0)", "output %Neg_0", "output %Relu");
  }

  @Test
  void anInputDoesNotBecomeAnOutput() {
    assertRule("rule test { match { out = Identity(x); } rewrite { out = x; } }")
        .on(g -> g.addOutput(g.append("Identity", input(g, "x", 2))))
        .doesNotMatch("%Identity is a graph output and cannot be replaced by %x");
  }

  @Test
  void severalOutputs() {
    assertRule("rule test { match { a, b = Split(x); } rewrite { b, a = my.Halves(x); } }")
        .on(
            g -> {
              Node split = g.addNode("", "Split", "", List.of(input(g, "x", 2)));
              Value a = split.addOutput("a");
              Value b = split.addOutput("b");
              g.addOutput(g.append("Sub", a, b));
            })
        .rewritesTo("%a_b, %a_a = my.Halves(%x)", "%Sub = Sub(%a_a, %a_b)");
  }

  @Test
  void undoRestoresTheGraph() {
    RuleAssert rule =
        assertRule(SCALED)
            .on(scaled("Exp").andThen(g -> g.addOutput(g.append("Neg", g.outputs().get(0)))));
    String before = GraphPrinter.print(rule.graph());
    Rewriter.Applied applied = rule.engine().apply(rule.matches());
    assertThat(GraphVerifier.problems(rule.graph())).isEmpty();
    applied.undo();
    assertThat(GraphVerifier.problems(rule.graph())).isEmpty();
    assertThat(GraphPrinter.print(rule.graph())).isEqualTo(before);
  }

  @Test
  void anImpossibleReplacementLeavesTheGraphAlone() {
    RuleAssert rule =
        assertRule(
                "rule test { match { out = Relu(x); } where { x: [N]; }"
                    + " rewrite { y = my.First(x); out = my.Op(y, const(1)) { n = N }; } }")
            .on(
                g -> {
                  Value x =
                      g.addInput(
                          "x",
                          new TensorType(
                              DataType.FLOAT,
                              java.util.Optional.of(
                                  List.of(
                                      new io.sparsedit.compiler.ir.ValueType.DeclaredDim.Named(
                                          "n")))));
                  g.addOutput(g.append("Relu", x));
                });
    String before = GraphPrinter.print(rule.graph());
    Match match = rule.matches();
    assertThatThrownBy(() -> rule.engine().apply(match))
        .isInstanceOf(SparsifyException.class)
        .hasMessage(
            "test.rules:1:6: cannot rewrite Relu -> %Relu: attribute 'n' cannot be n, which is not"
                + " a number");
    assertThat(GraphPrinter.print(rule.graph())).isEqualTo(before);
  }

  @Test
  void traceCountsAttemptsMatchesAndRewrites() {
    RuleAssert rule =
        assertRule("rule test { match { y = Exp(x); out = Neg(y); } rewrite { out = Abs(x); } }")
            .on(
                g -> {
                  Value x = input(g, "x", 2);
                  g.addOutput(g.append("Neg", g.append("Exp", x)));
                  g.addOutput(g.append("Neg", g.append("Log", x)));
                });
    rule.engine().apply(rule.matches());
    MatchTrace.RuleStats stats = rule.engine().trace().stats().get(0);
    assertThat(stats.attempts()).isEqualTo(2);
    assertThat(stats.matches()).isEqualTo(1);
    assertThat(stats.rewrites()).isEqualTo(1);
    assertThat(stats.bestPartial().orElseThrow().reason())
        .isEqualTo("expected Exp, found Log -> %Log");
    assertThat(rule.engine().trace().toString())
        .contains("test: 2 attempts, 1 matches, 1 rewrites")
        .contains("best partial match test at Neg -> %Neg_0");
  }

  @Test
  void explainsWhyANodeIsNotTaken() {
    RuleAssert rules =
        assertRule(AttentionRulesTest.rules())
            .on(
                g -> {
                  Value x = input(g, "x", 4, 10);
                  Value logits = g.append("MatMul", x, input(g, "w", 10, 10));
                  g.addOutput(g.append("Softmax", logits));
                });
    Node softmax = rules.graph().nodeList().get(1);
    Explanation alone = explain(rules, softmax);
    assertThat(alone.isMatched()).isFalse();
    assertThat(alone.toString()).contains("no rule starts at it or at a node that reads it");

    rules.on(
        g -> {
          Value x = input(g, "x", 4, 10);
          Value logits = g.append("Relu", g.append("MatMul", x, input(g, "w", 10, 10)));
          Value probs = g.append("Softmax", logits);
          g.addOutput(g.append("MatMul", g.append("Neg", probs), input(g, "v", 10, 3)));
          g.addOutput(g.append("MatMul", probs, input(g, "u", 10, 3)));
        });
    Explanation explanation = explain(rules, rules.graph().nodeList().get(2));
    assertThat(explanation.isMatched()).isFalse();
    assertThat(explanation.failures().get(0).matched()).contains(explanation.node());
    assertThat(explanation.failures())
        .extracting(Object::toString)
        .anyMatch(
            f ->
                f.startsWith("attention.core at MatMul -> %MatMul_1: expected ")
                    && f.contains("found Relu -> %Relu (test.rules:"));
  }

  private static Explanation explain(RuleAssert rules, Node node) {
    return rules.engine().explain(node, new DeclaredFacts(), Map.of("", 17L));
  }
}
