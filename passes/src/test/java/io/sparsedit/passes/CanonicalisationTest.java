package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What each pass from many spellings to few makes of a graph, and what it leaves alone. The graphs
 * before and after compute the same in ONNX Runtime.
 */
final class CanonicalisationTest {
  /** Operators around the one that a test is about. */
  private static final List<String> FRAME = List.of("Conv", "Reshape", "Transpose");

  @Test
  void einsumOfMatricesIsMatMul() {
    check(
        new SpellOutEinsum(),
        g -> g.einsum("bic,bjc->bij", g.tokens, g.tokens),
        "Einsum",
        "Transpose MatMul");
  }

  @Test
  void einsumThatSumsOverTwoAxesStays() {
    check(
        new SpellOutEinsum(),
        g -> g.einsum("bshd,bthd->bst", g.heads(g.tokens), g.heads(g.tokens)),
        "MatMul Add Reshape MatMul Add Reshape Einsum",
        "MatMul Add Reshape MatMul Add Reshape Einsum");
  }

  @Test
  void einsumWithWeightsStays() {
    check(
        new SpellOutEinsum(),
        g -> g.einsum("bsc,cd->bsd", g.tokens, g.weight(SpelledGraph.WIDTH, 3)),
        "Einsum",
        "Einsum");
  }

  @Test
  void einsumThatPermutesIsTranspose() {
    check(new SpellOutEinsum(), g -> g.einsum("bsc->csb", g.tokens), "Einsum", "Transpose");
  }

