package io.sparsedit.compiler.shape;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ir.ValueType.TensorType;
import io.sparsedit.compiler.onnx.ExternalData;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.TensorFiles;
import io.sparsedit.compiler.ort.OrtOptions;
import io.sparsedit.compiler.ort.OrtRunner;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What is inferred of real exports, without their value_info, is what a run shows. */
final class ZooShapesTest {
  static List<Path> zoo() {
    return TestData.zoo();
  }

  @ParameterizedTest
  @MethodSource("zoo")
  void everyValueIsKnown(Path file) {
    Model model = withoutDeclarations(file);
    ShapeTable table = infer(model);

    assertThat(table.unknowns()).isEmpty();
    assertThat(table.invalid()).isEmpty();
    assertThat(table.contradictions()).isEmpty();
    for (Value value : model.graph().values()) {
      assertThat(table.elementType(value)).as("%s", value).isNotEqualTo(DataType.UNDEFINED);
      assertThat(table.shape(value)).as("%s", value).isPresent();
      assertThat(table.shape(value).orElseThrow()).as("%s", value).allMatch(Dim::isNamed);
    }
  }

  @ParameterizedTest
  @MethodSource("zoo")
  void inferredShapesAreThoseThatTheExporterDeclares(Path file) {
    Model declared = OnnxReader.read(file);
    Model model = withoutDeclarations(file);
    ShapeTable table = infer(model);

    for (Node node : declared.graph().nodes()) {
      for (Value value : node.outputs()) {
        if (!(value.type().orElse(null) instanceof TensorType type) || type.dims().isEmpty()) {
          continue;
        }
        Value same = model.graph().value(value.name()).orElseThrow();
        List<Dim> inferred = table.shape(same).orElseThrow();
        for (int i = 0; i < inferred.size(); i++) {
          // TorchScript calls what it does not know after the node.
          if (type.dims().get().get(i) instanceof DeclaredDim.Named dim
              && !dim.name().contains("_dim_")) {
            assertThat(inferred.get(i)).as("%s", value).isEqualTo(Dim.parse(dim.name()));
          } else if (type.dims().get().get(i) instanceof DeclaredDim.Fixed dim) {
            assertThat(inferred.get(i)).as("%s", value).isEqualTo(Dim.of(dim.size()));
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("zoo")
  void aRunShowsWhatIsInferred(Path file) {
    Model model = withoutDeclarations(file);
    ShapeTable table = infer(model);
    Map<String, Tensor> inputs = inputs(model, file);
    Map<String, Long> sizes = sizes(model, table, inputs);
    List<String> names = new ArrayList<>();
    for (Node node : model.graph().nodes()) {
      node.outputs().stream().map(Value::name).filter(n -> !n.isEmpty()).forEach(names::add);
    }
    OrtOptions options =
        OrtOptions.DEFAULT.withOptimisation(OrtOptions.Optimisation.NONE).withFetch(names);

    Map<String, Tensor> actual;
    try (OrtRunner runner = OrtRunner.load(model, options)) {
      actual = runner.run(inputs);
    }

    for (String name : names) {
      Value value = model.graph().value(name).orElseThrow();
      Tensor tensor = Optional.ofNullable(actual.get(name)).orElseThrow();
      assertThat(table.elementType(value)).as(name).isEqualTo(tensor.type());
      assertThat(numbers(table.shape(value).orElseThrow(), sizes))
          .as(name)
          .isEqualTo(tensor.dims());
      if (table.elements(value).isPresent()) {
        assertThat(numbers(table.elements(value).get(), sizes))
            .as(name)
            .isEqualTo(tensor.longs().orElseThrow());
      }
      if (table.constant(value).isPresent()) {
        assertThat(table.constant(value).flatMap(Tensor::doubles))
            .as(name)
            .hasValueSatisfying(v -> assertThat(v).isEqualTo(tensor.doubles().orElseThrow()));
      }
    }
  }

  private static Model withoutDeclarations(Path file) {
    Model model = OnnxReader.read(file);
    for (Node node : model.graph().nodes()) {
      node.outputs().forEach(Value::clearType);
    }
    return model;
  }

  private static ShapeTable infer(Model model) {
    ExternalData external = ExternalData.of(model);
    return ShapeInference.infer(model, Map.of(), tensor -> Optional.of(external.load(tensor)));
  }

  private static Map<String, Tensor> inputs(Model model, Path file) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (Value input : model.graph().inputs()) {
      Path folder = file.resolveSibling("inputs");
      inputs.put(input.name(), TensorFiles.read(folder.resolve("input_" + inputs.size() + ".pb")));
    }
    return inputs;
  }

  private static Map<String, Long> sizes(
      Model model, ShapeTable table, Map<String, Tensor> inputs) {
    Map<String, Long> sizes = new LinkedHashMap<>();
    for (Value input : model.graph().inputs()) {
      List<Dim> dims = table.shape(input).orElseThrow();
      long[] actual = Optional.ofNullable(inputs.get(input.name())).orElseThrow().dims();
      for (int i = 0; i < actual.length; i++) {
        long size = actual[i];
        dims.get(i).symbols().forEach(symbol -> sizes.put(symbol, size));
      }
    }
    return sizes;
  }

  private static long[] numbers(List<Dim> dims, Map<String, Long> sizes) {
    return dims.stream().mapToLong(d -> d.evaluate(sizes).orElseThrow()).toArray();
  }
}
