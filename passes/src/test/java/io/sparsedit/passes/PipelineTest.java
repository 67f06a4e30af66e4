package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.TensorFiles;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.compiler.ort.OrtOptions;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.passes.functions.ActionCode;
import io.sparsedit.passes.verify.ErrorMetrics;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class PipelineTest {
  private static final Path ZOO = Path.of("..", "testdata", "zoo");
  private static final CompileOptions OPTIONS =
      new CompileOptions(Svg2Settings.PUBLISHED, Optional.empty(), DenseLayers.PUBLISHED, true);
  private static final VerifyRequest NO_VERIFICATION =
      new VerifyRequest(VerifyMode.NONE, Optional.empty(), Optional.empty());

  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {"wan21_t2v-ts17-static", "wan21_t2v-ts17-external", "wan21_t2v-dynamo18-static"})
  void renamingEverythingChangesNothing(String graph) {
    Inspection expected = Pipeline.inspect(model(graph), OPTIONS, Progress.SILENT);
    Model model = OnnxReader.read(model(graph));
    renameEverything(model);
    // Beside the original, where its external weights are.
    Path renamed = folder.resolve("renamed.onnx");
    WeightFiles.of(model).placeIn(folder, WeightFiles.Mode.COPY);
    OnnxWriter.write(model, renamed);

    Inspection found = Pipeline.inspect(renamed, OPTIONS, Progress.SILENT);

    assertThat(found.sites().stream().map(PipelineTest::summary))
        .containsExactlyElementsOf(expected.sites().stream().map(PipelineTest::summary).toList());
    assertThat(found.geometry()).isEqualTo(expected.geometry());
    assertThat(found.sites().get(0).name()).isEqualTo("site0");
  }

  private static String summary(Site site) {
    return site.kind() + " " + site.shape() + " " + site.scale() + " " + site.sparsify();
  }

  private static void renameEverything(Model model) {
    Graph graph = model.graph();
    int count = 0;
    for (Value value : List.copyOf(graph.values())) {
      value.rename("x" + count++);
    }
    for (Node node : graph.nodes()) {
      node.setName("n" + count++);
      node.metadata().clear();
      node.setDocString("");
    }
    graph.metadata().clear();
    model.metadata().clear();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"wan21_t2v-ts17-static", "wan21_t2v-ts17-external", "wan21_t2v-dynamo18-static"})
  void bundleRunsThroughFiveStepsThatFeedStateBack(String graph) throws IOException {
    Path bundle = folder.resolve("bundle");
    Pipeline.compile(
        model(graph),
        bundle,
        OPTIONS,
        NO_VERIFICATION,
        WeightFiles.Mode.LINK,
        "test",
        Progress.SILENT);
    JsonNode description = new ObjectMapper().readTree(bundle.resolve("bundle.json").toFile());
    Map<String, Tensor> inputs = recordedInputs(graph, description);
    double[] dense =
        TensorFiles.read(ZOO.resolve(graph).resolve("outputs/output_0.pb")).doubles().orElseThrow();
    String output = description.path("outputs").path(0).path("name").asText();
    int sites = description.path("action").path("sites").asInt();
    Map<String, Tensor> state = new LinkedHashMap<>();
    for (JsonNode tensor : description.path("state")) {
      state.put(tensor.path("input").asText(), zeros(tensor.path("dims")));
    }

    try (OrtRunner runner =
        OrtRunner.load(
            bundle.resolve(description.path("model").path("file").asText()), OrtOptions.DEFAULT)) {
      int[] codes = {
        ActionCode.DENSE.code(),
        ActionCode.PLAN_DENSE.cold(),
        ActionCode.PLAN_SPARSE.code(),
        ActionCode.PLAN_SPARSE.code(),
        ActionCode.PLAN_DENSE.cold()
      };
      Map<String, Tensor> afterCold = Map.of();
      for (int step = 0; step < codes.length; step++) {
        Map<String, Tensor> all = new LinkedHashMap<>(inputs);
        all.putAll(state);
        all.put(description.path("action").path("input").asText(), action(sites, codes[step]));
        Map<String, Tensor> results = runner.run(all);
        Map<String, Tensor> next = new LinkedHashMap<>();
        for (JsonNode tensor : description.path("state")) {
          String name = tensor.path("output").asText();
          next.put(
              tensor.path("input").asText(), Optional.ofNullable(results.get(name)).orElseThrow());
        }
        ErrorMetrics error =
            ErrorMetrics.of(
                Optional.ofNullable(results.get(output)).orElseThrow().doubles().orElseThrow(),
                dense);
        boolean isDense = step < 2 || step == codes.length - 1;
        assertThat(error.finite()).isTrue();
        if (isDense) {
          assertThat(error.normalizedMax()).as("step " + step).isLessThan(1e-4);
        } else {
          assertThat(error.relativeL1()).as("step " + step).isLessThan(0.2);
        }
        if (step == 0) {
          assertThat(same(state, next)).as("a dense step copies state through").isTrue();
        } else if (step == 1) {
          assertThat(same(state, next)).as("a cold planning step sets state").isFalse();
          afterCold = next;
        } else if (step == codes.length - 1) {
          assertThat(same(afterCold, next)).as("a cold step ignores incoming state").isTrue();
        }
        state = next;
      }
    }
  }

  private static boolean same(Map<String, Tensor> a, Map<String, Tensor> b) {
    return a.entrySet().stream()
        .allMatch(
            entry ->
                Arrays.equals(
                    entry.getValue().doubles().orElseThrow(),
                    Optional.ofNullable(b.get(entry.getKey()))
                        .orElseThrow()
                        .doubles()
                        .orElseThrow()));
  }

  private static Map<String, Tensor> recordedInputs(String graph, JsonNode description) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (int i = 0; i < description.path("inputs").size(); i++) {
      inputs.put(
          description.path("inputs").path(i).path("name").asText(),
          TensorFiles.read(ZOO.resolve(graph).resolve("inputs/input_" + i + ".pb")));
    }
    return inputs;
  }

  private static Tensor action(int sites, int code) {
    int[] codes = new int[sites];
    Arrays.fill(codes, code);
    return Tensor.ofInts(new long[] {sites}, codes);
  }

  private static Tensor zeros(JsonNode dims) {
    long[] sizes = new long[dims.size()];
    long elements = 1;
    for (int axis = 0; axis < sizes.length; axis++) {
      sizes[axis] = dims.path(axis).asLong();
      elements *= sizes[axis];
    }
    return Tensor.raw(
        DataType.FLOAT, sizes, ByteBuffer.allocateDirect(Math.toIntExact(4 * elements)));
  }

  private Path model(String graph) {
    return ZooGraphs.model(graph, folder.resolve("zoo"));
  }

  @Test
  void modelKeepsItsInterface() throws IOException {
    Path bundle = folder.resolve("bundle");
    Pipeline.compile(
        model("wan21_t2v-ts17-static"),
        bundle,
        OPTIONS,
        NO_VERIFICATION,
        WeightFiles.Mode.LINK,
        "test",
        Progress.SILENT);
    Model before = OnnxReader.read(model("wan21_t2v-ts17-static"));
    Model after = OnnxReader.read(bundle.resolve("model.onnx"));

    assertThat(names(after.graph().inputs())).startsWith(names(before.graph().inputs()));
    assertThat(names(after.graph().outputs())).startsWith(names(before.graph().outputs()));
    assertThat(names(after.graph().inputs()))
        .endsWith(
            "action",
            "state.s0.q_centroids",
            "state.s0.k_centroids",
            "state.s1.q_centroids",
            "state.s1.k_centroids");
    assertThat(after.graph().nodeList().stream().filter(n -> n.is("Softmax"))).hasSize(2);
  }

  private static String[] names(List<Value> values) {
    return values.stream().map(Value::name).toArray(String[]::new);
  }
}
