package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.legal.PadHeadDimension;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ShapeTable;
import io.sparsedit.passes.functions.FrameSink;
import io.sparsedit.passes.functions.SparseOps;
import io.sparsedit.passes.verify.ErrorMetrics;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Heads of a size that the plugins do not take are widened, and every number stays. */
final class PadHeadDimensionTest {
  private static final int WIDER = 32;

  @TempDir private Path folder;

  private static Stream<Arguments> methods() {
    return Stream.of(
            Svg2Settings.PUBLISHED,
            new AdaSpaSettings(0.5f, 0.5f, 4, true),
            new SvgSettings(
                Optional.of(0.5f),
                false,
                8,
                Optional.empty(),
                Optional.of(FrameSink.CORRECTED),
                4,
                false))
        .map(Arguments::of);
  }

  @ParameterizedTest
  @MethodSource("methods")
  void outputsAndStateStayWhatTheyWere(MethodSettings method) {
    SpelledGraph graph = twoLayers();
    Path file = folder.resolve("heads.onnx");
    OnnxWriter.write(graph.model(), file);
    Pipeline.compile(
        file,
        folder.resolve("bundle"),
        new CompileOptions(method, Optional.empty(), DenseLayers.PUBLISHED, true),
        new VerifyRequest(VerifyMode.NONE, Optional.empty(), Optional.empty()),
        WeightFiles.Mode.COPY,
        "test",
        Progress.SILENT);
    Model portable = OnnxReader.read(folder.resolve("bundle").resolve("model.onnx"));
    Model widened = OnnxReader.read(folder.resolve("bundle").resolve("model.onnx"));

    assertThat(PadHeadDimension.in(widened)).isEqualTo(4);

    assertThat(GraphVerifier.problems(widened)).isEmpty();
    ShapeTable facts = ShapeInference.infer(widened);
    assertThat(operators(widened))
        .hasSize(4)
        .allMatch(node -> facts.shape(node.requiredInput(0)).orElseThrow().get(3).is(WIDER));
    assertThat(names(widened.graph().inputs())).isEqualTo(names(portable.graph().inputs()));
    assertThat(names(widened.graph().outputs())).isEqualTo(names(portable.graph().outputs()));
    Map<String, Tensor> inputs = FirstStep.of(portable, graph.inputs());
    Map<String, Tensor> wanted = OrtRunner.run(portable, inputs);
    Map<String, Tensor> found = OrtRunner.run(widened, inputs);
    wanted.forEach(
        (name, tensor) -> {
          Tensor other = Objects.requireNonNull(found.get(name));
          assertThat(other.dims()).isEqualTo(tensor.dims());
          assertThat(ErrorMetrics.of(doubles(other), doubles(tensor)).normalizedMax())
              .as(name)
              .isLessThan(1e-5);
        });
  }

  /** The plugins take 32, and nothing is to be done. */
  @Test
  void headsOfASizeThatThePluginsTakeStay() {
    Path file = ZooGraphs.model("wan21_t2v-ts17-static", folder);
    Pipeline.compile(
        file,
        folder.resolve("bundle"),
        CompileOptions.DEFAULT,
        new VerifyRequest(VerifyMode.NONE, Optional.empty(), Optional.empty()),
        WeightFiles.Mode.COPY,
        "test",
        Progress.SILENT);
    Model model = OnnxReader.read(folder.resolve("bundle").resolve("model.onnx"));
    int nodes = model.graph().nodeCount();

    assertThat(PadHeadDimension.in(model)).isZero();
    assertThat(model.graph().nodeCount()).isEqualTo(nodes);
  }

  /** Two sites with heads of 4 channels; what the second reads is known through the first alone. */
  private static SpelledGraph twoLayers() {
    return SpelledGraph.of(
        18,
        g -> {
          Value first = attention(g, g.tokens);
          Value flat = g.reshape(first, SpelledGraph.BATCH, SpelledGraph.VIDEO, SpelledGraph.WIDTH);
          return attention(g, g.op("Add", g.tokens, flat));
        });
  }

  private static Value attention(SpelledGraph g, Value tokens) {
    Value scores = g.softmax(g.scores(g.bhsd(tokens), g.bhsd(tokens)));
    return g.merged(g.op("MatMul", scores, g.bhsd(tokens)));
  }

  private static List<Node> operators(Model model) {
    return model.graph().nodeList().stream()
        .filter(node -> node.domain().equals(SparseOps.DOMAIN))
        .toList();
  }

  private static List<String> names(List<Value> values) {
    return values.stream().map(Value::name).toList();
  }

  private static double[] doubles(Tensor tensor) {
    return tensor.doubles().orElseThrow();
  }
}
