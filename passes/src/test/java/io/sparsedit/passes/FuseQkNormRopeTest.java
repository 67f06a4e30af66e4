package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.passes.functions.QkNormRope;
import io.sparsedit.passes.functions.SparseOps;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.BiFunction;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whole models with {@code QkNormRope} in front of their sparse sites. */
final class FuseQkNormRopeTest {
  @TempDir private Path folder;

  /** With everything kept the compiled model equals the dense one, as verification demands. */
  @ParameterizedTest
  @ValueSource(
      strings = {"wan21_t2v-ts17-static", "cosmos-dynamo23-static", "cogvideox_5b-ts17-dynamic"})
  void compiledModelsStayEqual(String graph) {
    CompileResult result = compile(graph, true, VerifyMode.FULL);

    assertThat(result.failures()).isEmpty();
    // Two self-attention sites; Q and K are prepared alike.
    assertThat(fusedNodes()).isEqualTo(2);
  }

  @Test
  void nothingIsFusedWhereItIsTurnedOff() {
    compile("wan21_t2v-ts17-static", false, VerifyMode.NONE);

    assertThat(fusedNodes()).isZero();
  }

  /** Heads of 4 lanes: the kernel takes multiples of 8. */
  @Test
  void headsThatTheKernelDoesNotTakeStay() {
    Model model =
        SpelledGraph.of(
                23,
                g -> {
                  Value weight = g.weight(SpelledGraph.HEAD_DIM);
                  Value q = g.op("RMSNormalization", g.bhsd(g.tokens), weight);
                  Value k = g.op("RMSNormalization", g.bhsd(g.tokens), weight);
                  return g.merged(g.op("MatMul", g.softmax(g.scores(q, k)), g.bhsd(g.tokens)));
                })
            .model();
    Compilation compilation = RecognisedModel.recognise(model);

    assertThat(compilation.sites().get(0).preparation().query().isSomething()).isTrue();
    assertThat(compilation.sites().get(0).sparsify()).isTrue();
    assertThat(new FuseQkNormRope().run(compilation)).isZero();
  }

  /** Two query heads share a key head: the norm of the two key heads is fused, not of four. */
  @Test
  void keyHeadsArePreparedBeforeTheyAreRepeated() {
    Model model = twoHeadsToAKey((g, keys) -> keys);
    Path file = folder.resolve("grouped.onnx");
    OnnxWriter.write(model, file);

    CompileResult result = compile(file, true, VerifyMode.FULL);

    assertThat(result.failures()).isEmpty();
    assertThat(fused().map(node -> node.intAttribute("tensors", 0))).containsExactly(1L, 1L);
    Node keys = fused().reduce((query, key) -> key).orElseThrow();
    assertThat(keys.output().uses().get(0).node().opType()).isEqualTo("Unsqueeze");
  }

  /** The first and the last lane stay in their places: the others say that it is no repetition. */
  @Test
  void lanesThatMoveWhereHeadsAreRepeatedAreSeen() {
    Model model = twoHeadsToAKey(FuseQkNormRopeTest::shuffled);
    Path file = folder.resolve("shuffled.onnx");
    OnnxWriter.write(model, file);

    assertThat(compile(file, true, VerifyMode.FULL).failures()).isEmpty();
  }

  /** Attention of four query heads and two key heads, which are repeated and then prepared. */
  private static Model twoHeadsToAKey(BiFunction<SpelledGraph, Value, Value> prepare) {
    return SpelledGraph.of(
            17,
            g -> {
              Value q = unit(g, headsOf(g, 4));
              Value k = prepare.apply(g, repeated(g, unit(g, headsOf(g, 2))));
              Value v = repeated(g, headsOf(g, 2));
              Value out = g.merged(g.op("MatMul", g.softmax(g.scores(q, k)), v));
              return g.slice(
                  g.reshape(out, SpelledGraph.BATCH, SpelledGraph.VIDEO, 32),
                  2,
                  0,
                  SpelledGraph.WIDTH);
            })
        .model();
  }

  /** Lane 2 i + j becomes lane 4 j + i. */
  private static Value shuffled(SpelledGraph g, Value heads) {
    Value pairs = g.reshape(heads, SpelledGraph.BATCH, 4, SpelledGraph.VIDEO, 4, 2);
    return g.reshape(
        g.transpose(pairs, 0, 1, 2, 4, 3), SpelledGraph.BATCH, 4, SpelledGraph.VIDEO, 8);
  }

  /** [B,H,S,8]. */
  private static Value headsOf(SpelledGraph g, int heads) {
    Value split =
        g.reshape(g.linear(g.tokens, 8 * heads), SpelledGraph.BATCH, SpelledGraph.VIDEO, heads, 8);
    return g.transpose(split, 0, 2, 1, 3);
  }

  private static Value unit(SpelledGraph g, Value heads) {
    Value length = g.node("ReduceL2", List.of(heads), "axes", new long[] {-1}, "keepdims", 1);
    return g.op("Div", heads, g.op("Clip", length, g.number(1e-12)));
  }

  private static Value repeated(SpelledGraph g, Value heads) {
    Value each = g.op("Expand", g.op("Unsqueeze", heads, g.longs(2)), g.longs(1, 1, 2, 1, 1));
    return g.reshape(each, SpelledGraph.BATCH, 4, SpelledGraph.VIDEO, 8);
  }

  /** Layers rotate by the same tables, which are made once. */
  @ParameterizedTest
  @ValueSource(strings = {"wan21_t2v-ts17-static", "cogvideox_5b-ts17-dynamic"})
  void sitesShareTheirTables(String graph) {
    compile(graph, true, VerifyMode.NONE);

    assertThat(fusedNodes()).isEqualTo(2);
    assertThat(
            fused()
                .map(node -> node.requiredInput(node.inputCount() - 1).name())
                .collect(Collectors.toSet()))
        .hasSize(1);
  }

  private CompileResult compile(String graph, boolean fuse, VerifyMode mode) {
    return compile(ZooGraphs.model(graph, folder), fuse, mode);
  }

  private CompileResult compile(Path file, boolean fuse, VerifyMode mode) {
    return Pipeline.compile(
        file,
        folder.resolve("bundle"),
        CompileOptions.DEFAULT.withFusedQkNormRope(fuse),
        new VerifyRequest(mode, Optional.empty(), Optional.empty()),
        WeightFiles.Mode.COPY,
        "test",
        Progress.SILENT);
  }

  private long fusedNodes() {
    return fused().count();
  }

  private Stream<Node> fused() {
    Model model = OnnxReader.read(folder.resolve("bundle").resolve("model.onnx"));
    return model.graph().nodeList().stream().filter(FuseQkNormRopeTest::isFused);
  }

  private static boolean isFused(Node node) {
    return node.domain().equals(SparseOps.DOMAIN) && node.opType().equals(QkNormRope.OP_TYPE);
  }
}
