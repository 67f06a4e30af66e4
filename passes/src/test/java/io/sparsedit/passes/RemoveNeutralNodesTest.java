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
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;

final class RemoveNeutralNodesTest {
  private final Graph graph = Graph.create("neutral");
  private final Value x =
      graph.addInput(
          "x",
          new ValueType.TensorType(
              DataType.FLOAT,
              Optional.of(List.of(new DeclaredDim.Named("S"), new DeclaredDim.Fixed(4)))));

  /** Add(x, Mul(ConstantOfShape(Shape(x)), 0)) becomes x. */
  @Test
  void removesMaskOfZerosWhateverItsSize() {
    Value ones = graph.append("ConstantOfShape", graph.append("Shape", x));
    Value zeros = graph.append("Mul", ones, graph.addConstant("beta", Tensor.scalar(0f)));
    Value sum = graph.append("Add", x, zeros);

    assertThat(operatorsAfter(graph.append("Relu", sum))).containsExactly("Relu");
  }

  @Test
  void removesCastsToTheSameType() {
    Node cast = graph.addNode("", "Cast", "", List.of(x));
    cast.setAttribute("to", DataType.FLOAT.code());

    assertThat(operatorsAfter(graph.append("Relu", cast.addOutput("y")))).containsExactly("Relu");
  }

  @Test
  void removesRepetitionsOfOnce() {
    Value once = graph.append("Tile", x, graph.addConstant("once", Tensor.vector(1, 1)));
    Value twice = graph.append("Tile", once, graph.addConstant("twice", Tensor.vector(1, 2)));

    assertThat(operatorsAfter(twice)).containsExactly("Tile");
  }

  @Test
  void keepsWhatChangesElementsOrTheirType() {
    Node cast = graph.addNode("", "Cast", "", List.of(x));
    cast.setAttribute("to", DataType.FLOAT16.code());
    Value half = cast.addOutput("half");
    Value sum = graph.append("Add", half, graph.append("Identity", half));

    assertThat(operatorsAfter(sum)).containsExactly("Cast", "Add");
  }

  /** [S,4] + zeros [3,1,4] is [3,S,4]. */
  @Test
  void keepsZerosThatBroadcast() {
    Value zeros = graph.addConstant("zeros", Tensor.ofFloats(new long[] {3, 1, 1}, 0, 0, 0));

    assertThat(operatorsAfter(graph.append("Relu", graph.append("Add", x, zeros))))
        .containsExactly("Add", "Relu");
  }

  private List<String> operatorsAfter(Value output) {
    graph.addOutput(output);
    Model model = new Model(graph, 8);
    model.opsets().put("", 17L);
    new RemoveNeutralNodes()
        .run(new Compilation(Path.of("test.onnx"), model, CompileOptions.DEFAULT));
    GraphVerifier.require(model);
    return StreamSupport.stream(graph.nodes().spliterator(), false).map(Node::opType).toList();
  }
}
