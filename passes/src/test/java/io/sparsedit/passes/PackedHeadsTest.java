package io.sparsedit.passes;

import static io.sparsedit.passes.SpelledGraph.BATCH;
import static io.sparsedit.passes.SpelledGraph.HEADS;
import static io.sparsedit.passes.SpelledGraph.HEAD_DIM;
import static io.sparsedit.passes.SpelledGraph.TEXT;
import static io.sparsedit.passes.SpelledGraph.VIDEO;
import static io.sparsedit.passes.SpelledGraph.WIDTH;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/**
 * MultiHeadAttention whose q, k and v come in one tensor, which ONNX Runtime computes on GPUs
 * alone: what it is recognised as computes what the same attention written out does.
 */
final class PackedHeadsTest {
  private static final String MHA = "com.microsoft.MultiHeadAttention";

  @Test
  void queriesKeysAndValues() {
    Function<SpelledGraph, Value> packed =
        g -> g.node(MHA, List.of(all(g, g.tokens, VIDEO, 3)), "num_heads", HEADS);
    Function<SpelledGraph, Value> written =
        g -> {
          Value all = all(g, g.tokens, VIDEO, 3);
          return attention(g, part(g, all, 0), part(g, all, 1), part(g, all, 2));
        };

    assertThat(recognised(packed, "self 2 24 to 24"))
        .containsExactly(output(SpelledGraph.of(17, written)), within(1e-5));
  }

  @Test
  void keysAndValues() {
    Function<SpelledGraph, Value> packed =
        g -> g.node(MHA, List.of(g.linear(g.tokens), all(g, g.text, TEXT, 2)), "num_heads", HEADS);
    Function<SpelledGraph, Value> written =
        g -> {
          Value q = g.reshape(g.linear(g.tokens), BATCH, VIDEO, HEADS, HEAD_DIM);
          Value all = all(g, g.text, TEXT, 2);
          return attention(g, q, part(g, all, 0), part(g, all, 1));
        };

    assertThat(recognised(packed, "cross 2 24 to 5"))
        .containsExactly(output(SpelledGraph.of(17, written)), within(1e-5));
  }

  /** [B,S,H,parts,D]. */
  private static Value all(SpelledGraph g, Value tokens, long count, int parts) {
    Value projected = g.linear(tokens, parts * WIDTH);
    return g.reshape(projected, BATCH, count, HEADS, parts, HEAD_DIM);
  }

  /** [B,S,H,D]. */
  private static Value part(SpelledGraph g, Value all, long index) {
    return g.node("Gather", List.of(all, g.scalar(index)), "axis", 3);
  }

  private static Value attention(SpelledGraph g, Value q, Value k, Value v) {
    Value scores = g.scores(g.transpose(q, 0, 2, 1, 3), g.transpose(k, 0, 2, 1, 3));
    return g.merged(g.op("MatMul", g.softmax(scores), g.transpose(v, 0, 2, 1, 3)));
  }

  private static double[] recognised(Function<SpelledGraph, Value> attention, String site) {
    SpelledGraph spelled = SpelledGraph.of(17, attention);
    Compilation compilation = RecognisedModel.recognise(spelled.model());
    assertThat(compilation.sites()).extracting(RandomGraph::describe).containsExactly(site);
    return CanonicalForm.output(compilation.model(), spelled);
  }

  private static double[] output(SpelledGraph spelled) {
    return CanonicalForm.output(spelled.model(), spelled);
  }
}
