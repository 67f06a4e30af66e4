package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.nio.file.Path;
import java.util.List;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;

/** Rows without any key are zeros, however a model asks whether a row is one. */
final class UnifyRowGuardsTest {
  private static final int OPSET = 20;

  private static Value zeros(SpelledGraph g) {
    int elements =
        SpelledGraph.BATCH * SpelledGraph.HEADS * SpelledGraph.VIDEO * SpelledGraph.VIDEO;
    long[] dims = {SpelledGraph.BATCH, SpelledGraph.HEADS, SpelledGraph.VIDEO, SpelledGraph.VIDEO};
    return g.graph.addConstant("zeros", Tensor.ofFloats(dims, new float[elements]));
  }

  private static Value gone(SpelledGraph g, Value scores) {
    return g.op("Equal", scores, g.number(Double.NEGATIVE_INFINITY));
  }

  private static Value cast(SpelledGraph g, Value value, DataType type) {
    return g.node("Cast", List.of(value), "to", type.code());
  }

  private static Value reduced(SpelledGraph g, String type, Value value) {
    return g.node(type, List.of(cast(g, value, DataType.INT64), g.longs(-1)), "keepdims", 1);
  }

  @Test
  void allScoresAreGoneByTheLeast() {
    check(
        (g, s) -> {
          Value all = cast(g, reduced(g, "ReduceMin", gone(g, s)), DataType.BOOL);
          return g.op("Where", all, zeros(g), g.softmax(s));
        });
  }

  @Test
  void noScoreIsLeftByTheSum() {
    check(
        (g, s) -> {
          Value left = reduced(g, "ReduceSum", g.op("Not", gone(g, s)));
          Value none = g.op("Not", g.op("Greater", left, g.scalar(0)));
          return g.op("Where", none, zeros(g), g.softmax(s));
        });
  }

  @Test
  void someScoreIsLeftByTheLargest() {
    check(
        (g, s) -> {
          Value left = g.op("Greater", s, g.number(Double.NEGATIVE_INFINITY));
          Value some = cast(g, reduced(g, "ReduceMax", left), DataType.BOOL);
          return g.op("Where", some, g.softmax(s), g.number(0));
        });
  }

  @Test
  void infiniteProbabilitiesAreReplaced() {
    check(
        (g, s) -> {
          Value p = g.softmax(s);
          Value number = g.op("Where", g.op("IsNaN", p), g.number(0), p);
          Value above = g.op("And", g.op("IsInf", p), g.op("Greater", p, g.number(0)));
          Value below = g.op("And", g.op("IsInf", p), g.op("Less", p, g.number(0)));
          Value low = g.op("Where", below, g.number(-Float.MAX_VALUE), number);
          return g.op("Where", above, g.number(Float.MAX_VALUE), low);
        });
  }

  /** Zeros for queries that the model picks, or for single scores, are no guard. */
  @Test
  void otherZerosStay() {
    assertThat(
            changes(
                (g, s) -> {
                  Value some = g.op("Greater", g.slice(s, 3, 0, 1), g.number(0));
                  return g.op("Where", some, zeros(g), g.softmax(s));
                }))
        .isZero();
    assertThat(changes((g, s) -> g.op("Where", gone(g, s), zeros(g), g.softmax(s)))).isZero();
    assertThat(
            changes(
                (g, s) -> {
                  // One score is gone: not all of them.
                  Value some = cast(g, reduced(g, "ReduceMax", gone(g, s)), DataType.BOOL);
                  return g.op("Where", some, zeros(g), g.softmax(s));
                }))
        .isZero();
  }

  /** Probabilities of which the graph replaces some by another number are no softmax's. */
  @Test
  void replacedProbabilitiesStay() {
    assertThat(
            changes(
                (g, s) -> {
                  Value all = cast(g, reduced(g, "ReduceMin", gone(g, s)), DataType.BOOL);
                  Value some = g.op("Greater", s, g.number(0));
                  return g.op(
                      "Where", all, zeros(g), g.op("Where", some, g.number(5), g.softmax(s)));
                }))
        .isZero();
  }

  private static SpelledGraph spelled(BiFunction<SpelledGraph, Value, Value> probabilities) {
    return SpelledGraph.of(
        OPSET,
        g -> {
          Value[] x = g.qkv();
          float[] elements = new float[SpelledGraph.BATCH * SpelledGraph.VIDEO];
          // The first element of the batch has keys, the second has none.
          for (int i = 0; i < SpelledGraph.VIDEO; i++) {
            elements[i] = i % 3 == 0 ? 0 : 1;
          }
          long[] dims = {SpelledGraph.BATCH, 1, 1, SpelledGraph.VIDEO};
          Value counts = g.input("counts", DataType.FLOAT, Tensor.ofFloats(dims, elements));
          Value scores =
              g.op(
                  "Where",
                  g.op("Greater", counts, g.number(0)),
                  g.scores(x[0], x[1]),
                  g.number(Double.NEGATIVE_INFINITY));
          return g.merged(g.op("MatMul", probabilities.apply(g, scores), x[2]));
        });
  }

  private static void check(BiFunction<SpelledGraph, Value, Value> probabilities) {
    SpelledGraph spelled = spelled(probabilities);
    Model model = spelled.model();
    double[] before = CanonicalForm.output(model, spelled);
    Compilation compilation =
        RecognisedModel.recognise(
            model,
            (pass, changes) -> {
              if (pass instanceof UnifyRowGuards) {
                assertThat(changes).isPositive();
                assertThat(CanonicalForm.output(model, spelled))
                    .containsExactly(before, within(1e-6));
              }
            });
    assertThat(compilation.sites()).hasSize(1);
    assertThat(compilation.sites().get(0).sparsify()).isTrue();
    assertThat(compilation.sites().get(0).masked()).isTrue();
  }

  private static int changes(BiFunction<SpelledGraph, Value, Value> probabilities) {
    Compilation compilation =
        new Compilation(
            Path.of("spelled.onnx"), spelled(probabilities).model(), CompileOptions.DEFAULT);
    return new UnifyRowGuards().run(compilation);
  }
}
