package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.passes.functions.Selection;
import io.sparsedit.passes.verify.ErrorMetrics;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Self-attention whose mask hides keys becomes sparse; one whose mask does more stays dense. */
final class MaskedSitesTest {
  private static final int BATCH = 2;
  private static final int HEADS = 2;
  private static final int HEAD_DIM = 8;
  private static final int TOKENS = 32;
  private static final int WIDTH = HEADS * HEAD_DIM;
  private static final float LOW = -Float.MAX_VALUE;
  private static final VerifyRequest NO_VERIFICATION =
      new VerifyRequest(VerifyMode.NONE, Optional.empty(), Optional.empty());

  @TempDir private Path folder;

  /** Writes masked scores, of the scores and the input "mask". */
  private interface Masking extends BiFunction<Attention, Value, Value> {}

  private static Stream<Arguments> masksOfKeys() {
    return Stream.of(
        mask("bool, true where kept", boolMask(false, BATCH, 1, 1, TOKENS), Attention::keep),
        mask("bool, true where dropped", boolMask(true, BATCH, 1, 1, TOKENS), Attention::drop),
        mask("additive", lowMask(BATCH, 1, 1, TOKENS), Attention::add),
        mask("additive vector", lowMask(TOKENS), Attention::add),
        mask("additive for all elements of the batch", lowMask(1, 1, TOKENS), Attention::add),
        mask("soft additive", Tensors.random(5, BATCH, 1, 1, TOKENS), Attention::add),
        mask("expanded to all heads and queries", boolMask(false, BATCH, TOKENS), Attention::wide),
        mask("a constant for all queries", lowMask(1), Attention::constant));
  }

