package io.sparsedit.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.passes.AdaSpaSettings;
import io.sparsedit.passes.CompileOptions;
import io.sparsedit.passes.DenseLayers;
import io.sparsedit.passes.MethodSettings;
import io.sparsedit.passes.Pipeline;
import io.sparsedit.passes.ScheduleOptions;
import io.sparsedit.passes.Svg2Settings;
import io.sparsedit.passes.SvgSettings;
import io.sparsedit.passes.VideoGeometry;
import io.sparsedit.passes.functions.FrameSink;
import io.sparsedit.passes.functions.Selection;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.passes.verify.VerifyRequest;
import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Dim;
import io.sparsedit.runtime.ElementType;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import io.sparsedit.runtime.Session;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.TensorType;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Sessions of ten steps on bundles of each method, on the tokens of the golden cases: what they
 * leave in the state is what the NumPy references leave.
 */
final class MethodStepsTest {
  private static final int STEPS = 10;
  private static final int HEAD_DIM = 8;
  private static final double TOLERANCE = 1e-5;
  private static final Path GOLDEN = Path.of("..", "testdata", "golden");

  @TempDir private Path folder;

  @Test
  void svg2LeavesTheGoldenCentroids() {
    Npz golden = new Npz(GOLDEN.resolve("ten_steps.npz"));
    Path bundle = compile(golden, svg2(), "4x8x5", periodic(1));

    Run run = new Run(bundle, golden, "v");

    assertThat(run.actions)
        .containsExactly(actions(Action.PLAN_SPARSE_COLD, Action.PLAN_SPARSE, 0));
    run.assertNear("q_centroids");
    run.assertNear("k_centroids");
    run.assertOutput();
  }

  @Test
  void adaSpaLeavesTheGoldenLseAndPlan() {
    Npz golden = new Npz(GOLDEN.resolve("adaspa_ten_steps.npz"));
    AdaSpaSettings settings = new AdaSpaSettings(.25f, .6f, 8, false);
    Path bundle = compile(golden, settings, "4x23x1", searches(0, 4, 7));

    Run run = new Run(bundle, golden, "v");

    assertThat(run.actions)
        .containsExactly(actions(Action.PLAN_DENSE_COLD, Action.REUSE_SPARSE, 4, 7));
    run.assertNear("lse");
    run.assertSame("keep");
    run.assertReuseKeeps("keep");
    run.assertReuseKeeps("lse");
    run.assertOutput();
  }

  @Test
  void svgLeavesTheGoldenHeadClasses() {
    Npz golden = new Npz(GOLDEN.resolve("svg_ten_steps.npz"));
    SvgSettings settings =
        new SvgSettings(
            Optional.of(.2f), false, 16, Optional.of(1f), Optional.of(FrameSink.NONE), 4, false);
    Path bundle = compile(golden, settings, "6x3x4", searches(0, 3, 8));

    Run run = new Run(bundle, golden, "values");

    assertThat(run.actions)
        .containsExactly(actions(Action.PLAN_DENSE_COLD, Action.REUSE_SPARSE, 3, 8));
    run.assertSame("head_classes");
    run.assertReuseKeeps("head_classes");
    run.assertOutput();
  }

  @Test
  void svg2ReusesItsLastPlanBitForBit() {
    Npz golden = new Npz(GOLDEN.resolve("ten_steps.npz"));
    Path bundle = compile(golden, svg2(), "4x8x5", periodic(3));

    Run run = new Run(bundle, golden, "v");

    assertThat(run.actions)
        .containsExactly(actions(Action.PLAN_SPARSE_COLD, Action.REUSE_SPARSE, 3, 6, 9));
    for (String tensor :
        List.of(
            "query_order",
            "key_order",
            "query_offsets",
            "key_offsets",
            "keep",
            "q_centroids",
            "k_centroids")) {
      run.assertReuseKeeps(tensor);
    }
    // The tokens drift: a new plan is another one.
    assertThat(run.states.get(3).get("q_centroids"))
        .isNotEqualTo(run.states.get(2).get("q_centroids"));
  }

