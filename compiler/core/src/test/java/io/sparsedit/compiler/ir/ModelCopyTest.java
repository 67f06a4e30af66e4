package io.sparsedit.compiler.ir;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.onnx.OnnxReader;
import org.junit.jupiter.api.Test;

class ModelCopyTest {
  @Test
  void changesToACopyDoNotReachTheOriginal() {
    Model model = OnnxReader.read(TestData.model("wan21_t2v-ts17-static"));
    String before = GraphPrinter.print(model);

    Model copy = ModelCopy.of(model);
    assertThat(GraphPrinter.print(copy)).isEqualTo(before);
    assertThat(GraphVerifier.problems(copy)).isEmpty();
    Graph graph = copy.graph();
    graph.setOutput(0, graph.inputs().get(0));
    graph.inputs().get(0).rename("renamed");
    graph.removeDeadNodes();
    copy.metadata().put("key", "value");

    assertThat(graph.nodeCount()).isZero();
    assertThat(GraphPrinter.print(model)).isEqualTo(before);
    assertThat(GraphVerifier.problems(model)).isEmpty();
    assertThat(model.metadata()).doesNotContainKey("key");
  }
}
