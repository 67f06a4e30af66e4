package io.sparsedit.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.cli.bench.BenchReport.Memory;
import org.junit.jupiter.api.Test;

/** GPU memory, which is told by what was free before and after. */
final class MemoryTest {
  @Test
  void differencesThatCanBeRightAreTold() {
    assertThat(Memory.ofDifferences(2, 3)).contains(new Memory(2, 3));
  }

  /** Another program gave back 5 GB while a model of 2 was loaded. */
  @Test
  void differencesThatCannotBeRightAreNot() {
    assertThat(Memory.ofDifferences(-3_000_000_000L, 9_000_000_000L)).isEmpty();
    assertThat(Memory.ofDifferences(2_000_000_000L, -1)).isEmpty();
    assertThat(Memory.ofDifferences(2_000_000_000L, 0)).isEmpty();
  }

  @Test
  void aCpuHasNone() {
    assertThat(Memory.ofDifferences(0, 0)).isEmpty();
  }
}
