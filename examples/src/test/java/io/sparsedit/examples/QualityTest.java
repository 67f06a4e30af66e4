package io.sparsedit.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.runtime.Tensor;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import org.junit.jupiter.api.Test;

final class QualityTest {
  /** A clip whose i-th value, from 0 to 1, is given; the tensor holds it from -1 to 1. */
  private static Clip clip(int frames, int height, int width, IntToDoubleFunction value) {
    float[] values = new float[3 * frames * height * width];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (2 * value.applyAsDouble(i) - 1);
    }
    return Clip.of(Tensor.ofFloats(new long[] {1, 3, frames, height, width}, values));
  }

  private static double pattern(int i) {
    return i * 37 % 101 / 100.0;
  }

  @Test
  void equalFramesAreInfinitelyNear() {
    Clip clip = clip(2, 12, 12, QualityTest::pattern);
    assertThat(Quality.ofFrames(clip, clip)).hasSize(2);
    Quality mean = Quality.mean(Quality.ofFrames(clip, clip));
    assertThat(mean.psnr()).isInfinite().isPositive();
    assertThat(mean.ssim()).isEqualTo(1);
  }

  @Test
  void constantFramesAreAsFarAsTheirMeans() {
    Quality quality = Quality.ofFrames(clip(1, 11, 11, i -> .5), clip(1, 11, 11, i -> .6)).get(0);
    assertThat(quality.psnr()).isCloseTo(20, within(1e-4));
    double c1 = .01 * .01;
    assertThat(quality.ssim()).isCloseTo((2 * .5 * .6 + c1) / (.25 + .36 + c1), within(1e-6));
  }

  /**
   * The reference is scikit-image 0.25: {@code peak_signal_noise_ratio}, and {@code
   * structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)}.
   */
  @Test
  void noiseIsMeasuredAsScikitImageDoes() {
    Clip reference = clip(1, 16, 20, QualityTest::pattern);
    Clip noisy =
        clip(1, 16, 20, i -> Math.max(0, Math.min(1, pattern(i) + (i * 53 % 29 - 14) / 200.0)));
    Quality quality = Quality.ofFrames(noisy, reference).get(0);
    assertThat(quality.psnr()).isCloseTo(27.724681248, within(1e-4));
    assertThat(quality.ssim()).isCloseTo(.989766877, within(1e-6));
  }

  @Test
  void meansAreOfFrames() {
    Quality mean = Quality.mean(List.of(new Quality(20, .5), new Quality(30, 1)));
    assertThat(mean).isEqualTo(new Quality(25, .75));
  }

  @Test
  void framesAreKeptApart() {
    Clip reference = clip(2, 11, 11, i -> .5);
    Clip second = clip(2, 11, 11, i -> i / 121 % 2 == 1 ? .6 : .5);
    List<Quality> frames = Quality.ofFrames(second, reference);
    assertThat(frames.get(0).psnr()).isInfinite();
    assertThat(frames.get(1).psnr()).isCloseTo(20, within(1e-4));
  }

  @Test
  void unlikeClipsAreRefused() {
    Clip clip = clip(1, 11, 11, i -> 0);
    assertThatThrownBy(() -> Quality.ofFrames(clip, clip(1, 11, 12, i -> 0)))
        .hasMessage("clips of different sizes");
    Clip small = clip(1, 10, 11, i -> 0);
    assertThatThrownBy(() -> Quality.ofFrames(small, small)).hasMessageContaining("11 x 11");
    assertThatThrownBy(() -> Clip.of(Tensor.ofFloats(new long[] {1, 1}, 0)))
        .hasMessageContaining("not RGB video");
  }
}
