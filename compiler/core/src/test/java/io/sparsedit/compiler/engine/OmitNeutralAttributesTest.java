package io.sparsedit.compiler.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import org.junit.jupiter.api.Test;

final class OmitNeutralAttributesTest {
  private final Graph graph = Graph.create("main");

  @Test
  void aScatterThatReplacesNeedNotSaySo() {
    Value scattered = scatter("none");
    assertThat(OmitNeutralAttributes.in(graph)).isEqualTo(1);
    assertThat(scattered.producer().orElseThrow().attributes()).isEmpty();
  }

  @Test
  void aScatterThatAddsKeepsItsAttribute() {
    Value scattered = scatter("add");
    assertThat(OmitNeutralAttributes.in(graph)).isZero();
    assertThat(scattered.producer().orElseThrow().stringAttribute("reduction", ""))
        .isEqualTo("add");
  }

  private Value scatter(String reduction) {
    Value data = graph.addInput("data", ValueType.TensorType.of(DataType.FLOAT, 4));
    Value indices = graph.addInput("indices", ValueType.TensorType.of(DataType.INT64, 1, 1));
    Value updates = graph.addInput("updates", ValueType.TensorType.of(DataType.FLOAT, 1));
    Value out = graph.append("ScatterND", data, indices, updates);
    out.producer().orElseThrow().setAttribute("reduction", reduction);
    return out;
  }
}
