package io.sparsedit.passes;

import static io.sparsedit.passes.SpelledGraph.BATCH;
import static io.sparsedit.passes.SpelledGraph.HEADS;
import static io.sparsedit.passes.SpelledGraph.HEAD_DIM;
import static io.sparsedit.passes.SpelledGraph.VIDEO;
import static io.sparsedit.passes.SpelledGraph.WIDTH;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/**
 * Operators that ONNX Runtime runs on a GPU only: what they become is compared with the same
 * written out.
 */
final class PackedOperatorsTest {
  private static final String OPERATOR = "com.microsoft.MultiHeadAttention";

  private static Compilation recognised(SpelledGraph spelled) {
    Compilation compilation = RecognisedModel.recognise(spelled.model());
    return compilation;
  }

  private static void assertMeans(
      Function<SpelledGraph, Value> packed, Function<SpelledGraph, Value> spelledOut) {
    SpelledGraph graph = SpelledGraph.of(17, packed);
    Compilation compilation = recognised(graph);
    SpelledGraph expected = SpelledGraph.of(17, spelledOut);

    assertThat(compilation.sites()).hasSize(1);
    assertThat(RandomGraph.describe(compilation.sites().get(0))).isEqualTo("self 2 24 to 24");
    assertThat(CanonicalForm.output(compilation.model(), graph))
        .containsExactly(CanonicalForm.output(expected.model(), expected), within(1e-5));
  }

  /** A part of {@code [B,S,H,n,D]} as {@code [B,H,S,D]}. */
  private static Value part(SpelledGraph g, Value all, int index) {
    Value one = g.op("Squeeze", g.slice(all, 3, index, index + 1), g.longs(3));
    return g.transpose(one, 0, 2, 1, 3);
  }

  private static Value packed(SpelledGraph g, int count) {
    return g.reshape(g.linear(g.tokens, count * WIDTH), BATCH, VIDEO, HEADS, count, HEAD_DIM);
  }

  private static Value attend(SpelledGraph g, Value q, Value k, Value v) {
    return g.merged(g.op("MatMul", g.softmax(g.scores(q, k)), v));
  }

  @Test
  void queriesKeysAndValues() {
    assertMeans(
        g -> g.node(OPERATOR, List.of(packed(g, 3)), "num_heads", HEADS),
        g -> {
          Value all = packed(g, 3);
          return attend(g, part(g, all, 0), part(g, all, 1), part(g, all, 2));
        });
  }

  @Test
  void keysAndValues() {
    assertMeans(
        g -> g.node(OPERATOR, List.of(g.linear(g.tokens), packed(g, 2)), "num_heads", HEADS),
        g -> {
          Value q = g.bhsd(g.tokens);
          Value both = packed(g, 2);
          return attend(g, q, part(g, both, 0), part(g, both, 1));
        });
  }

  @Test
  void tokensWithoutPaddingStayAsTheyAre() {
    SpelledGraph graph =
        SpelledGraph.of(
            17,
            g ->
                g.node(
                    "com.microsoft.PackedMultiHeadAttention",
                    List.of(
                        g.reshape(g.linear(g.tokens), -1, WIDTH),
                        g.reshape(g.linear(g.tokens), -1, WIDTH),
                        g.reshape(g.linear(g.tokens), -1, WIDTH),
                        g.weight(3 * WIDTH),
                        g.input("offset", DataType.INT32, Tensor.ofInts(new long[] {1, 1}, 0)),
                        g.input("ends", DataType.INT32, Tensor.ofInts(new long[] {2}, 0, 24))),
                    "num_heads",
                    HEADS));

    assertThat(recognised(graph).notUnderstood())
        .singleElement()
        .satisfies(
            item ->
                assertThat(item.reason())
                    .isEqualTo(
                        "it takes the tokens of all elements of the batch in one row, without their"
                            + " padding"));
  }
}
