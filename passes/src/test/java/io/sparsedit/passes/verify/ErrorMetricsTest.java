package io.sparsedit.passes.verify;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

final class ErrorMetricsTest {
  @Test
  void equalTensorsHaveNoError() {
    ErrorMetrics error = ErrorMetrics.of(new double[] {1, -2, 0}, new double[] {1, -2, 0});

    assertThat(error.maxError()).isZero();
    assertThat(error.relativeL1()).isZero();
    assertThat(error.cosine()).isCloseTo(1, within(1e-12));
    assertThat(error.psnr()).isInfinite();
    assertThat(error.isWithin(0)).isTrue();
  }

  @Test
  void numbersAreThoseOfTheDefinition() {
    ErrorMetrics error = ErrorMetrics.of(new double[] {1.5, -4, 0, 2}, new double[] {1, -4, 1, 2});

    assertThat(error.maxError()).isEqualTo(1);
    assertThat(error.meanError()).isEqualTo(1.5 / 4);
    assertThat(error.normalizedMax()).isEqualTo(1.0 / 4);
    assertThat(error.relativeL1()).isEqualTo(1.5 / 8);
    assertThat(error.cosine())
        .isCloseTo(21.5 / Math.sqrt((2.25 + 16 + 4) * (1 + 16 + 1 + 4)), within(1e-12));
    // Range 6, mean square 1.25 / 4.
    assertThat(error.psnr()).isCloseTo(10 * Math.log10(36 / 0.3125), within(1e-12));
    assertThat(error.isWithin(0.2)).isFalse();
    assertThat(error.isWithin(0.25)).isTrue();
  }

  @Test
  void notANumberNeverPasses() {
    ErrorMetrics error = ErrorMetrics.of(new double[] {Double.NaN, 1}, new double[] {0, 1});

    assertThat(error.finite()).isFalse();
    assertThat(error.isWithin(1e9)).isFalse();
  }

  @Test
  void infinityWhereTheReferenceHasItIsNoError() {
    double inf = Double.NEGATIVE_INFINITY;
    ErrorMetrics error = ErrorMetrics.of(new double[] {inf, 1}, new double[] {inf, 1});

    assertThat(error.isWithin(0)).isTrue();
  }

  @Test
  void zerosAgainstZerosAreEqual() {
    ErrorMetrics error = ErrorMetrics.of(new double[3], new double[3]);

    assertThat(error.cosine()).isEqualTo(1);
    assertThat(error.relativeL1()).isZero();
  }
}