  private static Stream<MethodSettings> methods() {
    return Stream.of(
        svg2(),
        new AdaSpaSettings(.3f, .8f, 16, false),
        new SvgSettings(
            Optional.empty(), false, 16, Optional.empty(), Optional.empty(), 16, false));
  }

  /** A graph of dynamic sizes, text first: each run may have its own, and state follows. */
  @ParameterizedTest
  @MethodSource("methods")
  void sizesMayChangeFromRunToRun(MethodSettings method) throws IOException {
    Path file = folder.resolve("dynamic.onnx");
    Path packed = Path.of("..", "testdata", "zoo", "cogvideox_5b-ts17-dynamic", "model.onnx.gz");
    try (InputStream in = new GZIPInputStream(Files.newInputStream(packed))) {
      Files.copy(in, file);
    }
    Path bundle = folder.resolve("dynamic");
    Pipeline.compile(
        file,
        bundle,
        new CompileOptions(method, Optional.empty(), DenseLayers.parse("none"), true)
            .withSchedule(periodic(2)),
        new VerifyRequest(VerifyMode.NONE, Optional.empty(), Optional.empty()),
        WeightFiles.Mode.COPY,
        "test",
        Progress.SILENT);

    try (Model model = Model.load(bundle);
        Session session = model.newSession(Schedule.of(model.bundle()))) {
      for (Map<String, Integer> sizes :
          List.of(
              Map.of("B", 2, "F", 4, "H", 16, "W", 12, "S", 192),
              Map.of("B", 1, "F", 3, "H", 12, "W", 20, "S", 180))) {
        Map<String, Tensor> inputs = new LinkedHashMap<>();
        model.bundle().inputs().forEach((name, type) -> inputs.put(name, filled(type, sizes)));
        for (int step = 0; step < 4; step++) {
          Map<String, Tensor> outputs = session.run(step, 0, inputs);
          for (Tensor output : outputs.values()) {
            for (int i = 0; i < output.elementCount(); i++) {
              assertThat(output.get(i)).isFinite();
            }
          }
        }
        for (Bundle.StateTensor tensor : model.bundle().state()) {
          assertThat(session.copyState(0, tensor).dims()[0])
              .isEqualTo((long) sizes.getOrDefault("B", 0));
        }
      }
    }
  }

  private static Tensor filled(TensorType type, Map<String, Integer> sizes) {
    long[] dims =
        type.dims().stream()
            .mapToLong(
                dim ->
                    dim instanceof Dim.Fixed fixed
                        ? fixed.size()
                        : Optional.ofNullable(sizes.get(dim.toString())).orElseThrow())
            .toArray();
    Tensor tensor = Tensor.allocate(type.element(), dims);
    for (int i = 0; i < tensor.elementCount(); i++) {
      tensor.set(i, type.element() == ElementType.I64 ? 500 : Math.sin(i));
    }
    return tensor;
  }

  private static Svg2Settings svg2() {
    return new Svg2Settings(
        new Selection.TopP(.9f), 0, Optional.of(new Svg2Settings.Clusters(5, 8)), 2, 10, false);
  }

  private static ScheduleOptions periodic(int interval) {
    return new ScheduleOptions(
        Optional.empty(),
        OptionalInt.of(STEPS),
        Optional.of(0.0),
        OptionalInt.of(interval),
        Optional.of(false),
        Optional.empty());
  }

  private static ScheduleOptions searches(Integer... steps) {
    return new ScheduleOptions(
        Optional.empty(),
        OptionalInt.of(STEPS),
        Optional.empty(),
        OptionalInt.empty(),
        Optional.empty(),
        Optional.of(List.of(steps)));
  }

