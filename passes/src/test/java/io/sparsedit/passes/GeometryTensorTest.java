package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class GeometryTensorTest {
  private final Graph graph = Graph.create("geometry");
  private final Value video =
      graph.addInput(
          "video",
          new ValueType.TensorType(
              DataType.FLOAT,
              Optional.of(
                  List.of(
                      new DeclaredDim.Named("F"),
                      new DeclaredDim.Named("H"),
                      new DeclaredDim.Named("W")))));
  private final Node last;

  GeometryTensorTest() {
    // Every second row and column: [F, ceil(H/2), ceil(W/2)].
    Value halves =
        graph.append(
            "Slice",
            video,
            graph.addConstant("starts", Tensor.vector(0, 0)),
            graph.addConstant("ends", Tensor.vector(Long.MAX_VALUE, Long.MAX_VALUE)),
            graph.addConstant("axes", Tensor.vector(1, 2)),
            graph.addConstant("steps", Tensor.vector(2, 2)));
    last = graph.append("Neg", halves).producer().orElseThrow();
    graph.addOutput(last.output());
  }

  private ValueFacts facts() {
    return ShapeInference.infer(model());
  }

  private Model model() {
    Model model = new Model(graph, 8);
    model.opsets().put("", 17L);
    return model;
  }

  private int[] run(Value geometry, long... dims) {
    graph.addOutput(geometry);
    Model model = model();
    GraphVerifier.require(model);
    Tensor input = Tensor.ofFloats(dims, new float[(int) Tensor.elementCount(dims)]);
    Map<String, Tensor> outputs = OrtRunner.run(model, Map.of("video", input));
    long[] longs =
        Optional.ofNullable(outputs.get(geometry.name())).flatMap(Tensor::longs).orElseThrow();
    return new int[] {(int) longs[0], (int) longs[1], (int) longs[2]};
  }

  @Test
  void symbolicExtentsAreReadWhereTheyAre() {
    ValueFacts facts = facts();
    List<Dim> sizes = facts.shape(last.output()).orElseThrow();
    VideoGeometry extent = new VideoGeometry(sizes.get(0), sizes.get(1), sizes.get(2));

    assertThat(GeometryTensor.notComputable(extent, last, facts)).isEmpty();
    Value geometry = GeometryTensor.add(extent, last, facts);

    assertThat(run(geometry, 5, 7, 12)).containsExactly(5, 4, 6);
  }

  @Test
  void fixedExtentIsAConstant() {
    VideoGeometry extent = VideoGeometry.parse("2x3x4");

    Value geometry = GeometryTensor.add(extent, last, facts());

    assertThat(geometry.constant().orElseThrow().longs().orElseThrow()).containsExactly(2, 3, 4);
    assertThat(geometry.constant().orElseThrow().type()).isEqualTo(DataType.INT32);
  }

  @Test
  void someExtentsMayBeFixed() {
    ValueFacts facts = facts();
    Dim rows = facts.shape(last.output()).orElseThrow().get(1);

    Value geometry =
        GeometryTensor.add(new VideoGeometry(Dim.of(9), rows, Dim.symbol("W")), last, facts);

    assertThat(run(geometry, 5, 8, 12)).containsExactly(9, 4, 12);
  }

  @Test
  void sizeThatNoValueHasIsNamed() {
    VideoGeometry extent =
        new VideoGeometry(Dim.symbol("F"), Dim.symbol("H").times(3), Dim.symbol("W"));

    assertThat(GeometryTensor.notComputable(extent, last, facts())).hasToString("[3*H]");
  }
}
