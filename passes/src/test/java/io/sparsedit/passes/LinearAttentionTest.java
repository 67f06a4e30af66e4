package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** Linear attention is said to be what it is. */
final class LinearAttentionTest {
  @Test
  void valuesByKeysFirst() {
    List<Inspection.NotUnderstood> open =
        notUnderstood(
            g -> {
              Value[] x = g.qkv();
              Value state =
                  g.op("MatMul", g.transpose(x[2], 0, 1, 3, 2), g.node("Relu", List.of(x[1])));
              Value query = g.transpose(g.node("Relu", List.of(x[0])), 0, 1, 3, 2);
              return g.transpose(g.op("MatMul", state, query), 0, 3, 1, 2);
            });

    assertThat(open).hasSize(1);
    assertThat(open.get(0).node()).startsWith("MatMul");
    assertThat(open.get(0).reason())
        .contains("linear attention")
        .contains("nothing to make sparse");
  }

  @Test
  void keysByValuesFirst() {
    List<Inspection.NotUnderstood> open =
        notUnderstood(
            g -> {
              Value[] x = g.qkv();
              Value state = g.op("MatMul", g.transpose(x[1], 0, 1, 3, 2), x[2]);
              Value scaled = g.op("Mul", state, g.number(0.1));
              return g.merged(g.op("MatMul", x[0], scaled));
            });

    assertThat(open).extracting(Inspection.NotUnderstood::reason).hasSize(1);
    assertThat(open.get(0).reason()).contains("linear attention");
  }

  @Test
  void attentionWithASoftmaxAndLayersInARowAreNone() {
    assertThat(
            notUnderstood(
                g -> {
                  Value[] x = g.qkv();
                  return g.merged(g.op("MatMul", g.softmax(g.scores(x[0], x[1])), x[2]));
                }))
        .isEmpty();
    assertThat(notUnderstood(g -> g.linear(g.linear(g.tokens)))).isEmpty();
  }

  private static List<Inspection.NotUnderstood> notUnderstood(
      Function<SpelledGraph, Value> attention) {
    Compilation compilation = RecognisedModel.recognise(SpelledGraph.of(17, attention).model());
    return compilation.notUnderstood();
  }
}
