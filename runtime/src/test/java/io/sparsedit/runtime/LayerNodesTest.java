package io.sparsedit.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import java.util.List;
import org.junit.jupiter.api.Test;

final class LayerNodesTest {
  private static final List<String> TIMES = List.of("0.25\tplan", "1.5\t__myl_Mul_1");

  @Test
  void layersOfAnEngineBuiltInDetailHaveTheirNodes() {
    LayerNodes nodes =
        LayerNodes.read(
            """
            {"Layers": [
              {"Name": "plan", "Metadata": "[ONNX Layer: blocks.0.plan]"},
              {"Name": "__myl_Mul_1", "LayerType": "kgen",
               "Metadata": "[ONNX Layer: /a/Mul]\\u001f[ONNX Layer: /a/Add_1]"},
              {"Name": "signal", "Metadata": ""}
            ], "Bindings": []}
            """);

    assertThat(nodes.times(TIMES))
        .containsExactly(
            new LayerTime("plan", List.of("blocks.0.plan"), .25),
            new LayerTime("__myl_Mul_1", List.of("/a/Mul", "/a/Add_1"), 1.5));
  }

  @Test
  void whatAnotherEngineTellsIsNoError() {
    for (String description : List.of("{\"Layers\": [\"plan\"]}", "{}", "none", "[1, 2]")) {
      assertThat(LayerNodes.read(description).times(TIMES))
          .extracting(LayerTime::layer, LayerTime::nodes)
          .containsExactly(tuple("plan", List.of()), tuple("__myl_Mul_1", List.of()));
    }
  }
}
