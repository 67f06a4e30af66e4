package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Time and memory of the attention at 4 heads x 4,096 tokens x 64 fall with density. */
class AttentionCostTest {
  /** The scores of one head, all of them, in f32. */
  private static final double ALL_SCORES_MB = 4096.0 * 4096 * 4 / 1e6;

  @Test
  void timeAndMemoryFallWithDensity() throws IOException {
    assumeThat(Files.exists(Path.of("/proc/self/status"))).isTrue();
    ProcessCost eighth = AttentionCost.measure(ActionCode.PLAN_SPARSE, 8);
    ProcessCost half = AttentionCost.measure(ActionCode.PLAN_SPARSE, 32);
    ProcessCost all = AttentionCost.measure(ActionCode.PLAN_SPARSE, 64);
    ProcessCost dense = AttentionCost.measure(ActionCode.DENSE, 64);
    String measured = "1/8: %s, 1/2: %s, all: %s, dense: %s".formatted(eighth, half, all, dense);

    assertThat(eighth.milliseconds()).as(measured).isLessThan(.7 * all.milliseconds());
    assertThat(half.addedMb()).as(measured).isLessThan(all.addedMb() - 2);
    assertThat(eighth.addedMb()).as(measured).isLessThan(half.addedMb() - 2);
    assertThat(eighth.addedMb()).as(measured).isLessThan(.6 * dense.addedMb());
    // Nothing of the size of S x S is held, be it for one head.
    assertThat(all.addedMb()).as(measured).isLessThan(ALL_SCORES_MB);
  }
}
