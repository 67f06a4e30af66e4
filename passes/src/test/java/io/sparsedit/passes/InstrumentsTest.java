package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.HalfFloat;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.TensorFiles;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.passes.functions.ActionCode;
import io.sparsedit.passes.functions.MeasurePlan;
import io.sparsedit.passes.verify.ErrorMetrics;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class InstrumentsTest {
  private static final Path GRAPH = Path.of("..", "testdata", "zoo", "wan21_t2v-ts17-static");
  private static final CompileOptions OPTIONS =
      new CompileOptions(Svg2Settings.PUBLISHED, Optional.empty(), DenseLayers.PUBLISHED, true);

  @TempDir private Path folder;

  private Map<String, Tensor> run(Set<Instrument> instruments, int code) throws IOException {
    Path bundle = folder.resolve("bundle");
    Pipeline.compileInstrumented(
        GRAPH.resolve("model.onnx"), bundle, OPTIONS, instruments, "test", Progress.SILENT);
    JsonNode description = new ObjectMapper().readTree(bundle.resolve("bundle.json").toFile());
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (int i = 0; i < description.path("inputs").size(); i++) {
      inputs.put(
          description.path("inputs").path(i).path("name").asText(),
          TensorFiles.read(GRAPH.resolve("inputs/input_" + i + ".pb")));
    }
    for (JsonNode state : description.path("state")) {
      long[] dims = new long[state.path("dims").size()];
      long elements = 1;
      for (int axis = 0; axis < dims.length; axis++) {
        dims[axis] = state.path("dims").path(axis).asLong();
        elements *= dims[axis];
      }
      inputs.put(
          state.path("input").asText(),
          Tensor.raw(
              DataType.FLOAT, dims, ByteBuffer.allocateDirect(Math.toIntExact(4 * elements))));
    }
    int[] codes = new int[description.path("action").path("sites").asInt()];
    Arrays.fill(codes, code);
    inputs.put("action", Tensor.ofInts(new long[] {codes.length}, codes));
    Model model = OnnxReader.read(bundle.resolve("model.onnx"));
    try (OrtRunner runner = OrtRunner.load(model)) {
      return runner.run(inputs);
    }
  }

  private static double[] numbers(Map<String, Tensor> tensors, String name) {
    return Optional.ofNullable(tensors.get(name)).orElseThrow().doubles().orElseThrow();
  }

  @Test
  void plansAreMeasuredBesideAnOutputThatStaysTheSame() throws IOException {
    int code = ActionCode.PLAN_SPARSE.cold();
    Map<String, Tensor> plain = run(Set.of(), code);
    Map<String, Tensor> measured = run(Set.of(Instrument.MEASURE_PLANS), code);
    assertThat(numbers(measured, "sample")).containsExactly(numbers(plain, "sample"));
    assertThat(plain).doesNotContainKey(MeasurePlan.densityOutput(0));
    for (int site = 0; site < 2; site++) {
      double[] density = numbers(measured, MeasurePlan.densityOutput(site));
      double[] recall = numbers(measured, MeasurePlan.recallOutput(site));
      assertThat(density).hasSize(2);
      for (int head = 0; head < 2; head++) {
        assertThat(density[head]).isBetween(.1, .99);
        // The most massive clusters have more of the mass than of the pairs.
        assertThat(recall[head]).isBetween(density[head], 1.);
      }
    }
  }

  @Test
  void roundedActivationsHaveTheNoiseOfHalfPrecision() throws IOException {
    double[] exact = numbers(run(Set.of(), ActionCode.DENSE.code()), "sample");
    double[] rounded =
        numbers(run(Set.of(Instrument.ROUND_ACTIVATIONS), ActionCode.DENSE.code()), "sample");
    ErrorMetrics error = ErrorMetrics.of(rounded, exact);
    // A float16 has 11 bits: half a unit in the last place is 2^-12 = 2.4e-4.
    assertThat(error.relativeL1()).isBetween(5e-5, 5e-3);
    for (double value : rounded) {
      assertThat((double) HalfFloat.toFloat(HalfFloat.fromFloat((float) value))).isEqualTo(value);
    }
  }
}
