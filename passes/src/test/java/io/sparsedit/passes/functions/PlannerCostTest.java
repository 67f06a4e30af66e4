package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Time and memory of the planners at 4 heads x 4,096 tokens x 64. */
class PlannerCostTest {
  /** The scores of one head, all of them, in f32. */
  private static final double ALL_SCORES_MB = 4096.0 * 4096 * 4 / 1e6;

  @Test
  void adaSpaNeverHoldsTheScoresOfAllHeads() throws IOException {
    assumeThat(Files.exists(Path.of("/proc/self/status"))).isTrue();
    ProcessCost cold = PlannerCost.measure(AdaSpaPlan.OP_TYPE, ActionCode.PLAN_SPARSE.cold());
    ProcessCost warm = PlannerCost.measure(AdaSpaPlan.OP_TYPE, ActionCode.PLAN_SPARSE.code());
    for (ProcessCost cost : List.of(cold, warm)) {
      assertThat(cost.addedMb()).as(cost.toString()).isLessThan(3 * ALL_SCORES_MB);
      assertThat(cost.milliseconds()).as(cost.toString()).isLessThan(5000);
    }
  }

  /** Sampled rows against all keys, three times over, is little. */
  @Test
  void svgReadsSampledRows() throws IOException {
    assumeThat(Files.exists(Path.of("/proc/self/status"))).isTrue();
    ProcessCost cost = PlannerCost.measure(SvgPlan.OP_TYPE, ActionCode.PLAN_SPARSE.code());
    assertThat(cost.addedMb()).as(cost.toString()).isLessThan(ALL_SCORES_MB);
    assertThat(cost.milliseconds()).as(cost.toString()).isLessThan(1000);
  }
}
