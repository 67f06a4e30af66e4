package io.sparsedit.examples;

import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.sampling.Frames;
import java.awt.image.BufferedImage;

/**
 * A short RGB video.
 *
 * @param frames its frames, of three channels
 */
record Clip(Frames frames) {
  private static final int CHANNELS = 3;

  /**
   * The clip that a tensor of [1, 3, frames, height, width] in -1 to 1 shows; what is outside of
   * that range is cut off.
   *
   * @throws IllegalArgumentException if the tensor has another shape
   */
  static Clip of(Tensor tensor) {
    check(tensor);
    return new Clip(Frames.of(tensor, -1, 1));
  }

  /**
   * Checks that a tensor is shaped as a clip.
   *
   * @throws IllegalArgumentException if it is not
   */
  static void check(Tensor tensor) {
    long[] dims = tensor.dims();
    if (dims.length != 5 || dims[0] != 1 || dims[1] != CHANNELS) {
      throw new IllegalArgumentException(
          "the model makes " + tensor + ", not RGB video of [1, 3, frames, height, width]");
    }
  }

  /** How many frames it has. */
  int count() {
    return frames.count();
  }

  int height() {
    return frames.height();
  }

  int width() {
    return frames.width();
  }

  /**
   * The absolute difference, amplified.
   *
   * @throws IllegalArgumentException if the other clip has another size
   */
  Clip difference(Clip other, float gain) {
    return new Clip(frames.difference(other.frames, gain));
  }

  /** A frame, each pixel enlarged to a square. */
  BufferedImage image(int frame, int scale) {
    double[][] planes = {frames.plane(frame, 0), frames.plane(frame, 1), frames.plane(frame, 2)};
    BufferedImage image =
        new BufferedImage(width() * scale, height() * scale, BufferedImage.TYPE_INT_RGB);
    for (int y = 0; y < image.getHeight(); y++) {
      for (int x = 0; x < image.getWidth(); x++) {
        int rgb = 0;
        for (double[] plane : planes) {
          rgb = rgb << 8 | (int) Math.round(255 * plane[y / scale * width() + x / scale]);
        }
        image.setRGB(x, y, rgb);
      }
    }
    return image;
  }
}
