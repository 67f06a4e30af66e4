package io.sparsedit.runtime.sampling;

import java.util.List;
import java.util.stream.IntStream;

/**
 * How near a frame is to a reference frame.
 *
 * @param psnr peak signal-to-noise ratio in dB over all channels, the peak being 1; infinite where
 *     both are equal
 * @param ssim structural similarity with a Gaussian window of 11 x 11 (sigma 1.5), K1 = .01, K2 =
 *     .03, of each channel on its own and then their mean; windows lie within the frame
 */
public record FrameQuality(double psnr, double ssim) {
  /** Rows and columns of the window of SSIM. */
  public static final int WINDOW = 11;

  private static final double SIGMA = 1.5;
  private static final double C1 = .01 * .01;
  private static final double C2 = .03 * .03;
  private static final double[] GAUSSIAN = gaussian();

  /**
   * The quality of each frame.
   *
   * @throws IllegalArgumentException if the clips differ in size, or are smaller than the window
   */
  public static List<FrameQuality> ofFrames(Frames clip, Frames reference) {
    clip.checkSameSize(reference);
    if (clip.height() < WINDOW || clip.width() < WINDOW) {
      throw new IllegalArgumentException("SSIM needs frames of at least 11 x 11 pixels");
    }
    return IntStream.range(0, clip.count()).mapToObj(i -> ofFrame(clip, reference, i)).toList();
  }

  /** Mean PSNR and mean SSIM. */
  public static FrameQuality mean(List<FrameQuality> frames) {
    return new FrameQuality(
        frames.stream().mapToDouble(FrameQuality::psnr).average().orElseThrow(),
        frames.stream().mapToDouble(FrameQuality::ssim).average().orElseThrow());
  }

  private static FrameQuality ofFrame(Frames clip, Frames reference, int frame) {
    double squares = 0;
    double ssim = 0;
    for (int channel = 0; channel < reference.channels(); channel++) {
      double[] x = clip.plane(frame, channel);
      double[] y = reference.plane(frame, channel);
      for (int i = 0; i < x.length; i++) {
        squares += (x[i] - y[i]) * (x[i] - y[i]);
      }
      ssim += ssim(x, y, clip.width());
    }
    double meanSquare = squares / (reference.channels() * clip.height() * clip.width());
    return new FrameQuality(-10 * Math.log10(meanSquare), ssim / reference.channels());
  }

  private static double ssim(double[] x, double[] y, int width) {
    double[] meanX = blur(x, width);
    double[] meanY = blur(y, width);
    double[] squareX = blur(product(x, x), width);
    double[] squareY = blur(product(y, y), width);
    double[] cross = blur(product(x, y), width);
    double sum = 0;
    for (int i = 0; i < meanX.length; i++) {
      double varianceX = squareX[i] - meanX[i] * meanX[i];
      double varianceY = squareY[i] - meanY[i] * meanY[i];
      double covariance = cross[i] - meanX[i] * meanY[i];
      sum +=
          (2 * meanX[i] * meanY[i] + C1)
              * (2 * covariance + C2)
              / ((meanX[i] * meanX[i] + meanY[i] * meanY[i] + C1) * (varianceX + varianceY + C2));
    }
    return sum / meanX.length;
  }

  private static double[] product(double[] x, double[] y) {
    return IntStream.range(0, x.length).mapToDouble(i -> x[i] * y[i]).toArray();
  }

  /** Weighted means over all windows that lie within the plane: along rows, then along columns. */
  private static double[] blur(double[] plane, int width) {
    int height = plane.length / width;
    int outWidth = width - WINDOW + 1;
    int outHeight = height - WINDOW + 1;
    double[] rows = new double[height * outWidth];
    double[] out = new double[outHeight * outWidth];
    for (int i = 0; i < rows.length; i++) {
      for (int k = 0; k < WINDOW; k++) {
        rows[i] += GAUSSIAN[k] * plane[i / outWidth * width + i % outWidth + k];
      }
    }
    for (int i = 0; i < out.length; i++) {
      for (int k = 0; k < WINDOW; k++) {
        out[i] += GAUSSIAN[k] * rows[i + k * outWidth];
      }
    }
    return out;
  }

  private static double[] gaussian() {
    double[] weights =
        IntStream.range(0, WINDOW)
            .mapToDouble(i -> Math.exp(-Math.pow(i - WINDOW / 2, 2) / (2 * SIGMA * SIGMA)))
            .toArray();
    double sum = IntStream.range(0, WINDOW).mapToDouble(i -> weights[i]).sum();
    return IntStream.range(0, WINDOW).mapToDouble(i -> weights[i] / sum).toArray();
  }
}
