package io.sparsedit.compiler.fold;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ir.ValueType.TensorType;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.TensorFiles;
import io.sparsedit.compiler.ort.OrtOptions;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.compiler.shape.ConstantSource;
import io.sparsedit.compiler.shape.ShapeInference;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

final class FoldConstantsTest {
  private Graph graph = Graph.create("");
  private Model model = new Model(graph, 10);

  @BeforeEach
  void start() {
    graph = Graph.create("test");
    model = new Model(graph, 10);
    model.opsets().put("", 20L);
  }

  static List<Path> zoo() {
    return TestData.zoo();
  }

  @ParameterizedTest
  @MethodSource("zoo")
  void foldedExportsComputeTheSame(Path file) {
    Model before = OnnxReader.read(file);
    Model after = OnnxReader.read(file);

    FoldConstants.Result result = new FoldConstants().apply(after);

    assertThat(result.failures()).isEmpty();
    assertThat(result.sessions()).isLessThanOrEqualTo(1);
    assertThat(after.graph().nodes()).noneMatch(n -> n.is("Constant"));
    assertThat(after.graph().nodeCount())
        .isEqualTo(before.graph().nodeCount() - result.removedNodes());
    assertThat(GraphVerifier.problems(after)).isEmpty();
    assertThat(names(after.graph().inputs())).isEqualTo(names(before.graph().inputs()));
    assertThat(names(after.graph().outputs())).isEqualTo(names(before.graph().outputs()));
    Map<String, Tensor> inputs = inputs(before, file);
    Map<String, Tensor> expected = run(before, inputs);
    Map<String, Tensor> actual = run(after, inputs);
    for (String name : names(before.graph().outputs())) {
      assertThat(doubles(actual, name)).as(name).isEqualTo(doubles(expected, name));
    }
    assertThat(new FoldConstants().apply(after).changed()).isFalse();
  }

  @Test
  void theScaleOfTorchScriptBecomesAnInitializer() {
    Value q = input("q", "B", 32);
    Value last = graph.append("Slice", graph.append("Shape", q), ints(-1), ints(Long.MAX_VALUE));
    Value cast = graph.append("Cast", last);
    cast.producer().orElseThrow().setAttribute("to", 1);
    Value scale = graph.append("Div", floats(1), graph.append("Sqrt", cast));
    Value scaled = graph.append("Mul", q, scale);
    graph.addOutput(scaled);

    FoldConstants.Result result = new FoldConstants().apply(model);

    assertThat(operators()).containsExactly("Mul");
    Value folded = scaled.producer().orElseThrow().requiredInput(1);
    assertThat(folded.constant().flatMap(Tensor::doubles))
        .hasValueSatisfying(v -> assertThat(v).containsExactly((float) (1 / Math.sqrt(32))));
    assertThat(folded.name()).isEqualTo(scale.name());
    assertThat(result.sessions()).isEqualTo(1);
  }

  @Test
  void largeResultsAndRandomNumbersStay() {
    Value x = input("x", 1);
    Value sizes = ints(512, 512);
    Value large = graph.append("ConstantOfShape", graph.append("Add", sizes, ints(0)));
    Value summed = graph.append("ReduceSum", large);
    Value noise = graph.append("RandomNormalLike", floats(1, 2, 3));
    graph.addOutput(graph.append("Mul", x, large));
    graph.addOutput(graph.append("Mul", x, summed));
    graph.addOutput(graph.append("Add", x, noise));

    new FoldConstants().apply(model);

    assertThat(operators())
        .containsExactlyInAnyOrder("ConstantOfShape", "RandomNormalLike", "Mul", "Mul", "Add");
  }

  @Test
  void whatIsNotLargerThanItsInputsIsFoldedWhateverItsSize() {
    float[] weights = new float[200_000];
    Value weight = graph.addInitializer("w", Tensor.ofFloats(new long[] {1000, 200}, weights));
    Value transposed = graph.append("Transpose", weight);
    graph.addOutput(graph.append("MatMul", input("x", "B", 200), transposed));

    new FoldConstants().apply(model);

    assertThat(operators()).containsExactly("MatMul");
  }

