package io.sparsedit.compiler.legal;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class DecompositionsTest {
  private static final double TOLERANCE = 2e-6;
  private static final String MS = Microsoft.DOMAIN + ".";

  private static List<Optional<Value>> some(Value... values) {
    return java.util.Arrays.stream(values).map(Optional::of).toList();
  }

  // ---- normalisations ---------------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(ints = {-1, -2, 1, 2})
  void rmsNormalizationOverTheLastAxes(int axis) {
    Spelled spelled = new Spelled(23);
    long[] scale = axis == -1 || axis == 2 ? new long[] {8} : new long[] {3, 8};
    Value y =
        spelled.node(
            "RMSNormalization",
            some(spelled.floats("x", 2, 3, 8), spelled.weights("scale", scale)),
            "axis",
            axis,
            "epsilon",
            0.1f);
    spelled.output(y).check(TOLERANCE, "RMSNormalization");
  }

  @Test
  void rmsNormalizationOfHalvesComputesInSingle() {
    Spelled spelled = new Spelled(23);
    // Squares of these are beyond float16.
    Value x =
        spelled.node(
            "Cast",
            some(
                spelled.node(
                    "Mul",
                    spelled.floats("x", 2, 8),
                    spelled.graph.addConstant("big", Tensor.scalar(3000f)))),
            "to",
            10);
    Value scale = spelled.node("Cast", some(spelled.weights("scale", 8)), "to", 10);
    Value y = spelled.node("RMSNormalization", x, scale);
    spelled.output(spelled.node("Cast", some(y), "to", 1)).check(4e-3, "RMSNormalization");
  }

  @ParameterizedTest
  @ValueSource(ints = {16, 17, 18})
  void skipLayerNormalization(int opset) {
    Spelled spelled = new Spelled(opset);
    Value y =
        spelled.node(
            MS + "SkipLayerNormalization",
            some(
                spelled.floats("x", 2, 3, 8),
                spelled.floats("skip", 2, 3, 8),
                spelled.weights("gamma", 8),
                spelled.weights("beta", 8),
                spelled.weights("bias", 8)),
            "epsilon",
            1e-3f);
    Node node = y.producer().orElseThrow();
    node.addOutput("mean");
    node.addOutput("variance");
    spelled.output(y).output(node.addOutput("sum")).check(TOLERANCE);
  }

  @Test
  void skipSimplifiedLayerNormalization() {
    Spelled spelled = new Spelled(17);
    Value y =
        spelled.node(
            MS + "SkipSimplifiedLayerNormalization",
            spelled.floats("x", 2, 3, 8),
            spelled.floats("skip", 2, 3, 8),
            spelled.weights("gamma", 8));
    spelled.output(y).check(TOLERANCE);
  }

  @Test
  void simplifiedLayerNormalization() {
    Spelled spelled = new Spelled(17);
    Value y =
        spelled.node(
            "SimplifiedLayerNormalization",
            some(spelled.floats("x", 2, 3, 8), spelled.weights("scale", 8)),
            "axis",
            -1,
            "epsilon",
            1e-3f);
    spelled.output(y).check(TOLERANCE, "SimplifiedLayerNormalization");
  }

  @Test
  void aNormalisationWhoseStatisticsAreReadIsLeft() {
    Spelled spelled = new Spelled(17);
    Value y =
        spelled.node(
            MS + "SkipLayerNormalization",
            spelled.floats("x", 2, 3, 8),
            spelled.floats("skip", 2, 3, 8),
            spelled.weights("gamma", 8));
    spelled.output(y).output(y.producer().orElseThrow().addOutput("mean"));
    assertThat(spelled.legalised().graph().nodes())
        .anyMatch(node -> Microsoft.is(node, "SkipLayerNormalization"));
  }

  // ---- rotary embeddings ------------------------------------------------------------------------

  @ParameterizedTest
  @CsvSource({"0,0", "1,0", "0,4", "1,4"})
  void rotaryEmbedding(int interleaved, int rotated) {
    int half = rotated > 0 ? rotated / 2 : 4;
    Spelled spelled = new Spelled(23);
    Value y =
        spelled.node(
            "RotaryEmbedding",
            some(
                spelled.floats("x", 2, 3, 5, 8),
                spelled.floats("cos", 2, 5, half),
                spelled.floats("sin", 2, 5, half)),
            "interleaved",
            interleaved,
            "num_heads",
            rotated > 0 ? 3 : 0,
            "rotary_embedding_dim",
            rotated);
    spelled.output(y).check(TOLERANCE, "RotaryEmbedding");
  }

  @Test
  void rotaryEmbeddingOfFlatInputsByPositions() {
    Spelled spelled = new Spelled(23);
    Value positions =
        spelled.input("ids", Tensor.ofLongs(new long[] {2, 5}, 0, 3, 1, 6, 2, 5, 5, 4, 0, 1));
    Value y =
        spelled.node(
            "RotaryEmbedding",
            some(
                spelled.floats("x", 2, 5, 24),
                spelled.floats("cos", 7, 4),
                spelled.floats("sin", 7, 4),
                positions),
            "num_heads",
            3);
    spelled.output(y).check(TOLERANCE, "RotaryEmbedding");
  }

  @ParameterizedTest
  @CsvSource({"1", "2"})
  void rotaryEmbeddingOfOnnxRuntime(int rank) {
    Spelled spelled = new Spelled(17);
    Tensor ids =
        rank == 1
            ? Tensor.vector(2)
            : Tensor.ofLongs(new long[] {2, 5}, 0, 3, 1, 6, 2, 5, 5, 4, 0, 1);
    Value y =
        spelled.node(
            MS + "RotaryEmbedding",
            spelled.floats("x", 2, 5, 24),
            spelled.input("ids", ids),
            spelled.floats("cos", 7, 4),
            spelled.floats("sin", 7, 4));
    spelled.output(y).check(TOLERANCE, "RotaryEmbedding");
  }

  // ---- activations and products -----------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(strings = {"Gelu", "FastGelu", "QuickGelu"})
  void activationsOfOnnxRuntime(String operator) {
    Spelled spelled = new Spelled(17);
    spelled.output(spelled.node(MS + operator, spelled.floats("x", 4, 8))).check(TOLERANCE);
  }

  @ParameterizedTest
  @ValueSource(strings = {"BiasGelu", "FastGelu"})
  void activationsWithABias(String operator) {
    Spelled spelled = new Spelled(17);
    Value y = spelled.node(MS + operator, spelled.floats("x", 4, 8), spelled.weights("b", 8));
    spelled.output(y).check(TOLERANCE);
  }

  @Test
  void swish() {
    Spelled spelled = new Spelled(24);
    Value y = spelled.node("Swish", some(spelled.floats("x", 4, 8)), "alpha", 1.5f);
    spelled.output(y).check(TOLERANCE, "Swish");
  }

  @Test
  void castLike() {
    Spelled spelled = new Spelled(19);
    Value y =
        spelled.node("CastLike", spelled.floats("x", 4), spelled.input("like", Tensor.vector(1)));
    spelled.output(y, DataType.INT64).check(0, "CastLike");
  }

  @Test
  void fusedMatMul() {
    Spelled spelled = new Spelled(17);
    Value y =
        spelled.node(
            MS + "FusedMatMul",
            some(spelled.floats("a", 2, 8, 3), spelled.floats("b", 2, 5, 8)),
            "transA",
            1,
            "transB",
            1,
            "alpha",
            0.3f);
    spelled.output(y).check(TOLERANCE * 4);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1})
  void fusedMatMulThatMovesBatches(int swap) {
    Spelled spelled = new Spelled(17);
    Value a = swap == 0 ? spelled.floats("a", 5, 2, 3, 8) : spelled.floats("a", 8, 2, 3, 5);
    Value b = swap == 0 ? spelled.floats("b", 8, 2, 3, 4) : spelled.floats("b", 4, 2, 3, 8);
    Value y =
        spelled.node(
            MS + "FusedMatMul",
            some(a, b),
            "transA",
            swap,
            "transB",
            swap,
            "transBatchA",
            1,
            "transBatchB",
            1);
    spelled.output(y).check(TOLERANCE * 4);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1})
  void logarithmOfASumOfExponentials(int keep) {
    Spelled spelled = new Spelled(18);
    Value axes = spelled.graph.addConstant("axes", Tensor.vector(-1, 0));
    Value y =
        spelled.node("ReduceLogSumExp", some(spelled.floats("x", 2, 3, 4), axes), "keepdims", keep);
    spelled.output(y).check(TOLERANCE, "ReduceLogSumExp");
  }

  @Test
  void logarithmOfASumOverAllAxes() {
    Spelled spelled = new Spelled(13);
    spelled
        .output(spelled.node("ReduceLogSumExp", spelled.floats("x", 2, 3)))
        .check(TOLERANCE, "ReduceLogSumExp");
  }

  @Test
  void groupNormalizationWithWeightsOfChannels() {
    Spelled spelled = new Spelled(21);
    Value y =
        spelled.node(
            "GroupNormalization",
            some(
                spelled.floats("x", 2, 6, 3, 4),
                spelled.weights("scale", 6),
                spelled.weights("bias", 6)),
            "num_groups",
            2,
            "epsilon",
            1e-2f);
    spelled.output(y).check(TOLERANCE, "GroupNormalization");
  }

  // ---- integers ---------------------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(ints = {2, 3})
  void powersOfIntegers(int exponent) {
    Spelled spelled = new Spelled(17);
    Value number = spelled.graph.addConstant("e", Tensor.scalar((long) exponent));
    Value y = spelled.node("Pow", spelled.input("x", Tensor.vector(-3, 0, 5, 12)), number);
    spelled.output(y, DataType.INT64).check(0);
  }

  @Test
  void floatsToIntegerPowers() {
    Spelled spelled = new Spelled(17);
    Value exponents = spelled.input("e", Tensor.vector(0, 1, 2, 3));
    spelled.output(spelled.node("Pow", spelled.floats("x", 4), exponents)).check(TOLERANCE);
  }

  @Test
  void largestOfBools() {
    Spelled spelled = new Spelled(20);
    Value x = spelled.bools("x", new long[] {2, 3}, 0, 1, 0, 0, 0, 0);
    Value axes = spelled.graph.addConstant("axes", Tensor.vector(1));
    Value y = spelled.node("ReduceMax", some(x, axes), "keepdims", 0);
    assertThat(
            spelled.output(y, DataType.BOOL).check(0).graph().nodeList().stream().map(Node::opType))
        .containsExactly("Cast", "ReduceMax", "Cast");
  }

  // ---- scatters and slices ----------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(strings = {"add", "mul", "max", "min"})
  void scattersThatCombine(String reduction) {
    Spelled spelled = new Spelled(18);
    Value indices =
        spelled.graph.addConstant(
            "i", Tensor.ofLongs(new long[] {5, 2}, 0, 1, 2, 3, 0, 1, 0, 1, 3, 0));
    Value y =
        spelled.node(
            "ScatterND",
            some(spelled.floats("x", 4, 4, 2), indices, spelled.floats("u", 5, 2)),
            "reduction",
            reduction);
    Model legal = spelled.output(y).check(TOLERANCE);
    assertThat(legal.graph().nodes())
        .noneMatch(node -> node.is("ScatterND") && node.attribute("reduction").isPresent());
  }

  @Test
  void aScatterWithIndicesThatAreComputedIsLeft() {
    Spelled spelled = new Spelled(18);
    Value indices = spelled.input("i", Tensor.ofLongs(new long[] {1, 1}, 2));
    Value y =
        spelled.node(
            "ScatterND",
            some(spelled.floats("x", 4, 2), indices, spelled.floats("u", 1, 2)),
            "reduction",
            "add");
    Model legal = spelled.output(y).check(TOLERANCE);
    assertThat(legal.graph().nodes()).anyMatch(node -> node.attribute("reduction").isPresent());
  }

  @ParameterizedTest
  @CsvSource({"0,3,true", "3,8,true", "-5,9223372036854775807,true", "0,4,false", "1,3,false"})
  void partsOfWhatWasJoinedComeFromWhereTheyCame(long start, long end, boolean found) {
    Spelled spelled = new Spelled(17);
    Value joined =
        spelled.node(
            "Concat", some(spelled.floats("a", 2, 3, 4), spelled.floats("b", 2, 5, 4)), "axis", 1);
    Value moved = spelled.node("Add", spelled.weights("table", 1, 8, 4), joined);
    Value scaled = spelled.node("Div", moved, spelled.weights("scale", 4));
    Value part =
        spelled.node(
            "Slice",
            scaled,
            spelled.graph.addConstant("start", Tensor.vector(start)),
            spelled.graph.addConstant("end", Tensor.vector(end)),
            spelled.graph.addConstant("axis", Tensor.vector(1)));
    Model legal = spelled.output(part).check(TOLERANCE);
    assertThat(legal.graph().nodeList().stream().anyMatch(node -> node.is("Concat")))
        .isNotEqualTo(found);
  }

  // ---- ONNX Runtime's attention -----------------------------------------------------------------

  @Test
  void multiHeadAttentionWithBiasAndPadding() {
    Spelled spelled = new Spelled(17);
    Value y =
        spelled.node(
            MS + "MultiHeadAttention",
            some(
                spelled.floats("q", 2, 5, 16),
                spelled.floats("k", 2, 7, 16),
                spelled.floats("v", 2, 7, 16),
                spelled.weights("bias", 48),
                spelled.input(
                    "padding",
                    Tensor.ofInts(new long[] {2, 7}, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 1, 1)),
                spelled.floats("added", 1, 2, 5, 7)),
            "num_heads",
            2);
    spelled.output(y).check(TOLERANCE);
  }

  @Test
  void multiHeadAttentionWithLengthsOrPairsOfPadding() {
    int[] pairs = new int[2 * 5 * 7];
    for (int i = 0; i < pairs.length; i++) {
      pairs[i] = i % 7 == 0 || i % 3 == 0 ? 1 : 0;
    }
    for (Tensor padding :
        List.of(Tensor.ofInts(new long[] {2}, 4, 7), Tensor.ofInts(new long[] {2, 5, 7}, pairs))) {
      Spelled spelled = new Spelled(17);
      Value y =
          spelled.node(
              MS + "MultiHeadAttention",
              List.of(
                  Optional.of(spelled.floats("q", 2, 5, 16)),
                  Optional.of(spelled.floats("k", 2, 7, 16)),
                  Optional.of(spelled.floats("v", 2, 7, 16)),
                  Optional.empty(),
                  Optional.of(spelled.input("padding", padding))),
              "num_heads",
              2);
      spelled.output(y).check(TOLERANCE, "MultiHeadAttention");
    }
  }

  @Test
  void multiHeadAttentionOfSplitHeads() {
    Spelled spelled = new Spelled(17);
    Value y =
        spelled.node(
            MS + "MultiHeadAttention",
            some(
                spelled.floats("q", 2, 5, 16),
                spelled.floats("k", 2, 2, 7, 8),
                spelled.floats("v", 2, 2, 7, 8)),
            "num_heads",
            2,
            "scale",
            0.5f);
    spelled.output(y).check(TOLERANCE);
  }

  @Test
  void multiHeadAttentionOfPackedKeysAndValues() {
    Spelled spelled = new Spelled(17);
    Value y =
        spelled.node(
            MS + "MultiHeadAttention",
            some(spelled.floats("q", 2, 5, 16), spelled.floats("kv", 2, 7, 2, 2, 8)),
            "num_heads",
            2);
    spelled.output(y);
    // ONNX Runtime runs this form on a GPU alone: the same with the parts apart is the reference.
    assertThat(spelled.legalised().graph().nodes())
        .noneMatch(node -> node.domain().equals(Microsoft.DOMAIN));
  }

  @Test
  void multiHeadAttentionThatIsUnidirectionalIsLeft() {
    Spelled spelled = new Spelled(17);
    Value y =
        spelled.node(
            MS + "MultiHeadAttention",
            some(
                spelled.floats("q", 2, 5, 16),
                spelled.floats("k", 2, 5, 16),
                spelled.floats("v", 2, 5, 16)),
            "num_heads",
            2,
            "unidirectional",
            1);
    spelled.output(y);
    assertThat(spelled.legalised().graph().nodes())
        .anyMatch(node -> Microsoft.is(node, "MultiHeadAttention"));
  }
}
