package io.sparsedit.compiler.rules;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType.TensorType;
import io.sparsedit.compiler.rules.match.Match;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The attention rules of the tests, on graphs as exporters write them. */
class AttentionRulesTest {
  static String rules() {
    try (InputStream in = AttentionRulesTest.class.getResourceAsStream("/rules/attention.rules")) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static Value typed(Value value, long... dims) {
    value.setType(TensorType.of(DataType.FLOAT, dims));
    return value;
  }

  private static Value input(Graph graph, String name, long... dims) {
    return graph.addInput(name, TensorType.of(DataType.FLOAT, dims));
  }

  private static Value transpose(Graph graph, Value x, long... perm) {
    Value y = graph.append("Transpose", x);
    y.producer()
        .orElseThrow()
        .setAttribute(
            "perm", new Attribute.IntList(java.util.Arrays.stream(perm).boxed().toList()));
    return y;
  }

  /** q and k each times the root of the scale; k still in BSHD. */
  private static void torchScript(Graph graph) {
    Value q = input(graph, "q", 1, 2, 192, 32);
    Value k = input(graph, "k", 1, 24, 2, 32);
    Value v = input(graph, "v", 1, 2, 24, 32);
    Value s1 = graph.addConstant("s1", Tensor.scalar(0.42044820f));
    Value s2 = graph.addConstant("s2", Tensor.ofFloats(new long[] {1}, 0.42044820f));
    Value kt = typed(transpose(graph, k, 0, 2, 3, 1), 1, 2, 32, 24);
    Value qs = graph.append("Mul", s1, q);
    Value ks = graph.append("Mul", kt, s2);
    Value scores = graph.append("MatMul", qs, ks);
    Value probs = graph.append("Softmax", scores);
    Value out = typed(graph.append("MatMul", probs, v), 1, 2, 192, 32);
    graph.addOutput(out);
  }

  @Test
  void matchesScaledQueryAndKey() {
    Match match = RuleAssert.assertRule(rules()).on(AttentionRulesTest::torchScript).matches();

    assertThat(match.requiredNumber("scale"))
        .isEqualTo(1 / Math.sqrt(32), org.assertj.core.data.Offset.offset(1e-6));
    assertThat(match.requiredValue("q").name()).isEqualTo("q");
    assertThat(match.requiredValue("k").name()).isEqualTo("k");
    assertThat(match.tags("kt")).containsExactly("bshd");
    assertThat(match.value("mask")).isEmpty();
    assertThat(match.requiredNumber("Sk")).isEqualTo(24);
  }

  @Test
  void rewritesToOneNode() {
    RuleAssert.assertRule(rules())
        .on(AttentionRulesTest::torchScript)
        .rewritesTo(
            "%MatMul_1_key = Transpose(%k) {perm=[0, 2, 1, 3]}",
            "%MatMul_1 : f32[1,2,192,32] = sparsedit.Attention(%q, %MatMul_1_key, %v)"
                + " {scale=0.1767767, mask_kind=\"none\"}",
            "output %MatMul_1 : f32[1,2,192,32]");
  }

  static List<Long> dims(Match match, String... names) {
    return java.util.Arrays.stream(names).map(n -> (long) match.requiredNumber(n)).toList();
  }
}
