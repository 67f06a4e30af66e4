package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.shape.Dim;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

final class AxisMapTest {
  private static final Dim S = Dim.symbol("S");
  private static final Dim B = Dim.symbol("B");

  private static List<Dim> dims(Object... sizes) {
    return Arrays.stream(sizes)
        .map(size -> size instanceof Integer number ? Dim.of(number) : (Dim) size)
        .toList();
  }

  @Test
  void axisThatStaysIsFound() {
    List<Dim> from = dims(B, S, 64);
    List<Dim> to = dims(B, S, 2, 32);

    assertThat(AxisMap.same(from, to, 0)).isEqualTo(OptionalInt.of(0));
    assertThat(AxisMap.same(from, to, 1)).isEqualTo(OptionalInt.of(1));
    assertThat(AxisMap.same(from, to, 2)).isEmpty();
  }

  /** [6,4] to [2,3,4]: the second 4 is the first, the 3 is not. */
  @Test
  void axisOfTheSameSizeElsewhereIsNotTheSame() {
    assertThat(AxisMap.same(dims(3, 8), dims(2, 4, 3), 2)).isEmpty();
    assertThat(AxisMap.same(dims(6, 4), dims(2, 3, 4), 2)).isEqualTo(OptionalInt.of(1));
  }

  @Test
  void joinedAxesAreFound() {
    assertThat(AxisMap.joined(dims(B, 4, 8, 6, 64), dims(B, 192, 64), 1))
        .isEqualTo(Optional.of(new AxisMap.Group(1, 4)));
    assertThat(AxisMap.joined(dims(B, S, 2, 32), dims(B, S, 64), 2))
        .isEqualTo(Optional.of(new AxisMap.Group(2, 4)));
    assertThat(AxisMap.joined(dims(B, S, 64), dims(B, S, 64), 1)).isEmpty();
  }

  @Test
  void axisThatIsSplitIsFound() {
    assertThat(AxisMap.splitFrom(dims(B, S, 64), dims(B, S, 2, 32), 2))
        .isEqualTo(OptionalInt.of(2));
    assertThat(AxisMap.splitFrom(dims(B, S, 64), dims(B, S, 2, 32), 3))
        .isEqualTo(OptionalInt.of(2));
    assertThat(AxisMap.splitFrom(dims(B, S, 64), dims(B, S, 2, 32), 1)).isEmpty();
  }

  /** An exporter that traced 192 tokens may have written the number. */
  @Test
  void sizesThatMayBeBakedInArePossiblyTheSame() {
    assertThat(AxisMap.same(dims(B, S, 64), dims(B, 192, 2, 32), 1)).isEmpty();
    assertThat(AxisMap.possiblySame(dims(B, S, 64), dims(B, 192, 2, 32), 1))
        .isEqualTo(OptionalInt.of(1));
    assertThat(AxisMap.mayEqual(S, B)).isFalse();
    assertThat(AxisMap.mayEqual(S, Dim.of(7))).isTrue();
    assertThat(AxisMap.mayEqual(Dim.of(7), Dim.of(8))).isFalse();
  }
}
