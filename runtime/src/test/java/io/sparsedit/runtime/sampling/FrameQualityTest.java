package io.sparsedit.runtime.sampling;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.runtime.Tensor;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import org.junit.jupiter.api.Test;

final class FrameQualityTest {
  /** A clip whose i-th value, from 0 to 1, is given; the tensor holds it from -1 to 1. */
  private static Frames clip(int frames, int height, int width, IntToDoubleFunction value) {
    float[] values = new float[3 * frames * height * width];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (2 * value.applyAsDouble(i) - 1);
    }
    return Frames.of(Tensor.ofFloats(new long[] {1, 3, frames, height, width}, values), -1, 1);
  }

  private static double pattern(int i) {
    return i * 37 % 101 / 100.0;
  }

  @Test
  void equalFramesAreInfinitelyNear() {
    Frames clip = clip(2, 12, 12, FrameQualityTest::pattern);
    assertThat(FrameQuality.ofFrames(clip, clip)).hasSize(2);
    FrameQuality mean = FrameQuality.mean(FrameQuality.ofFrames(clip, clip));
    assertThat(mean.psnr()).isInfinite().isPositive();
    assertThat(mean.ssim()).isEqualTo(1);
  }

  @Test
  void constantFramesAreAsFarAsTheirMeans() {
    FrameQuality quality =
        FrameQuality.ofFrames(clip(1, 11, 11, i -> .5), clip(1, 11, 11, i -> .6)).get(0);
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
    Frames reference = clip(1, 16, 20, FrameQualityTest::pattern);
    Frames noisy =
        clip(1, 16, 20, i -> Math.max(0, Math.min(1, pattern(i) + (i * 53 % 29 - 14) / 200.0)));
    FrameQuality quality = FrameQuality.ofFrames(noisy, reference).get(0);
    assertThat(quality.psnr()).isCloseTo(27.724681248, within(1e-4));
    assertThat(quality.ssim()).isCloseTo(.989766877, within(1e-6));
  }

  @Test
  void meansAreOfFrames() {
    FrameQuality mean =
        FrameQuality.mean(List.of(new FrameQuality(20, .5), new FrameQuality(30, 1)));
    assertThat(mean).isEqualTo(new FrameQuality(25, .75));
  }

  @Test
  void framesAreKeptApart() {
    Frames reference = clip(2, 11, 11, i -> .5);
    Frames second = clip(2, 11, 11, i -> i / 121 % 2 == 1 ? .6 : .5);
    List<FrameQuality> frames = FrameQuality.ofFrames(second, reference);
    assertThat(frames.get(0).psnr()).isInfinite();
    assertThat(frames.get(1).psnr()).isCloseTo(20, within(1e-4));
  }

  @Test
  void unlikeClipsAreRefused() {
    Frames clip = clip(1, 11, 11, i -> 0);
    assertThatThrownBy(() -> FrameQuality.ofFrames(clip, clip(1, 11, 12, i -> 0)))
        .hasMessage("clips of different sizes");
    Frames small = clip(1, 10, 11, i -> 0);
    assertThatThrownBy(() -> FrameQuality.ofFrames(small, small)).hasMessageContaining("11 x 11");
    assertThatThrownBy(() -> Frames.of(Tensor.ofFloats(new long[] {1, 1}, 0), -1, 1))
        .hasMessageContaining("is neither video");
  }
}