  @Test
  void partsOfASplitSequenceAreSlices() {
    check(
        new SpellOutSequences(),
        g -> {
          Value parts = g.node("SplitToSequence", List.of(g.tokens, g.longs(10, 8, 6)), "axis", 1);
          return g.op("Neg", g.op("SequenceAt", parts, g.scalar(-2)));
        },
        "SplitToSequence SequenceAt Neg",
        "Slice Neg");
    check(
        new SpellOutSequences(),
        g -> {
          Value parts = g.node("SplitToSequence", List.of(g.tokens, g.scalar(10)), "axis", 1);
          return g.op("Neg", g.op("SequenceAt", parts, g.scalar(2)));
        },
        "SplitToSequence SequenceAt Neg",
        "Slice Neg");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1})
  void elementsOfASplitSequenceAreGathered(int keepdims) {
    check(
        new SpellOutSequences(),
        g -> {
          Value parts =
              g.node("SplitToSequence", List.of(g.tokens), "axis", 1, "keepdims", keepdims);
          return g.op("Neg", g.op("SequenceAt", parts, g.scalar(-1)));
        },
        "SplitToSequence SequenceAt Neg",
        "Gather Neg");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1})
  void sequencesThatAreConstructedGo(int stacks) {
    check(
        new SpellOutSequences(),
        g -> {
          Value sequence = g.op("SequenceConstruct", g.tokens, g.op("Abs", g.tokens));
          Value whole =
              g.node("ConcatFromSequence", List.of(sequence), "axis", 1, "new_axis", stacks);
          return g.op("Neg", whole);
        },
        "Abs SequenceConstruct ConcatFromSequence Neg",
        stacks == 1 ? "Abs Unsqueeze Unsqueeze Concat Neg" : "Abs Concat Neg");
    check(
        new SpellOutSequences(),
        g -> {
          Value sequence = g.op("SequenceConstruct", g.tokens, g.op("Abs", g.tokens));
          return g.op("Neg", g.op("SequenceAt", sequence, g.scalar(1)));
        },
        "Abs SequenceConstruct SequenceAt Neg",
        "Abs Neg");
  }

  /** Which part is taken is the model's input: the sequence stays. */
  @Test
  void sequencesThatAnInputPicksFromStay() {
    check(
        new SpellOutSequences(),
        g -> {
          Value sequence = g.op("SequenceConstruct", g.tokens, g.op("Abs", g.tokens));
          Value pick = g.input("pick", DataType.INT64, Tensor.scalar(1L));
          return g.op("Neg", g.op("SequenceAt", sequence, pick));
        },
        "Abs SequenceConstruct SequenceAt Neg",
        "Abs SequenceConstruct SequenceAt Neg");
  }

  @Test
  void fusedMatMulBeforeSoftmaxIsSpeltOut() {
    check(
        new SpellOutFusedMatMul(),
        g ->
            g.softmax(
                g.node(
                    "com.microsoft.FusedMatMul",
                    List.of(g.tokens, g.tokens),
                    "transB",
                    1,
                    "alpha",
                    0.5f)),
        "com.microsoft.FusedMatMul Softmax",
        "Transpose MatMul Mul Softmax");
  }

  @Test
  void fusedMatMulThatMovesBatchesIsSpeltOut() {
    check(
        new SpellOutFusedMatMul(),
        g -> {
          Value tokensFirst = g.transpose(g.tokens, 1, 0, 2);
          return g.softmax(
              g.node(
                  "com.microsoft.FusedMatMul",
                  List.of(tokensFirst, tokensFirst),
                  "transBatchA",
                  1,
                  "transBatchB",
                  1,
                  "transB",
                  1));
        },
        "Transpose com.microsoft.FusedMatMul Softmax",
        "Transpose Transpose Transpose MatMul Softmax");
  }

  @Test
  void gemmBeforeSoftmaxIsSpeltOut() {
    check(
        new SpellOutFusedMatMul(),
        g -> {
          Value rows = g.reshape(g.tokens, -1, SpelledGraph.WIDTH);
          return g.softmax(g.node("Gemm", List.of(rows, rows), "transB", 1, "alpha", 0.5f));
        },
        "Reshape Gemm Softmax",
        "Reshape Transpose MatMul Mul Softmax");
  }

  @Test
  void softmaxOfRowsIsThatOfScores() {
    check(
        new UnflattenSoftmax(),
        g -> {
          Value rows = g.node("Flatten", List.of(g.tokens), "axis", 2);
          Value p = g.node("Softmax", List.of(rows), "axis", 1);
          return g.op("Reshape", p, g.op("Shape", g.tokens));
        },
        "Flatten Softmax Shape Reshape",
        "Softmax Flatten Shape Reshape");
  }

  @Test
  void softmaxOverSeveralAxesStays() {
    check(
        new UnflattenSoftmax(),
        g -> g.softmax(g.node("Flatten", List.of(g.tokens), "axis", 1)),
        "Flatten Softmax",
        "Flatten Softmax");
  }

  @Test
  void reshapeThatUndoesAnotherGoes() {
    check(
        new ComposeReshapes(),
        g -> {
          Value rows = g.reshape(g.tokens, -1, SpelledGraph.WIDTH);
          return g.op(
              "Neg", g.reshape(rows, SpelledGraph.BATCH, SpelledGraph.VIDEO, SpelledGraph.WIDTH));
        },
        "Reshape Reshape Neg",
        "Neg");
  }

  @Test
  void fusedMatMulElsewhereStays() {
    check(
        new SpellOutFusedMatMul(),
        g -> g.node("com.microsoft.FusedMatMul", List.of(g.tokens, g.tokens), "transB", 1),
        "com.microsoft.FusedMatMul",
        "com.microsoft.FusedMatMul");
  }

  @Test
  void exponentialsOverTheirSumAreSoftmax() {
    check(
        new RecomposeSoftmax(),
        g -> {
          Value e = g.op("Exp", g.tokens);
          return g.op("Div", e, g.op("ReduceSum", e, g.longs(2)));
        },
        "Exp ReduceSum Div",
        "Softmax");
  }

  @Test
  void exponentialsOverAnotherSumStay() {
    check(
        new RecomposeSoftmax(),
        g -> {
          Value e = g.op("Exp", g.tokens);
          return g.op("Div", e, g.op("ReduceSum", g.op("Abs", g.tokens), g.longs(2)));
        },
        "Exp Abs ReduceSum Div",
        "Exp Abs ReduceSum Div");
  }

  @Test
  void exponentialsOverTheSumOfTwoAxesStay() {
    check(
        new RecomposeSoftmax(),
        g -> {
          Value e = g.op("Exp", g.tokens);
          return g.op("Div", e, g.op("ReduceSum", e, g.longs(1, 2)));
        },
        "Exp ReduceSum Div",
        "Exp ReduceSum Div");
  }

  @Test
  void transpositionOfScoresGoesBehindTheSoftmax() {
    check(
        new LowerScoreTransposes(),
        g -> {
          Value scores = g.op("MatMul", g.tokens, g.transpose(g.tokens, 0, 2, 1));
          Value turned = g.transpose(scores, 1, 0, 2);
          return g.softmax(g.op("Add", turned, g.weight(SpelledGraph.VIDEO, 1, 1)));
        },
        "Transpose MatMul Transpose Add Softmax",
        "Transpose MatMul Transpose Add Softmax Transpose");
  }

  @Test
  void transpositionOfWhatIsNoScoreStays() {
    check(
        new LowerScoreTransposes(),
        g -> g.op("Relu", g.transpose(g.op("MatMul", g.tokens, g.weight(8, 8)), 1, 0, 2)),
        "MatMul Transpose Relu",
        "MatMul Transpose Relu");
  }

  @Test
  void softmaxOverRowsIsSoftmaxOverColumnsOfTheTransposedProduct() {
    check(
        new TurnColumnSoftmax(),
        g -> {
          Value scores = g.op("MatMul", g.tokens, g.transpose(g.tokens, 0, 2, 1));
          return g.node("Softmax", List.of(g.op("Mul", scores, g.number(2))), "axis", 1);
        },
        "Transpose MatMul Mul Softmax",
        "Transpose Transpose Transpose MatMul Mul Softmax Transpose");
  }

  @Test
  void softmaxOverTokensOfWhatIsNoProductStays() {
    check(
        new TurnColumnSoftmax(),
        g -> g.node("Softmax", List.of(g.tokens), "axis", 1),
        "Softmax",
        "Softmax");
  }

  @Test
  void productWithTransposedProbabilitiesIsTurned() {
    check(
        new TurnTransposedProducts(),
        g -> {
          Value p = g.softmax(g.op("MatMul", g.tokens, g.transpose(g.tokens, 0, 2, 1)));
          return g.op("MatMul", g.transpose(g.tokens, 0, 2, 1), g.transpose(p, 0, 2, 1));
        },
        "Transpose MatMul Softmax Transpose Transpose MatMul",
        "Transpose MatMul Softmax Transpose Transpose MatMul Transpose");
  }

  @Test
  void transpositionsCompose() {
    check(
        new ComposeTransposes(),
        g -> g.op("Relu", g.transpose(g.transpose(g.op("Neg", g.tokens), 1, 0, 2), 2, 1, 0)),
        "Neg Transpose Transpose Relu",
        "Neg Transpose Relu");
  }

  @Test
  void inverseTranspositionsVanish() {
    check(
        new ComposeTransposes(),
        g -> g.op("Relu", g.transpose(g.transpose(g.op("Neg", g.tokens), 1, 2, 0), 2, 0, 1)),
        "Neg Transpose Transpose Relu",
        "Neg Relu");
  }

  @Test
  void reshapesCompose() {
    check(
        new ComposeReshapes(),
        g -> g.reshape(g.reshape(g.tokens, 2, -1), 4, 12, 8),
        "Reshape Reshape",
        "Reshape");
  }

  @Test
  void reshapeThatCopiesASizeStays() {
    check(
        new ComposeReshapes(),
        g -> g.reshape(g.reshape(g.tokens, 4, 96), 0, 8, 12),
        "Reshape Reshape",
        "Reshape Reshape");
  }

  @Test
  void factorOfEachBatchMovesToTheQueries() {
    check(
        new MoveScaleToQueries(),
        g -> {
          Value scores = g.op("MatMul", g.tokens, g.transpose(g.tokens, 0, 2, 1));
          return g.softmax(g.op("Mul", scores, g.weight(SpelledGraph.BATCH, 1, 1)));
        },
        "Transpose MatMul Mul Softmax",
        "Transpose Mul MatMul Softmax");
  }

  @Test
  void factorOfEachKeyStays() {
    check(
        new MoveScaleToQueries(),
        g -> {
          Value scores = g.op("MatMul", g.tokens, g.transpose(g.tokens, 0, 2, 1));
          return g.softmax(g.op("Mul", scores, g.weight(1, 1, SpelledGraph.VIDEO)));
        },
        "Transpose MatMul Mul Softmax",
        "Transpose MatMul Mul Softmax");
  }

  /** Operators before and after, those of the frame left out. */
  private static void check(
      Pass<Compilation> pass,
      Function<SpelledGraph, Value> build,
      String operatorsBefore,
      String operatorsAfter) {
    SpelledGraph spelled = SpelledGraph.bare(17, build);
    Model model = spelled.model();
    assertThat(operators(model)).isEqualTo(operatorsBefore);
    final double[] expected = CanonicalForm.output(model, spelled);

    int changes = pass.run(new Compilation(Path.of("test.onnx"), model, CompileOptions.DEFAULT));

    model.graph().removeDeadNodes();
    GraphVerifier.require(model);
    assertThat(operators(model)).isEqualTo(operatorsAfter);
    assertThat(changes > 0).isEqualTo(!operatorsBefore.equals(operatorsAfter));
    assertThat(CanonicalForm.output(model, spelled)).containsExactly(expected, within(1e-5));
  }

  private static String operators(Model model) {
    List<String> all =
        StreamSupport.stream(model.graph().nodes().spliterator(), false)
            .map(node -> node.domain().isEmpty() ? node.opType() : qualified(node))
            .toList();
    assertThat(all).startsWith(FRAME.toArray(String[]::new));
    return String.join(" ", all.subList(FRAME.size(), all.size()));
  }

  private static String qualified(Node node) {
    return node.domain() + "." + node.opType();
  }
}
