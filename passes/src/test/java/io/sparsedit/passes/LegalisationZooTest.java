package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.legal.AttendDensely;
import io.sparsedit.compiler.legal.DenseSites;
import io.sparsedit.compiler.legal.Legalisation;
import io.sparsedit.compiler.legal.Precision;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.passes.functions.BlockSparseAttention;
import io.sparsedit.passes.functions.Layout;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.ToDoubleBiFunction;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every graph of the zoo computes the same after legalisation. */
final class LegalisationZooTest {
  /** What the exporters write that TensorRT 10.6's parser does not know. */
  private static final Set<String> UNKNOWN =
      Set.of("RMSNormalization", "Attention", "RotaryEmbedding", "CastLike");

  private static final double TOLERANCE = 2e-5;
  private static final double HALF_TOLERANCE = 1e-2;

  @TempDir private Path folder;

  static List<String> graphs() {
    return ZooGraphs.names();
  }

  @ParameterizedTest
  @MethodSource("graphs")
  void legalisedExportsComputeTheSame(String name) {
    // External weights stay beside their model.
    boolean external = name.endsWith("external");
    Path file = external ? ZooGraphs.model(name, folder) : ZooGraphs.weighted(name, folder);
    Model before = ExpandMaskRows.in(OnnxReader.read(file));
    Model after = ExpandMaskRows.in(OnnxReader.read(file));

    Legalisation.apply(after);

    assertThat(GraphVerifier.problems(after)).isEmpty();
    assertThat(after.opset()).isLessThanOrEqualTo(20);
    assertThat(after.graph().nodes()).noneMatch(node -> UNKNOWN.contains(node.opType()));
    compare(before, after, LegalisationZooTest::error, TOLERANCE);
  }

  @ParameterizedTest
  @MethodSource("graphs")
  void halfPrecisionIsCloseToSingle(String name) {
    boolean external = name.endsWith("external");
    Path file = external ? ZooGraphs.model(name, folder) : ZooGraphs.weighted(name, folder);
    Model before = ExpandMaskRows.in(OnnxReader.read(file));
    Model after = ExpandMaskRows.in(OnnxReader.read(file));

    Legalisation.apply(after);
    Legalisation.convert(after, Precision.FP16);

    // ONNX Runtime refuses a graph whose types do not fit.
    compare(before, after, LegalisationZooTest::relative, HALF_TOLERANCE);
  }

  /** What calls the plugin in an engine is run as the portable model's function here. */
  @ParameterizedTest
  @ValueSource(strings = {"hunyuanvideo-ts17-static", "hunyuanvideo-dynamo18-static"})
  void attentionUnderMasksOfKeysIsThatOfTheOperator(String name) {
    Model before = OnnxReader.read(ZooGraphs.weighted(name, folder));
    Model after = OnnxReader.read(ZooGraphs.weighted(name, folder));

    Legalisation.apply(after, Optional.of(new DenseSites(100_000, false, Precision.KEEP, 1)));

    List<Node> sites =
        after.graph().nodeList().stream()
            .filter(node -> node.opType().equals(BlockSparseAttention.OP_TYPE))
            .toList();
    // One double and one single block; attention among the text's 24 tokens is TensorRT's.
    assertThat(sites).hasSize(2);
    for (Node node : sites) {
      BlockSparseAttention call =
          new BlockSparseAttention(
              (int) node.intAttribute("site", -1),
              Layout.BHSD,
              node.floatAttribute("scale", 0),
              true,
              false);
      assertThat(node.presentInputs()).hasSameSizeAs(call.inputs());
      node.setOverload(call.overload());
      List.of("plugin_namespace", "plugin_version").forEach(node::removeAttribute);
      if (after.functions().isEmpty()) {
        after.functions().add(call.function(after.opset()));
      }
    }
    compare(before, after, LegalisationZooTest::error, TOLERANCE);
  }

  /** Self-, cross- and joint attention, with masks and without, in standard operators again. */
  @ParameterizedTest
  @CsvSource({
    "cogvideox_2b-ts17-static, 2",
    "cosmos-dynamo23-static, 4",
    "cosmos-ts17-static, 4",
    "flux-ts17-static, 2",
    "ltx-dynamo18-static, 4",
    "ltx-ts17-static, 4",
    "wan21_t2v-dynamo18-static, 4",
    "wan21_t2v-ts17-fusedqkv, 4",
    "wan21_t2v-ts17-static, 4",
  })
  void denseAttentionIsThatOfTheOperator(String name, int sites) {
    Model before = OnnxReader.read(ZooGraphs.weighted(name, folder));
    Model after = OnnxReader.read(ZooGraphs.weighted(name, folder));

    Legalisation.apply(after, Optional.of(new DenseSites(1, false, Precision.KEEP, 1)));

    assertThat(GraphVerifier.problems(after)).isEmpty();
    assertThat(after.graph().nodes()).noneMatch(node -> node.is("Softmax"));
    assertThat(AttendDensely.in(after)).isEqualTo(sites);
    compare(before, after, LegalisationZooTest::error, TOLERANCE);
  }

  private static void compare(
      Model before, Model after, ToDoubleBiFunction<Tensor, Tensor> error, double tolerance) {
    Map<String, Tensor> inputs = ZooInputs.of(before, 1);
    Map<String, Tensor> found = OrtRunner.run(after, inputs);
    OrtRunner.run(before, inputs)
        .forEach(
            (output, wanted) ->
                assertThat(
                        error.applyAsDouble(
                            Optional.ofNullable(found.get(output)).orElseThrow(), wanted))
                    .as(output)
                    .isLessThan(tolerance));
  }

  /** Largest difference over the larger of 1 and the largest value. */
  private static double error(Tensor found, Tensor wanted) {
    assertThat(found.type()).isEqualTo(wanted.type());
    assertThat(found.dims()).isEqualTo(wanted.dims());
    double[] a = found.doubles().orElseThrow();
    double[] b = wanted.doubles().orElseThrow();
    double largest = 1;
    double difference = 0;
    for (int i = 0; i < b.length; i++) {
      largest = Math.max(largest, Math.abs(b[i]));
      difference = Math.max(difference, Math.abs(a[i] - b[i]));
    }
    return difference / largest;
  }

  /** Sum of the differences over that of the values. */
  private static double relative(Tensor found, Tensor wanted) {
    double[] a = found.doubles().orElseThrow();
    double[] b = wanted.doubles().orElseThrow();
    assertThat(a).hasSameSizeAs(b);
    double difference = 0;
    double sum = 0;
    for (int i = 0; i < b.length; i++) {
      difference += Math.abs(a[i] - b[i]);
      sum += Math.abs(b[i]);
    }
    return difference / sum;
  }
}
