package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class SiteScheduleTest {
  /** As the runtime counts them: in binary, .29 of 100 and .58 of 50 fall short. */
  @Test
  void warmUpsAreCountedInDecimal() {
    assertThat(SiteSchedule.denseSteps(0.29, 100)).isEqualTo(29);
    assertThat(SiteSchedule.denseSteps(0.58, 50)).isEqualTo(29);
    assertThat(SiteSchedule.denseSteps(0.25, 30)).isEqualTo(7);
    assertThat(SiteSchedule.denseSteps(0, 50)).isZero();
  }
}
