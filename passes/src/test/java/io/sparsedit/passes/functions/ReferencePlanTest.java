package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.passes.functions.ReferencePlan.Choice;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class ReferencePlanTest {
  private static final int BLOCK = 8;
  private static final Golden PLANTED = Golden.read("adaspa_planted");

  private static ReferencePlan call(Golden golden, float density, Choice choice, int seed) {
    TextPosition text =
        switch ((int) golden.setting("position")) {
          case 1 -> TextPosition.FIRST;
          case 2 -> TextPosition.LAST;
          default -> TextPosition.NONE;
        };
    return new ReferencePlan(
        0, Layout.BHSD, (float) golden.setting("scale"), BLOCK, density, choice, seed, text, false);
  }

  private static Map<String, Tensor> plan(Golden golden, ReferencePlan call, ActionCode action) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put(SparseOps.Q, golden.atStep("q", 0));
    inputs.put(SparseOps.K, golden.atStep("k", 0));
    inputs.put(SparseOps.GEOMETRY, golden.geometry());
    inputs.put(SparseOps.ACTION, TestTensors.action(action.code()));
    try (OneOp op = OneOp.load(call)) {
      return op.run(inputs).tensors();
    }
  }

  private static double measured(Golden golden, ReferencePlan call, String what) {
    MeasurePlan measure =
        new MeasurePlan(0, Layout.BHSD, call.scale(), 1_000_000, call.text(), false);
    Map<String, Tensor> inputs = new HashMap<>(plan(golden, call, ActionCode.PLAN_SPARSE));
    inputs.put(SparseOps.Q, golden.atStep("q", 0));
    inputs.put(SparseOps.K, golden.atStep("k", 0));
    inputs.put(SparseOps.GEOMETRY, golden.geometry());
    inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.PLAN_SPARSE.code()));
    inputs.keySet().retainAll(measure.inputs());
    try (OneOp op = OneOp.load(measure)) {
      float[] ofHeads = TestTensors.floats(op.run(inputs).get(what));
      return IntStream.range(0, ofHeads.length)
          .mapToDouble(i -> ofHeads[i])
          .average()
          .orElseThrow();
    }
  }

  @ParameterizedTest
  @EnumSource(Choice.class)
  void densityIsMet(Choice choice) {
    for (float density : new float[] {.2f, .5f}) {
      assertThat(measured(PLANTED, call(PLANTED, density, choice, 0), MeasurePlan.DENSITY))
          .isCloseTo(density, within(.06));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "adaspa_planted, MOST_MASS",
    "text_first, RANDOM",
    "text_last, MOST_MASS",
    "batch, RANDOM"
  })
  void allIsKeptAtDensityOneAndOnDenseSteps(String name, Choice choice) {
    Golden golden = Golden.read(name);
    ReferencePlan all = call(golden, 1, choice, 0);
    assertThat(measured(golden, all, MeasurePlan.DENSITY)).isCloseTo(1, within(1e-6));
    assertThat(measured(golden, all, MeasurePlan.RECALL)).isCloseTo(1, within(1e-5));
    Map<String, Tensor> dense = plan(golden, call(golden, .1f, choice, 0), ActionCode.DENSE);
    assertThat(TestTensors.density(tensor -> dense.get(tensor))).isCloseTo(1, within(1e-6));
  }

  /** Every choice of as many blocks has less mass: random ones far less. */
  @Test
  void theMostMassiveBlocksAreFound() {
    double best = measured(PLANTED, call(PLANTED, .2f, Choice.MOST_MASS, 0), MeasurePlan.RECALL);
    double sum = 0;
    for (int seed = 0; seed < 5; seed++) {
      double random =
          measured(PLANTED, call(PLANTED, .2f, Choice.RANDOM, seed), MeasurePlan.RECALL);
      assertThat(random).isLessThan(best - .1);
      sum += random;
    }
    // Random blocks keep as much of the mass as of the pairs.
    assertThat(sum / 5).isCloseTo(.2, within(.1));
  }

  @Test
  void seedsAndSitesChooseOtherBlocks() {
    int[] first = keep(call(PLANTED, .3f, Choice.RANDOM, 0));
    assertThat(keep(call(PLANTED, .3f, Choice.RANDOM, 0))).isEqualTo(first);
    assertThat(Arrays.equals(keep(call(PLANTED, .3f, Choice.RANDOM, 1)), first)).isFalse();
  }

  private static int[] keep(ReferencePlan call) {
    Tensor keep = plan(PLANTED, call, ActionCode.PLAN_SPARSE).get(SparseOps.KEEP);
    return TestTensors.ints(java.util.Objects.requireNonNull(keep));
  }

  @Test
  void badSettingsAreRefused() {
    assertThatThrownBy(() -> call(PLANTED, 0, Choice.RANDOM, 0)).hasMessageContaining("above 0");
  }
}
