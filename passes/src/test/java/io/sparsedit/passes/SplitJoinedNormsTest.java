package io.sparsedit.passes;

import static io.sparsedit.passes.SpelledGraph.BATCH;
import static io.sparsedit.passes.SpelledGraph.HEADS;
import static io.sparsedit.passes.SpelledGraph.HEAD_DIM;
import static io.sparsedit.passes.SpelledGraph.VIDEO;
import static io.sparsedit.passes.SpelledGraph.WIDTH;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;

/** A norm of Q and K in one tensor is one of each, wherever they are taken out of it. */
final class SplitJoinedNormsTest {
  private static Value root(SpelledGraph g, Value x) {
    Value square = g.op("Mul", x, x);
    Value mean = g.node("ReduceMean", List.of(square), "axes", new long[] {-1}, "keepdims", 1);
    Value root = g.op("Sqrt", g.op("Add", mean, g.number(1e-6)));
    return g.op("Mul", g.op("Div", x, root), g.weight(HEAD_DIM));
  }

  private static Value layer(SpelledGraph g, Value x) {
    return g.node("LayerNormalization", List.of(x, g.weight(HEAD_DIM)), "axis", -1);
  }

  /** [B,S,H,D] out of [B,S,2,H,D]. */
  private static Value gathered(SpelledGraph g, Value both, int which) {
    return g.node("Gather", List.of(both, g.scalar(which)), "axis", 2);
  }

  private static Value sliced(SpelledGraph g, Value both, int which) {
    return g.op("Squeeze", g.slice(both, 2, which, which + 1), g.longs(2));
  }

  private static Value[] gathered(SpelledGraph g, Value both) {
    return new Value[] {gathered(g, both, 0), gathered(g, both, 1)};
  }

  private static Value[] sliced(SpelledGraph g, Value both) {
    return new Value[] {sliced(g, both, 0), sliced(g, both, 1)};
  }

  @Test
  void spelledOutAndGathered() {
    check(SplitJoinedNormsTest::root, SplitJoinedNormsTest::gathered, 1);
  }

  @Test
  void anOperatorAndSliced() {
    check(SplitJoinedNormsTest::layer, SplitJoinedNormsTest::sliced, 1);
  }

  /** Q and K have weights of their own. */
  @Test
  void weightsThatDifferStay() {
    check(
        (g, x) -> g.op("Mul", layer(g, x), g.weight(2, 1, HEAD_DIM)),
        SplitJoinedNormsTest::gathered,
        0);
  }

  private static void check(
      BiFunction<SpelledGraph, Value, Value> norm,
      BiFunction<SpelledGraph, Value, Value[]> apart,
      int changes) {
    SpelledGraph spelled =
        SpelledGraph.of(
            17,
            g -> {
              Value both =
                  g.reshape(g.linear(g.tokens, 2 * WIDTH), BATCH, VIDEO, 2, HEADS, HEAD_DIM);
              Value[] qk = apart.apply(g, norm.apply(g, both));
              Value scores = g.scores(g.merged(qk[0]), g.merged(qk[1]));
              return g.merged(g.op("MatMul", g.softmax(scores), g.bhsd(g.tokens)));
            });
    Model model = spelled.model();
    double[] before = CanonicalForm.output(model, spelled);
    Compilation compilation =
        RecognisedModel.recognise(
            model,
            (pass, changed) -> {
              if (pass instanceof SplitJoinedNorms) {
                assertThat(changed).isEqualTo(changes);
                assertThat(CanonicalForm.output(model, spelled))
                    .containsExactly(before, within(1e-5));
              }
            });
    String preparation = compilation.sites().get(0).preparation().toString();
    assertThat(preparation.contains("over head")).as(preparation).isEqualTo(changes > 0);

    compilation.sites().get(0).recognition().undo();
    model.graph().removeDeadNodes();
    GraphVerifier.require(model);
    assertThat(CanonicalForm.output(model, spelled)).containsExactly(before, within(1e-5));
  }
}
