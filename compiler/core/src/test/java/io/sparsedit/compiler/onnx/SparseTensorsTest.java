package io.sparsedit.compiler.onnx;

import static org.assertj.core.api.Assertions.assertThat;

import ai.onnx.proto.OnnxMl.AttributeProto.AttributeType;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.SparseTensorProto;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ShapeTable;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Sparse weights are written back as they came, and have the shape of what they stand for. */
final class SparseTensorsTest {
  private static SparseTensorProto.Builder sparse(String name, long rows, long columns) {
    return SparseTensorProto.newBuilder()
        .setValues(Protos.tensor(name, DataType.FLOAT, 1).addFloatData(3))
        .setIndices(Protos.tensor("", DataType.INT64, 1).addInt64Data(1))
        .addDims(rows)
        .addDims(columns);
  }

  @Test
  void theirShapesAreKnown() throws IOException {
    GraphProto.Builder graph =
        GraphProto.newBuilder()
            .setName("g")
            .addInput(Protos.value("x", DataType.FLOAT, 2, 3))
            .addSparseInitializer(sparse("w", 3, 4))
            .addNode(
                Protos.node("Constant", "", "c")
                    .addAttribute(
                        Protos.attribute("sparse_value", AttributeType.SPARSE_TENSOR)
                            .setSparseTensor(sparse("", 4, 5))))
            .addNode(Protos.node("MatMul", "x,w", "y"))
            .addNode(Protos.node("MatMul", "y,c", "z"))
            .addOutput(Protos.value("z", DataType.FLOAT, 2, 5));
    ModelProto original = Protos.model(graph).build();

    Model model = OnnxReader.fromBytes(original.toByteArray(), "m");
    ShapeTable shapes = ShapeInference.infer(model);

    assertThat(shapes.unknowns()).isEmpty();
    assertThat(shapes.shape(model.graph().value("y").orElseThrow()))
        .contains(List.of(Dim.of(2), Dim.of(4)));
    assertThat(shapes.shape(model.graph().value("z").orElseThrow()))
        .contains(List.of(Dim.of(2), Dim.of(5)));
    GraphProto written = ModelProto.parseFrom(OnnxWriter.toBytes(model)).getGraph();
    assertThat(written.getSparseInitializerList())
        .isEqualTo(original.getGraph().getSparseInitializerList());
    assertThat(written.getNodeList()).isEqualTo(original.getGraph().getNodeList());
  }
}
