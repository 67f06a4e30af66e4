package io.sparsedit.compiler.ort;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Extras;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.TensorFiles;
import io.sparsedit.compiler.onnx.WeightFiles;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class OrtRunnerTest {
  @TempDir Path folder;

  static List<Path> zoo() {
    return TestData.zoo();
  }

  // ---- real exports ---------------------------------------------------------------------------

  @ParameterizedTest
  @MethodSource("zoo")
  void aModelComputesFromMemoryWhatTheExportedOneDid(Path file) {
    Model model = OnnxReader.read(file);

    assertRecordedOutputs(file, OrtRunner.run(model, recordedInputs(file, model)));
  }

  @ParameterizedTest
  @MethodSource("zoo")
  void aWrittenModelWithItsWeightsComputesWhatTheExportedOneDid(Path file) {
    Model model = OnnxReader.read(file);
    Path written = folder.resolve("written.onnx");
    OnnxWriter.write(model, written);
    WeightFiles.of(model).placeIn(folder, WeightFiles.Mode.COPY);

    try (OrtRunner runner = OrtRunner.load(written, OrtOptions.DEFAULT.withThreads(1))) {
      assertRecordedOutputs(file, runner.run(recordedInputs(file, model)));
    }
  }

  private static Map<String, Tensor> recordedInputs(Path file, Model model) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (Value input : model.graph().inputs()) {
      Path recorded = file.resolveSibling("inputs/input_" + inputs.size() + ".pb");
      inputs.put(input.name(), TensorFiles.read(recorded));
    }
    return inputs;
  }

  private static void assertRecordedOutputs(Path file, Map<String, Tensor> outputs) {
    int i = 0;
    for (Tensor output : outputs.values()) {
      Tensor expected = TensorFiles.read(file.resolveSibling("outputs/output_" + i++ + ".pb"));
      assertThat(output.type()).isEqualTo(expected.type());
      assertThat(output.dims()).isEqualTo(expected.dims());
      assertThat(maxError(output, expected)).isLessThan(1e-5);
    }
  }

  private static double maxError(Tensor actual, Tensor expected) {
    double[] a = actual.doubles().orElseThrow();
    double[] e = expected.doubles().orElseThrow();
    double error = 0;
    double magnitude = 1;
    for (int i = 0; i < a.length; i++) {
      error = Math.max(error, Math.abs(a[i] - e[i]));
      magnitude = Math.max(magnitude, Math.abs(e[i]));
    }
    return error / magnitude;
  }

  // ---- types and shapes -----------------------------------------------------------------------

  @ParameterizedTest
  @EnumSource(
      names = {
        "FLOAT",
        "DOUBLE",
        "FLOAT16",
        "BFLOAT16",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
        "UINT8",
        "BOOL"
      })
  void tensorsOfEveryTypeGoInAndOut(DataType type) {
    Model model = identity(type, 2, 3);
    byte[] bytes = new byte[(int) type.bytes(6)];
    new Random(7).nextBytes(bytes);
    if (type == DataType.BOOL) {
      for (int i = 0; i < bytes.length; i++) {
        bytes[i] &= 1;
      }
    }
    Tensor in = Tensor.raw(type, new long[] {2, 3}, ByteBuffer.wrap(bytes));

    Tensor out = run(model, Map.of("x", in));

    assertThat(out.type()).isEqualTo(type);
    assertThat(out.dims()).containsExactly(2, 3);
    assertThat(out.bytes()).isEqualTo(in.bytes());
  }

  @ParameterizedTest
  @EnumSource(names = {"FLOAT", "FLOAT16", "BFLOAT16", "INT32", "INT64", "BOOL"})
  void tensorsMayBeEmpty(DataType type) {
    Tensor in = Tensor.raw(type, new long[] {2, 0}, ByteBuffer.allocate(0));

    Tensor out = run(identity(type, 2, 0), Map.of("x", in));

    assertThat(out.type()).isEqualTo(type);
    assertThat(out.dims()).containsExactly(2, 0);
  }

  @Test
  void scalarsStayScalars() {
    Tensor out = run(identity(DataType.INT64), Map.of("x", Tensor.scalar(4L)));

    assertThat(out.rank()).isZero();
    assertThat(out.longs().orElseThrow()).containsExactly(4);
  }

  @Test
  void stringsGoInAndOut() {
    List<byte[]> words = List.of("a".getBytes(StandardCharsets.UTF_8), new byte[0]);
    Tensor in =
        new Tensor(
            "", DataType.STRING, new long[] {1, 2}, new Tensor.Storage.Strings(words), Extras.NONE);

    Tensor out = run(identity(DataType.STRING, 1, 2), Map.of("x", in));

    assertThat(out.dims()).containsExactly(1, 2);
    assertThat(((Tensor.Storage.Strings) out.storage()).elements())
        .containsExactlyElementsOf(words);
  }

  @Test
  void unsignedResultsComeOut() {
    Graph graph = Graph.create("constant");
    Value constant =
        graph.addConstant(
            "c",
            Tensor.raw(DataType.UINT32, new long[] {1}, ByteBuffer.wrap(new byte[] {1, 2, 3, -1})));
    graph.addOutput(graph.append("Identity", constant));

    assertThat(run(model(graph), Map.of()).longs().orElseThrow()).containsExactly(0xff030201L);
  }

  @Test
  void aModelWithoutInputsRuns() {
    Graph graph = Graph.create("constant");
    Value two = graph.addConstant("two", Tensor.vector(2, 2));
    graph.addOutput(graph.append("Mul", two, two));

    assertThat(run(model(graph), Map.of()).longs().orElseThrow()).containsExactly(4, 4);
  }

  @Test
  void aTypeThatJavaCannotPassIsNamed() {
    Model model = identity(DataType.UINT64, 1);
    Tensor in = Tensor.raw(DataType.UINT64, new long[] {1}, ByteBuffer.allocate(8));

    assertThatThrownBy(() -> OrtRunner.run(model, Map.of("x", in)))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("input 'x' is u64");
  }

  // ---- options --------------------------------------------------------------------------------

  @ParameterizedTest
  @EnumSource
  void innerValuesAreFetched(OrtOptions.Optimisation optimisation) {
    Graph graph = Graph.create("chain");
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 2));
    Value negative = graph.append("Neg", x);
    negative.rename("inner");
    Value result = graph.append("Abs", negative);
    graph.addOutput(result);
    Model model = model(graph);
    Tensor in = Tensor.ofFloats(new long[] {2}, 1, 2);
    OrtOptions options =
        OrtOptions.DEFAULT.withOptimisation(optimisation).withFetch(List.of("inner"));

    try (OrtRunner runner = OrtRunner.load(model, options)) {
      Map<String, Tensor> outputs = runner.run(Map.of("x", in));
      assertThat(outputs.keySet()).containsExactly(result.name(), "inner");
      assertThat(floats(outputs, "inner")).containsExactly(-1, -2);
      assertThat(runner.run(Map.of("x", in), Set.of("inner")).keySet()).containsExactly("inner");
    }
    assertThat(graph.outputs()).as("the model itself").containsExactly(result);

    Path file = folder.resolve("chain.onnx");
    OnnxWriter.write(model, file);
    try (OrtRunner runner = OrtRunner.load(file, options)) {
      assertThat(floats(runner.run(Map.of("x", in)), "inner")).containsExactly(-1, -2);
    }
  }

  private static double[] floats(Map<String, Tensor> outputs, String name) {
    Tensor tensor = outputs.get(name);
    assertThat(tensor).isNotNull();
    return tensor == null ? new double[0] : tensor.doubles().orElseThrow();
  }

  @Test
  void aModelLocalFunctionWithOverloadsRuns() {
    Graph graph = Graph.create("calls");
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 1));
    Model model = model(graph);
    model.opsets().put("local", 1L);
    for (String op : List.of("Neg", "Abs")) {
      Function function = new Function("local", "F", op);
      function.opsets().put("", 17L);
      function.body().addOutput(function.body().append(op, function.body().addInput("a")));
      model.functions().add(function);
      Node call = graph.addNode("local", "F", "", List.of(x));
      call.setOverload(op);
      graph.addOutput(call.addOutput("out_" + op));
    }

    Map<String, Tensor> out =
        OrtRunner.run(model, Map.of("x", Tensor.ofFloats(new long[] {1}, -3)));

    assertThat(floats(out, "out_Neg")).containsExactly(3);
    assertThat(floats(out, "out_Abs")).containsExactly(3);
  }

  // ---- errors ---------------------------------------------------------------------------------

  @Test
  void aModelThatDoesNotLoadIsNamed() throws IOException {
    Path file = Files.writeString(folder.resolve("bad.onnx"), "no model");

    assertThatThrownBy(() -> OrtRunner.load(file, OrtOptions.DEFAULT))
        .isInstanceOf(SparsifyException.class)
        .hasMessageStartingWith(file + ": ONNX Runtime cannot load the model: ");
  }

  @Test
  void anOperatorThatDoesNotExistIsNamed() {
    Graph graph = Graph.create("g");
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 1));
    graph.addOutput(graph.append("NoSuchOperator", x));

    assertThatThrownBy(() -> OrtRunner.load(model(graph)))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("model 'g'")
        .hasMessageContaining("NoSuchOperator");
  }

  @Test
  void aKernelThatFailsIsNamedWithoutSourcePositions() {
    Graph graph = Graph.create("g");
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 6));
    Value shape = graph.addInput("shape", ValueType.TensorType.of(DataType.INT64, 1));
    Node reshape = graph.addNode("", "Reshape", "to_four", List.of(x, shape));
    reshape.setAttribute("allowzero", new Attribute.IntValue(0));
    graph.addOutput(reshape.addOutput("y"));
    Map<String, Tensor> inputs =
        Map.of("x", Tensor.ofFloats(new long[] {6}, 1, 2, 3, 4, 5, 6), "shape", Tensor.vector(4));

    assertThatThrownBy(() -> OrtRunner.run(model(graph), inputs))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining(
            "model 'g': ONNX Runtime cannot run the model: node 'to_four' (Reshape): ")
        .hasMessageNotContaining("onnxruntime_src");
  }

  @Test
  void aMissingInputIsNamed() {
    Graph graph = Graph.create("g");
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 1));
    Value y = graph.addInput("y", ValueType.TensorType.of(DataType.FLOAT, 1));
    graph.addOutput(graph.append("Add", x, y));

    assertThatThrownBy(
            () -> OrtRunner.run(model(graph), Map.of("x", Tensor.ofFloats(new long[] {1}, 1))))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("input 'y' is not given");
    assertThatThrownBy(
            () -> OrtRunner.run(model(graph), Map.of("z", Tensor.ofFloats(new long[] {1}, 1))))
        .isInstanceOf(SparsifyException.class)
        .hasMessageContaining("has no input 'z'");
  }

  @Test
  void aLoopWithoutAnEndIsStopped() {
    Graph graph = Graph.create("g");
    Graph body = Graph.createSubgraph(graph, "body");
    body.addInput("i", ValueType.TensorType.of(DataType.INT64));
    Value go = body.addInput("go", ValueType.TensorType.of(DataType.BOOL));
    Value sum = body.addInput("sum", ValueType.TensorType.of(DataType.FLOAT, 1));
    body.addOutput(body.append("Identity", go));
    body.addOutput(body.append("Neg", sum));
    Value turns = graph.addInput("turns", ValueType.TensorType.of(DataType.INT64));
    Value always =
        graph.addConstant(
            "always", Tensor.raw(DataType.BOOL, new long[0], ByteBuffer.wrap(new byte[] {1})));
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 1));
    Node loop = graph.addNode("", "Loop", "endless", List.of(turns, always, x));
    loop.setAttribute("body", new Attribute.GraphValue(body));
    graph.addOutput(loop.addOutput("y"));
    Tensor one = Tensor.ofFloats(new long[] {1}, 1);
    OrtOptions options = OrtOptions.DEFAULT.withLimit(Duration.ofSeconds(1));

    try (OrtRunner runner = OrtRunner.load(model(graph), options)) {
      assertThatThrownBy(() -> runner.run(Map.of("turns", Tensor.scalar(Long.MAX_VALUE), "x", one)))
          .isInstanceOf(SparsifyException.class)
          .hasMessageContaining("model 'g'")
          .hasMessageContaining("took longer than 1 seconds")
          .hasMessageContaining("a loop without an end");
      assertThat(floats(runner.run(Map.of("turns", Tensor.scalar(3L), "x", one)), "y"))
          .containsExactly(-1);
    }
  }

  // ---- memory ---------------------------------------------------------------------------------

  @Test
  @EnabledOnOs(OS.LINUX)
  void loadingRunningAndClosingLeaksNothing() throws IOException {
    // Each of weights, input and output takes 8 MiB: 12 rounds would leave 96 MiB of any of them.
    // The heap gives memory back when it likes, so that single spans say more or less than that.
    long[] dims = {2 << 20};
    Graph graph = Graph.create("g");
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, dims));
    Tensor large = Tensor.raw(DataType.FLOAT, dims, ByteBuffer.allocate(8 << 20));
    graph.addOutput(graph.append("Add", x, graph.addConstant("w", large)));
    Model model = model(graph);
    List<Long> grown = new ArrayList<>();
    long before = 0;
    for (int span = 0; span < 6; span++) {
      for (int round = 0; round < 12; round++) {
        Tensor out = run(model, Map.of("x", large));
        assertThat(out.elementCount()).isEqualTo(2 << 20);
      }
      long now = nativeMiB();
      if (span > 0) {
        grown.add(now - before);
      }
      before = now;
    }

    assertThat(grown.stream().sorted().toList().get(2)).as("median of %s", grown).isLessThan(48);
  }

  private static long nativeMiB() throws IOException {
    System.gc();
    return residentMiB() - (Runtime.getRuntime().totalMemory() >> 20);
  }

  private static long residentMiB() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) {
        return Long.parseLong(line.replaceAll("[^0-9]", "")) >> 10;
      }
    }
    throw new IOException("no VmRSS");
  }

  // ---- helpers --------------------------------------------------------------------------------

  private static Tensor run(Model model, Map<String, Tensor> inputs) {
    return OrtRunner.run(model, inputs).values().iterator().next();
  }

  private static Model identity(DataType type, long... dims) {
    Graph graph = Graph.create("identity");
    Value x = graph.addInput("x", ValueType.TensorType.of(type, dims));
    graph.addOutput(graph.append("Identity", x));
    return model(graph);
  }

  private static Model model(Graph graph) {
    Model model = new Model(graph, 10);
    model.opsets().put("", 17L);
    return model;
  }
}
