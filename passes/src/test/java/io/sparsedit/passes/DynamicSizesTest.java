package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.passes.functions.ActionCode;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is symbolic in an export stays so: the compiled model runs at sizes never traced. */
final class DynamicSizesTest {
  /** One element a batch, 2 frames of 20 x 24 pixels, 9 text tokens. */
  private static final Map<String, Long> OTHER = new HashMap<>();

  static {
    for (String batch : new String[] {"B", "s2", "s47"}) {
      OTHER.put(batch, 1L);
    }
    for (String frames : new String[] {"F", "s33"}) {
      OTHER.put(frames, 2L);
    }
    for (String height : new String[] {"H", "s20"}) {
      OTHER.put(height, 20L);
    }
    for (String width : new String[] {"W", "s66"}) {
      OTHER.put(width, 24L);
    }
    for (String text : new String[] {"T", "s31"}) {
      OTHER.put(text, 9L);
    }
    OTHER.put("S", 2L * 10 * 12);
  }

  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "wan21_t2v-dynamo23-dynamic",
        "hunyuanvideo-dynamo23-dynamic",
        "cogvideox_5b-ts17-dynamic"
      })
  void compiledModelRunsAtOtherSizes(String graph) {
    Path file = ZooGraphs.model(graph, folder);
    Path bundle = folder.resolve(graph);
    Pipeline.compile(
        file,
        bundle,
        new CompileOptions(Svg2Settings.PUBLISHED, Optional.empty(), DenseLayers.PUBLISHED, true),
        new VerifyRequest(VerifyMode.NONE, Optional.empty(), Optional.empty()),
        WeightFiles.Mode.LINK,
        "test",
        Progress.SILENT);
    Model original = ExpandMaskRows.in(OnnxReader.read(file));
    Model compiled = OnnxReader.read(bundle.resolve("model.onnx"));
    Map<String, Tensor> inputs = ZooInputs.of(original, 3, OTHER);
    double[] expected = first(OrtRunner.run(original, inputs));

    for (Value input : compiled.graph().inputs()) {
      if (!inputs.containsKey(input.name()) && input.constant().isEmpty()) {
        inputs.put(input.name(), zeros(input));
      }
    }
    try (OrtRunner runner = OrtRunner.load(compiled)) {
      assertThat(first(runner.run(inputs))).containsExactly(expected, within(1e-4));

      Map<String, Tensor> sparse = new LinkedHashMap<>(inputs);
      int sites = Math.toIntExact(zerosOf(compiled, "action").elementCount());
      int[] action = new int[sites];
      Arrays.fill(action, ActionCode.PLAN_SPARSE.cold());
      sparse.put("action", Tensor.ofInts(new long[] {action.length}, action));
      assertThat(first(runner.run(sparse))).doesNotContain(Double.NaN).hasSameSizeAs(expected);
    }
  }

  /** TorchScript calls all dimensions of an output that it does not know names of its own. */
  @Test
  void namesThatAnExporterMadeUpGiveWayToTheInputsSizes() throws IOException {
    Path bundle = folder.resolve("bundle");
    Pipeline.compile(
        ZooGraphs.model("pixart_sigma-ts17-legacyattn", folder),
        bundle,
        CompileOptions.DEFAULT,
        new VerifyRequest(VerifyMode.NONE, Optional.empty(), Optional.empty()),
        WeightFiles.Mode.LINK,
        "test",
        Progress.SILENT);

    JsonNode output =
        new ObjectMapper().readTree(bundle.resolve("bundle.json").toFile()).at("/outputs/0");

    assertThat(output.path("dims")).map(JsonNode::asText).containsExactly("B", "8", "16", "16");
  }

  private static Tensor zerosOf(Model model, String input) {
    return zeros(model.graph().value(input).orElseThrow());
  }

  private static double[] first(Map<String, Tensor> outputs) {
    return outputs.values().iterator().next().doubles().orElseThrow();
  }

  private static Tensor zeros(Value input) {
    ValueType.TensorType type = (ValueType.TensorType) input.type().orElseThrow();
    long[] dims =
        type.dims().orElseThrow().stream().mapToLong(dim -> ZooInputs.size(dim, OTHER)).toArray();
    DataType element = type.elementType();
    int bytes = Math.toIntExact(element.bytes(Tensor.elementCount(dims)));
    return Tensor.raw(element, dims, ByteBuffer.allocateDirect(bytes));
  }
}
