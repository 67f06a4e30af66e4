package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class Svg2PlanTest {
  @ParameterizedTest
  @ValueSource(strings = {"planted", "batch", "text_first", "text_last", "many_clusters", "random"})
  void makesTheGoldenPlan(String name) {
    Golden golden = Golden.read(name);
    Svg2Plan call = golden.svg2(Layout.BHSD, false);
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put("q", golden.atStep("q", 0));
    inputs.put("k", golden.atStep("k", 0));
    inputs.put("geometry", golden.geometry());
    inputs.put("q_centroids", TestTensors.zeros(golden.tensor("q_centroids").dims()));
    inputs.put("k_centroids", TestTensors.zeros(golden.tensor("k_centroids").dims()));
    inputs.put("action", TestTensors.action(ActionCode.PLAN_SPARSE.cold()));
    try (OneOp op = OneOp.load(call)) {
      OneOp.Outputs outputs = op.run(inputs);
      for (String tensor : Planner.PLAN) {
        assertThat(TestTensors.ints(outputs.get(tensor)))
            .as(tensor)
            .containsExactly(TestTensors.ints(golden.tensor(tensor)));
      }
      assertThat(
              TestTensors.relativeL1(outputs.get("next_q_centroids"), golden.tensor("q_centroids")))
          .isLessThan(1e-6);
    }
  }
}