  /** The first action, and then another but at the given steps, which plan. */
  private static Action[] actions(Action first, Action others, int... plans) {
    Action[] all = new Action[STEPS];
    Arrays.fill(all, others);
    all[0] = first;
    for (int step : plans) {
      if (step > 0) {
        all[step] = Action.PLAN_SPARSE;
      }
    }
    return all;
  }

  // ---- the model --------------------------------------------------------------------------------

  private Path compile(Npz golden, MethodSettings method, String video, ScheduleOptions schedule) {
    int[] dims = golden.get("v").dims;
    Path file = folder.resolve("model.onnx");
    OnnxWriter.write(attention(dims[1], dims[2], (float) golden.setting("scale")), file);
    Path bundle = folder.resolve("bundle");
    Pipeline.compile(
        file,
        bundle,
        new CompileOptions(
                method, Optional.of(VideoGeometry.parse(video)), DenseLayers.parse("none"), true)
            .withSchedule(schedule),
        new VerifyRequest(VerifyMode.FULL, Optional.empty(), Optional.empty()),
        WeightFiles.Mode.COPY,
        "test",
        Progress.SILENT);
    return bundle;
  }

  /** Attention over the tokens of one input, [1,S,3 H D]: q, k and v beside each other. */
  private static io.sparsedit.compiler.ir.Model attention(int heads, int tokens, float scale) {
    Graph graph = Graph.create("attention");
    int width = heads * HEAD_DIM;
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 1, tokens, 3L * width));
    Value q = part(graph, x, 0, heads, tokens);
    Value k = part(graph, x, 1, heads, tokens);
    Value v = part(graph, x, 2, heads, tokens);
    Value scores = graph.append("MatMul", q, transpose(graph, k, 0, 1, 3, 2));
    Value factor = graph.addConstant("scale", io.sparsedit.compiler.ir.Tensor.scalar(scale));
    Node softmax =
        graph.addNode("", "Softmax", "softmax", List.of(graph.append("Mul", scores, factor)));
    softmax.setAttribute("axis", -1);
    Value attended = graph.append("MatMul", softmax.addOutput("probabilities"), v);
    Value o = reshape(graph, transpose(graph, attended, 0, 2, 1, 3), 1, tokens, width);
    o.rename("o");
    o.setType(ValueType.TensorType.of(DataType.FLOAT, 1, tokens, width));
    graph.addOutput(o);
    io.sparsedit.compiler.ir.Model model = new io.sparsedit.compiler.ir.Model(graph, 8);
    model.opsets().put("", 17L);
    return model;
  }

  private static Value part(Graph graph, Value x, int index, int heads, int tokens) {
    int width = heads * HEAD_DIM;
    Value slice =
        graph.append(
            "Slice",
            x,
            vector(graph, (long) index * width),
            vector(graph, (index + 1L) * width),
            vector(graph, 2));
    return transpose(graph, reshape(graph, slice, 1, tokens, heads, HEAD_DIM), 0, 2, 1, 3);
  }

  private static Value vector(Graph graph, long... elements) {
    return graph.addConstant("c", io.sparsedit.compiler.ir.Tensor.vector(elements));
  }

  private static Value reshape(Graph graph, Value value, long... dims) {
    return graph.append("Reshape", value, vector(graph, dims));
  }

  private static Value transpose(Graph graph, Value value, long... perm) {
    Node node = graph.addNode("", "Transpose", "", List.of(value));
    node.setAttribute("perm", new Attribute.IntList(Arrays.stream(perm).boxed().toList()));
    return node.addOutput(graph.freshName("transposed"));
  }

  // ---- the run ----------------------------------------------------------------------------------

  /** A session of ten steps, with the state that each left. */
  private static final class Run {
    final List<Action> actions;
    final List<Map<String, List<Double>>> states = new ArrayList<>();
    private final Npz golden;
    private List<Double> output = List.of();

    Run(Path bundle, Npz golden, String values) {
      this.golden = golden;
      try (Model model = Model.load(bundle);
          Session session = model.newSession(Schedule.of(model.bundle()))) {
        assertThat(session.timetable().steps()).isEqualTo(STEPS);
        actions =
            IntStream.range(0, STEPS)
                .mapToObj(step -> session.timetable().action(step, 0))
                .toList();
        for (int step = 0; step < STEPS; step++) {
          Map<String, Tensor> outputs =
              session.run(step, 0, Map.of("x", input(golden, values, step)));
          output = numbers(Optional.ofNullable(outputs.get("o")).orElseThrow());
          Map<String, List<Double>> state = new LinkedHashMap<>();
          for (Bundle.StateTensor tensor : model.bundle().state()) {
            state.put(tensor.name(), numbers(session.copyState(0, tensor)));
          }
          states.add(state);
        }
      }
    }

    /** [1,S,3 H D] of q, k and v at a step, [1,H,S,D]. */
    private static Tensor input(Npz golden, String values, int step) {
      int[] dims = golden.get("v").dims;
      int heads = dims[1];
      int tokens = dims[2];
      float[] x = new float[3 * heads * tokens * HEAD_DIM];
      List<String> names = List.of("q", "k", values);
      for (int part = 0; part < 3; part++) {
        Npz.Array array = golden.get(names.get(part));
        int start = array.dims.length == 5 ? step * heads * tokens * HEAD_DIM : 0;
        for (int h = 0; h < heads; h++) {
          for (int s = 0; s < tokens; s++) {
            for (int d = 0; d < HEAD_DIM; d++) {
              x[((s * 3 + part) * heads + h) * HEAD_DIM + d] =
                  (float) array.elements[start + (h * tokens + s) * HEAD_DIM + d];
            }
          }
        }
      }
      return Tensor.ofFloats(new long[] {1, tokens, 3L * heads * HEAD_DIM}, x);
    }

    private static List<Double> numbers(Tensor tensor) {
      return IntStream.range(0, tensor.elementCount()).mapToObj(tensor::get).toList();
    }

    private List<Double> last(String tensor) {
      return Optional.ofNullable(states.get(STEPS - 1).get(tensor)).orElseThrow();
    }

    void assertNear(String tensor) {
      assertThat(relativeL1(last(tensor), golden.get(tensor).elements))
          .as(tensor)
          .isLessThan(TOLERANCE);
    }

    void assertSame(String tensor) {
      assertThat(last(tensor).stream().mapToDouble(Double::doubleValue).toArray())
          .as(tensor)
          .containsExactly(golden.get(tensor).elements);
    }

    /** A step that reuses the plan leaves it as it was. */
    void assertReuseKeeps(String tensor) {
      for (int step = 1; step < STEPS; step++) {
        if (actions.get(step) == Action.REUSE_SPARSE) {
          assertThat(states.get(step).get(tensor))
              .as(tensor + " at step " + step)
              .isEqualTo(states.get(step - 1).get(tensor));
        }
      }
    }

    /** The last step is sparse by the golden plan: its output is the golden one. */
    void assertOutput() {
      int[] dims = golden.get("v").dims;
      double[] expected = new double[output.size()];
      for (int h = 0; h < dims[1]; h++) {
        for (int s = 0; s < dims[2]; s++) {
          for (int d = 0; d < HEAD_DIM; d++) {
            expected[(s * dims[1] + h) * HEAD_DIM + d] =
                golden.get("o").elements[(h * dims[2] + s) * HEAD_DIM + d];
          }
        }
      }
      assertThat(relativeL1(output, expected)).isLessThan(TOLERANCE);
    }

    private static double relativeL1(List<Double> actual, double[] expected) {
      assertThat(actual).hasSize(expected.length);
      double difference = 0;
      double total = 0;
      for (int i = 0; i < expected.length; i++) {
        difference += Math.abs(actual.get(i) - expected[i]);
        total += Math.abs(expected[i]);
      }
      return difference / total;
    }
  }
}