  private static Arguments mask(String name, Tensor mask, Masking masking) {
    return Arguments.of(name, mask, masking);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("masksOfKeys")
  void aMaskOfKeysIsHonoured(String name, Tensor mask, Masking masking) {
    Path file = write("masked.onnx", new Attention(mask, masking));
    Map<String, Tensor> inputs = Map.of("video", Tensors.random(1, 2, 4, 2, 8, 8), "mask", mask);

    double[] dense = output(OrtRunner.run(OnnxReader.read(file), inputs));
    double[] kept = runCompiled(file, inputs, 2f);

    assertThat(ErrorMetrics.of(kept, dense).normalizedMax()).as(name).isLessThan(1e-5);

    Path plain = write("plain.onnx", new Attention(mask, (attention, scores) -> scores));
    double[] unmasked = output(OrtRunner.run(OnnxReader.read(plain), inputs));
    assertThat(ErrorMetrics.of(unmasked, dense).normalizedMax()).as(name).isGreaterThan(1e-3);
  }

  private static Stream<Arguments> masksOfPairs() {
    return Stream.of(
        Arguments.of(
            "added, guarded against rows without a key", (Masking) Attention::guardedPairs),
        Arguments.of("added lowest number", (Masking) Attention::lowPairs),
        Arguments.of(
            "chosen by Where, the operands the other way round", (Masking) Attention::keptPairs));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("masksOfPairs")
  void aMaskOfPairsIsThatOfItsKeysAndQueriesWithoutAKeyStayWhatTheyWere(
      String name, Masking masking) {
    Tensor mask = boolMask(false, BATCH, 1, 1, TOKENS);
    Path file = write("pairs.onnx", new Attention(mask, masking));
    Map<String, Tensor> inputs = Map.of("video", Tensors.random(1, 2, 4, 2, 8, 8), "mask", mask);

    double[] dense = output(OrtRunner.run(OnnxReader.read(file), inputs));
    double[] kept = runCompiled(file, inputs, 2f);

    assertThat(ErrorMetrics.of(kept, dense).normalizedMax()).as(name).isLessThan(1e-5);
  }

  private static Stream<Arguments> otherPairs() {
    return Stream.of(
        Arguments.of("without a guard", (Masking) Attention::infinitePairs),
        Arguments.of("a number that scores can reach", (Masking) Attention::mildPairs),
        Arguments.of("either the query or the key", (Masking) Attention::eitherOfPairs));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("otherPairs")
  void aMaskOfPairsWhoseEmptyRowsAreNotKnownLeavesTheSiteDense(String name, Masking masking) {
    Path file = write("other.onnx", new Attention(boolMask(false, BATCH, 1, 1, TOKENS), masking));

    Inspection found = Pipeline.inspect(file, CompileOptions.DEFAULT, Progress.SILENT);

    assertThat(found.sites().get(0).sparsify()).as(name).isFalse();
    assertThat(found.sites().get(0).reason()).contains("varies over queries");
  }

  private static Stream<Arguments> otherMasks() {
    return Stream.of(
        Arguments.of("queries", Tensors.random(5, 1, 1, TOKENS, TOKENS)),
        Arguments.of("queries", Tensors.random(5, TOKENS, TOKENS)),
        Arguments.of("heads", Tensors.random(5, 1, HEADS, 1, TOKENS)));
  }

  @ParameterizedTest
  @MethodSource("otherMasks")
  void aMaskThatVariesOverMoreThanKeysLeavesTheSiteDense(String axis, Tensor mask) {
    Path file = write("other.onnx", new Attention(mask, Attention::add));

    Inspection found = Pipeline.inspect(file, CompileOptions.DEFAULT, Progress.SILENT);

    assertThat(found.sites()).hasSize(1);
    assertThat(found.sites().get(0).sparsify()).isFalse();
    assertThat(found.sites().get(0).reason())
        .contains("varies over " + axis + ", and only masks of keys are honoured");
  }

  @Test
  void aCausalConstantLeavesTheSiteDense() {
    float[] causal = new float[TOKENS * TOKENS];
    for (int i = 0; i < causal.length; i++) {
      causal[i] = i % TOKENS > i / TOKENS ? LOW : 0;
    }
    Tensor constant = Tensor.ofFloats(new long[] {1, 1, TOKENS, TOKENS}, causal);
    Path file =
        write(
            "causal.onnx",
            new Attention(
                lowMask(1),
                (attention, scores) ->
                    attention.graph.append(
                        "Add", scores, attention.graph.addConstant("causal", constant))));

    Inspection found = Pipeline.inspect(file, CompileOptions.DEFAULT, Progress.SILENT);

    assertThat(found.sites().get(0).reason()).contains("varies over queries");
  }

  // ---- running ----------------------------------------------------------------------------------

  private Path write(String name, Attention attention) {
    Path file = folder.resolve(name);
    OnnxWriter.write(attention.model(), file);
    return file;
  }

  private double[] runCompiled(Path file, Map<String, Tensor> inputs, float topP) {
    Svg2Settings published = Svg2Settings.PUBLISHED;
    CompileOptions options =
        new CompileOptions(
            new Svg2Settings(
                new Selection.TopP(topP),
                published.minKept(),
                published.clusters(),
                published.iterations(),
                published.initIterations(),
                false),
            Optional.empty(),
            DenseLayers.PUBLISHED,
            true);
    Path bundle = folder.resolve("bundle");
    Pipeline.compile(
        file, bundle, options, NO_VERIFICATION, WeightFiles.Mode.LINK, "test", Progress.SILENT);
    Model compiled = OnnxReader.read(bundle.resolve("model.onnx"));
    return output(OrtRunner.run(compiled, FirstStep.of(compiled, inputs)));
  }

  private static double[] output(Map<String, Tensor> outputs) {
    return Optional.ofNullable(outputs.get("sample")).orElseThrow().doubles().orElseThrow();
  }

  // ---- graphs -----------------------------------------------------------------------------------

  private static Tensor boolMask(boolean hiddenIs, long... dims) {
    byte[] elements = new byte[(int) Tensor.elementCount(dims)];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = (byte) (isHidden(i) == hiddenIs ? 1 : 0);
    }
    return Tensor.raw(DataType.BOOL, dims, ByteBuffer.wrap(elements));
  }

  private static Tensor lowMask(long... dims) {
    float[] elements = new float[(int) Tensor.elementCount(dims)];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = isHidden(i) ? LOW : 0;
    }
    return Tensor.ofFloats(dims, elements);
  }

  /** The last 9 keys of one element of the batch, the last 4 of the next. */
  private static boolean isHidden(int index) {
    return index % TOKENS >= TOKENS - (index < TOKENS ? 9 : 4);
  }

  /** Tensors for these graphs. */
  private static final class Tensors {
    static Tensor random(long seed, long... dims) {
      Random random = new Random(seed);
      float[] elements = new float[(int) Tensor.elementCount(dims)];
      for (int i = 0; i < elements.length; i++) {
        elements[i] = (float) random.nextGaussian();
      }
      return Tensor.ofFloats(dims, elements);
    }
  }

  /** One layer of self-attention over a video of 2x4x4 tokens. */
  private static final class Attention {
    final Graph graph = Graph.create("masked");
    private final Value mask;
    private boolean guarded;

    Attention(Tensor mask, Masking masking) {
      Value video =
          graph.addInput("video", ValueType.TensorType.of(DataType.FLOAT, BATCH, 4, 2, 8, 8));
      this.mask = graph.addInput("mask", ValueType.TensorType.of(mask.type(), mask.dims()));
      Node conv =
          graph.addNode("", "Conv", "patches", List.of(video, weight(1, WIDTH, 4, 1, 2, 2)));
      conv.setAttribute("strides", new Attribute.IntList(List.of(1L, 2L, 2L)));
      Value channels = reshape(conv.addOutput("patches"), BATCH, WIDTH, TOKENS);
      Value tokens = transpose(channels, 0, 2, 1);
      Value q = heads(tokens, 2);
      Value k = heads(tokens, 3);
      Value v = heads(tokens, 4);
      Value scores = graph.append("MatMul", q, transpose(k, 0, 1, 3, 2));
      Value scaled = graph.append("Mul", scores, graph.addConstant("scale", Tensor.scalar(0.35f)));
      Node softmax = graph.addNode("", "Softmax", "softmax", List.of(masking.apply(this, scaled)));
      softmax.setAttribute("axis", -1);
      Value probabilities = softmax.addOutput("probabilities");
      if (guarded) {
        Value empty = graph.append("IsNaN", probabilities);
        probabilities = graph.append("Where", empty, number(0), probabilities);
      }
      Value attended = graph.append("MatMul", probabilities, v);
      Value joined = reshape(transpose(attended, 0, 2, 1, 3), BATCH, TOKENS, WIDTH);
      Value sample = reshape(transpose(joined, 0, 2, 1), BATCH, WIDTH, 2, 4, 4);
      sample.rename("sample");
      sample.setType(ValueType.TensorType.of(DataType.FLOAT, BATCH, WIDTH, 2, 4, 4));
      graph.addOutput(sample);
    }

    Model model() {
      Model model = new Model(graph, 8);
      model.opsets().put("", 17L);
      return model;
    }

    Value keep(Value scores) {
      return graph.append("Where", mask, scores, number(LOW));
    }

    Value drop(Value scores) {
      return graph.append("Where", mask, number(Float.NEGATIVE_INFINITY), scores);
    }

    Value add(Value scores) {
      return graph.append("Add", scores, mask);
    }

    Value wide(Value scores) {
      Value bias = graph.append("Where", mask, number(0), number(LOW));
      Value rows = graph.append("Unsqueeze", bias, graph.addConstant("axes", Tensor.vector(1, 2)));
      Value shape = graph.addConstant("shape", Tensor.vector(BATCH, HEADS, TOKENS, TOKENS));
      return graph.append("Add", scores, graph.append("Expand", rows, shape));
    }

    /** [B,1,S,S], true where the query and the key count. */
    private Value pairs(String both) {
      Value shape = graph.addConstant("shape", Tensor.vector(1, 1, TOKENS, 1));
      Value columns = graph.append("Expand", mask, shape);
      return graph.append(both, columns, transpose(columns, 0, 1, 3, 2));
    }

    Value guardedPairs(Value scores) {
      guarded = true;
      return infinitePairs(scores);
    }

    Value infinitePairs(Value scores) {
      return masked(scores, pairs("And"), Float.NEGATIVE_INFINITY);
    }

    Value lowPairs(Value scores) {
      return masked(scores, pairs("And"), LOW);
    }

    Value mildPairs(Value scores) {
      return masked(scores, pairs("And"), -20000);
    }

    Value eitherOfPairs(Value scores) {
      return masked(scores, pairs("Or"), LOW);
    }

    private Value masked(Value scores, Value kept, float low) {
      return graph.append("Add", scores, graph.append("Where", kept, number(0), number(low)));
    }

    Value keptPairs(Value scores) {
      return graph.append("Where", pairs("And"), scores, number(LOW));
    }

    Value constant(Value scores) {
      float[] rows = new float[TOKENS * TOKENS];
      for (int i = 0; i < rows.length; i++) {
        rows[i] = isHidden(i % TOKENS) ? LOW : 0;
      }
      Tensor tensor = Tensor.ofFloats(new long[] {TOKENS, TOKENS}, rows);
      return graph.append("Add", scores, graph.addConstant("padding", tensor));
    }

    private Value number(float value) {
      return graph.addConstant("number", Tensor.scalar(value));
    }

    private Value weight(long seed, long... dims) {
      return graph.addConstant("weight", Tensors.random(seed, dims));
    }

    private Value heads(Value tokens, long seed) {
      Value projected = graph.append("MatMul", tokens, weight(seed, WIDTH, WIDTH));
      return transpose(reshape(projected, BATCH, TOKENS, HEADS, HEAD_DIM), 0, 2, 1, 3);
    }

    private Value reshape(Value value, long... dims) {
      return graph.append("Reshape", value, graph.addConstant("shape", Tensor.vector(dims)));
    }

    private Value transpose(Value value, long... perm) {
      Node node = graph.addNode("", "Transpose", "", List.of(value));
      node.setAttribute(
          "perm", new Attribute.IntList(java.util.Arrays.stream(perm).boxed().toList()));
      return node.addOutput(graph.freshName("transposed"));
    }
  }
}
