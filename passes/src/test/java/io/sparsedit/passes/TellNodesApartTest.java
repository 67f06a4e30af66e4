package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ort.OrtRunner;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

final class TellNodesApartTest {
  @Test
  void nodesOfOneNameGetNamesOfTheirOwn() {
    Graph graph = Graph.create("twice");
    Value x = graph.addInput("x", ValueType.TensorType.of(DataType.FLOAT, 2));
    Value y = x;
    for (String name : List.of("neg", "neg", "neg_2", "", "neg", "")) {
      Node node = graph.addNode("", "Neg", name, List.of(y));
      y = node.addOutput(graph.freshName("y"));
    }
    y.setType(ValueType.TensorType.of(DataType.FLOAT, 2));
    graph.addOutput(y);
    Model model = new Model(graph, 10);
    model.opsets().put("", 17L);
    Map<String, Tensor> inputs = Map.of("x", Tensor.ofFloats(new long[] {2}, new float[] {1, 2}));
    assertThatThrownBy(() -> OrtRunner.run(model, inputs)).isInstanceOf(SparsifyException.class);

    int renamed =
        new TellNodesApart()
            .run(new Compilation(Path.of("twice.onnx"), model, CompileOptions.DEFAULT));

    assertThat(renamed).isEqualTo(2);
    assertThat(graph.nodes())
        .extracting(Node::name)
        .containsExactly("neg", "neg_3", "neg_2", "", "neg_4", "");
    assertThat(OrtRunner.run(model, inputs).values().iterator().next().doubles().orElseThrow())
        .containsExactly(1, 2);
  }
}
