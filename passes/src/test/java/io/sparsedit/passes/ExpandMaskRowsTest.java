package io.sparsedit.passes;

import static io.sparsedit.passes.SpelledGraph.BATCH;
import static io.sparsedit.passes.SpelledGraph.TEXT;
import static io.sparsedit.passes.SpelledGraph.VIDEO;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A mask with one row for all queries, which ONNX Runtime's CPU kernel does not broadcast. */
final class ExpandMaskRowsTest {
  private static SpelledGraph attention(int opset, Value[] mask) {
    return SpelledGraph.of(
        opset,
        g -> {
          mask[0] = g.input("bias", BATCH, 1, mask.length == 1 ? 1 : VIDEO, TEXT);
          return g.merged(
              g.node(
                  "Attention",
                  List.of(g.bhsd(g.tokens), g.bhsd(g.text), g.bhsd(g.text), mask[0]),
                  "scale",
                  0.5f));
        });
  }

  /** The same attention written as two products. */
  private static double[] spelledOut() {
    SpelledGraph g =
        SpelledGraph.of(
            23,
            s -> {
              Value bias = s.input("bias", BATCH, 1, 1, TEXT);
              Value q = s.bhsd(s.tokens);
              Value k = s.bhsd(s.text);
              Value v = s.bhsd(s.text);
              Value scores = s.op("Add", s.scores(q, k), bias);
              return s.merged(s.op("MatMul", s.softmax(scores), v));
            });
    return CanonicalForm.output(g.model(), g);
  }

  @ParameterizedTest
  @ValueSource(ints = {23, 24})
  void rowsAreExpanded(int opset) {
    SpelledGraph g = attention(opset, new Value[1]);
    Model model = g.model();
    // The reason for the pass; when this runs, the pass can go.
    assertThatThrownBy(() -> CanonicalForm.output(g.model(), g))
        .isInstanceOf(SparsifyException.class);

    ExpandMaskRows.in(model);

    GraphVerifier.require(model);
    assertThat(model.graph().nodeList().stream().map(Node::opType)).containsOnlyOnce("Expand");
    assertThat(CanonicalForm.output(model, g)).containsExactly(spelledOut(), within(1e-5));
  }

  @ParameterizedTest
  @ValueSource(ints = {23, 24})
  void maskOfAllRowsStays(int opset) {
    SpelledGraph g = attention(opset, new Value[2]);
    Model model = g.model();

    ExpandMaskRows.in(model);

    assertThat(model.graph().nodeList().stream().map(Node::opType)).doesNotContain("Expand");
  }
}
