package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.compiler.ort.OrtOptions;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.passes.functions.ActionCode;
import io.sparsedit.passes.functions.FrameSink;
import io.sparsedit.passes.verify.ErrorMetrics;
import io.sparsedit.passes.verify.VerificationReport;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** AdaSpa and SVG on exported graphs: verified as a whole, then run through ten steps. */
final class BlockMethodsTest {
  private static final List<String> GRAPHS =
      List.of(
          "wan21_t2v-ts17-fp16",
          "wan21_t2v-dynamo23-dynamic",
          // Masked text, two elements in the batch.
          "hunyuanvideo-dynamo23-dynamic");

  private static final List<MethodSettings> METHODS =
      List.of(
          new AdaSpaSettings(.3f, .8f, 16, false),
          new SvgSettings(
              Optional.of(.4f),
              true,
              16,
              Optional.empty(),
              Optional.of(FrameSink.NONE),
              16,
              false));

  private static final int[] CODES = {
    ActionCode.DENSE.code(),
    ActionCode.DENSE.code(),
    ActionCode.PLAN_DENSE.cold(),
    ActionCode.REUSE_SPARSE.code(),
    ActionCode.REUSE_SPARSE.code(),
    ActionCode.PLAN_SPARSE.code(),
    ActionCode.REUSE_SPARSE.code(),
    ActionCode.DENSE.code(),
    ActionCode.REUSE_SPARSE.code(),
    ActionCode.PLAN_DENSE.cold()
  };

  @TempDir private static Path folder;

  static Stream<Arguments> graphsAndMethods() {
    return GRAPHS.stream()
        .flatMap(graph -> METHODS.stream().map(method -> Arguments.of(graph, method)));
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("graphsAndMethods")
  void verifiesAndRunsTenSteps(String graph, MethodSettings method) {
    double tolerance = graph.endsWith("fp16") ? 2e-2 : 1e-5;
    Path model = ZooGraphs.model(graph, folder);
    Path bundle = folder.resolve(graph + "-" + method.method().label());
    Path inputFiles = ZooInputs.write(model, folder.resolve(graph + ".inputs"));
    CompileResult result =
        Pipeline.compile(
            model,
            bundle,
            new CompileOptions(method, ZooInputs.video(graph), DenseLayers.parse("none"), true)
                .withSchedule(searchesAt(2, 5)),
            new VerifyRequest(VerifyMode.FULL, Optional.of(inputFiles), Optional.empty()),
            WeightFiles.Mode.LINK,
            "test",
            Progress.SILENT);

    assertThat(result.failures()).isEmpty();
    VerificationReport report = result.verification().orElseThrow();
    assertThat(report.mode()).isEqualTo(VerifyMode.FULL);
    assertThat(report.everythingKept()).allMatch(output -> output.error().isWithin(tolerance));
    assertThat(report.sites()).hasSize(2);
    assertThat(report.sites()).allMatch(site -> site.everythingKept().isWithin(tolerance));
    assertThat(report.sites()).allMatch(site -> site.density() < .5);

    runTenSteps(model, bundle.resolve("model.onnx"), tolerance);
  }

  private static ScheduleOptions searchesAt(Integer... steps) {
    return new ScheduleOptions(
        Optional.empty(),
        OptionalInt.of(10),
        Optional.empty(),
        OptionalInt.empty(),
        Optional.empty(),
        Optional.of(List.of(steps)));
  }

  /** Ten steps on the same inputs, so that a plan that is reused gives what it gave at first. */
  private static void runTenSteps(Path original, Path compiledFile, double tolerance) {
    Model dense = ExpandMaskRows.in(OnnxReader.read(original));
    Model compiled = OnnxReader.read(compiledFile);
    Map<String, Tensor> inputs = ZooInputs.of(dense, 1);
    double[] expected =
        OrtRunner.run(dense, inputs).values().iterator().next().doubles().orElseThrow();
    Map<String, Tensor> state = firstState(compiled, inputs);
    assertThat(state).isNotEmpty();
    List<Map<String, Tensor>> results = new ArrayList<>();
    try (OrtRunner runner = OrtRunner.load(compiledFile, OrtOptions.DEFAULT)) {
      for (int code : CODES) {
        Map<String, Tensor> all = new LinkedHashMap<>(inputs);
        all.putAll(state);
        all.put("action", Tensor.ofInts(new long[] {2}, code, code));
        Map<String, Tensor> outputs = runner.run(all);
        results.add(outputs);
        state.replaceAll((name, any) -> find(outputs, name.replaceFirst("^state\\.", "next.")));
      }
    }
    for (int step : List.of(0, 1, 2, 7, 9)) {
      assertThat(ErrorMetrics.of(first(results.get(step)), expected).isWithin(tolerance))
          .as("step " + step + " is dense")
          .isTrue();
    }
    // On the same tokens, what reuses a plan does what its search did.
    assertThat(isSame(results.get(3), results.get(4))).isTrue();
    assertThat(isSame(results.get(5), results.get(6))).isTrue();
    assertThat(isSame(results.get(5), results.get(8))).isTrue();
    for (String name : state.keySet()) {
      String next = name.replaceFirst("^state\\.", "next.");
      for (int step = 6; step < 9; step++) {
        assertThat(find(results.get(step), next).bytes())
            .as(next + " after step " + step)
            .isEqualTo(find(results.get(5), next).bytes());
      }
    }
  }

  private static boolean isSame(Map<String, Tensor> a, Map<String, Tensor> b) {
    return Arrays.equals(first(a), first(b));
  }

  private static double[] first(Map<String, Tensor> outputs) {
    return outputs.values().iterator().next().doubles().orElseThrow();
  }

  private static Tensor find(Map<String, Tensor> tensors, String name) {
    return Optional.ofNullable(tensors.get(name)).orElseThrow(() -> new AssertionError(name));
  }

  /** Zeros for each state input, of the size that the other inputs give it. */
  private static Map<String, Tensor> firstState(Model compiled, Map<String, Tensor> inputs) {
    Map<String, Long> sizes = new LinkedHashMap<>();
    Map<String, Tensor> state = new LinkedHashMap<>();
    for (Value input : compiled.graph().inputs()) {
      ValueType.TensorType type = (ValueType.TensorType) input.type().orElseThrow();
      List<DeclaredDim> dims = type.dims().orElseThrow();
      if (inputs.containsKey(input.name())) {
        for (int axis = 0; axis < dims.size(); axis++) {
          if (dims.get(axis) instanceof DeclaredDim.Named named) {
            sizes.put(named.name(), find(inputs, input.name()).dims()[axis]);
          }
        }
      } else if (!input.name().equals("action")) {
        state.put(input.name(), zeros(type.elementType(), size(dims, sizes)));
      }
    }
    return state;
  }

  private static long[] size(List<DeclaredDim> dims, Map<String, Long> sizes) {
    return dims.stream()
        .mapToLong(
            dim ->
                dim instanceof DeclaredDim.Fixed fixed
                    ? fixed.size()
                    : Dim.parse(((DeclaredDim.Named) dim).name()).evaluate(sizes).orElseThrow())
        .toArray();
  }

  private static Tensor zeros(DataType type, long[] dims) {
    int bytes = Math.toIntExact(4 * Arrays.stream(dims).reduce(1, Math::multiplyExact));
    assertThat(type).isIn(DataType.FLOAT, DataType.INT32);
    return Tensor.raw(type, dims, ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN));
  }
}