  @Test
  void largeExternalWeightsAreNotRead() {
    Tensor weight = external(1000, 200);
    Value large = graph.addInitializer("large", weight);
    Value small = graph.addInitializer("small", external(2, 3));
    graph.addOutput(graph.append("Neg", graph.append("Transpose", large)));
    graph.addOutput(graph.append("MatMul", graph.append("Neg", small), input("x", 3, "N")));
    List<Tensor> read = new ArrayList<>();
    ConstantSource source =
        tensor -> {
          read.add(tensor);
          return Optional.of(Tensor.ofFloats(tensor.dims(), 1, 2, 3, 4, 5, 6));
        };

    new FoldConstants().apply(model, ShapeInference.infer(model, Map.of(), source), source);

    assertThat(operators()).containsExactlyInAnyOrder("Transpose", "Neg", "MatMul");
    assertThat(read).allMatch(t -> t.elementCount() == 6).isNotEmpty();
  }

  @Test
  void aDefaultOfAnInputIsNoConstant() {
    Value x = input("x", 2);
    graph.addInitializer("x", Tensor.ofFloats(new long[] {2}, 1, 2));
    graph.addOutput(graph.append("Neg", graph.append("Neg", x)));

    assertThat(new FoldConstants().apply(model).changed()).isFalse();
  }

  @Test
  void constantsOfBranchesAreFolded() {
    Value condition = graph.addInput("condition", TensorType.of(DataType.BOOL));
    Value x = input("x", 2);
    Value two = graph.append("Neg", floats(-2));
    Node node = graph.addNode("", "If", "", List.of(condition));
    for (String branch : List.of("then_branch", "else_branch")) {
      Graph body = Graph.createSubgraph(graph, branch);
      Value inner = body.append("Add", two, two);
      body.addOutput(body.append("Mul", x, inner));
      node.setAttribute(branch, new Attribute.GraphValue(body));
    }
    graph.addOutput(node.addOutput("result"));

    new FoldConstants().apply(model);

    assertThat(operators()).containsExactly("If");
    assertThat(node.subgraphs()).allMatch(body -> body.nodeCount() == 1);
    assertThat(GraphVerifier.problems(model)).isEmpty();
  }

  @Test
  void aNodeThatCannotRunIsNamedAndTheRestFolded() {
    Value broken = graph.append("Reshape", floats(1, 2), ints(2, 1));
    Value text = graph.append("Gather", floats(1, 2, 3), ints(7));
    graph.addOutput(graph.append("Add", input("x", 1), broken));
    graph.addOutput(graph.append("Add", input("y", 1), text));

    FoldConstants.Result result = new FoldConstants().apply(model);

    assertThat(operators()).containsExactlyInAnyOrder("Gather", "Add", "Add");
    assertThat(result.failures()).hasSizeLessThanOrEqualTo(1);
  }

  // ---- helpers ----------------------------------------------------------------------------------

  private List<String> operators() {
    List<String> operators = new ArrayList<>();
    graph.nodes().forEach(n -> operators.add(n.opType()));
    return operators;
  }

  private Value input(String name, Object... dims) {
    List<DeclaredDim> declared = new ArrayList<>();
    for (Object dim : dims) {
      declared.add(
          dim instanceof String symbol
              ? new DeclaredDim.Named(symbol)
              : new DeclaredDim.Fixed(((Number) dim).longValue()));
    }
    return graph.addInput(name, new TensorType(DataType.FLOAT, Optional.of(declared)));
  }

  private Value ints(long... elements) {
    return graph.addConstant("i", Tensor.vector(elements));
  }

  private Value floats(float... elements) {
    return graph.addConstant("f", Tensor.ofFloats(new long[] {elements.length}, elements));
  }

  private static Tensor external(long... dims) {
    Tensor.Storage storage =
        new Tensor.Storage.External("weights", 0, Optional.empty(), Optional.empty());
    return new Tensor("", DataType.FLOAT, dims, storage, io.sparsedit.compiler.ir.Extras.NONE);
  }

  private static List<String> names(List<Value> values) {
    return values.stream().map(Value::name).toList();
  }

  private static double[] doubles(Map<String, Tensor> tensors, String name) {
    return Optional.ofNullable(tensors.get(name)).flatMap(Tensor::doubles).orElseThrow();
  }

  private static Map<String, Tensor> run(Model model, Map<String, Tensor> inputs) {
    OrtOptions plain = OrtOptions.DEFAULT.withOptimisation(OrtOptions.Optimisation.NONE);
    try (OrtRunner runner = OrtRunner.load(model, plain)) {
      return runner.run(inputs);
    }
  }

  private static Map<String, Tensor> inputs(Model model, Path file) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (Value input : model.graph().inputs()) {
      Path folder = file.resolveSibling("inputs");
      inputs.put(input.name(), TensorFiles.read(folder.resolve("input_" + inputs.size() + ".pb")));
    }
    return inputs;
  }
}
