package io.sparsedit.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.List;
import org.junit.jupiter.api.Test;

final class TimesTest {
  @Test
  void quantilesLieBetweenTheNearestTimes() {
    Times times = new Times(List.of(40., 10., 30., 20.));

    assertThat(times.median()).isEqualTo(25);
    assertThat(times.quantile(0)).isEqualTo(10);
    assertThat(times.quantile(1)).isEqualTo(40);
    assertThat(times.quantile(.1)).isEqualTo(13);
    assertThat(new Times(List.of(7.)).quantile(.9)).isEqualTo(7);
  }

  @Test
  void withoutTimesThereIsNone() {
    assertThatIllegalArgumentException().isThrownBy(() -> new Times(List.of()));
  }
}
