package io.sparsedit.examples;

import io.sparsedit.runtime.Tensor;
import java.awt.image.BufferedImage;

/** A short video: RGB frames of values from 0 to 1. Immutable. */
final class Clip {
  static final int CHANNELS = 3;

  private final int frames;
  private final int height;
  private final int width;

  /** Channel, frame, row, column, as the model has them. */
  private final float[] values;

  private Clip(int frames, int height, int width, float[] values) {
    this.frames = frames;
    this.height = height;
    this.width = width;
    this.values = values;
  }

  /**
   * The clip that a tensor of [1, 3, frames, height, width] in -1 to 1 shows; what is outside of
   * that range is cut off.
   *
   * @throws IllegalArgumentException if the tensor has another shape
   */
  static Clip of(Tensor tensor) {
    check(tensor);
    long[] dims = tensor.dims();
    float[] values = tensor.toFloats();
    for (int i = 0; i < values.length; i++) {
      values[i] = clamp((values[i] + 1) / 2);
    }
    return new Clip((int) dims[2], (int) dims[3], (int) dims[4], values);
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

  int frames() {
    return frames;
  }

  int height() {
    return height;
  }

  int width() {
    return width;
  }

  /** One channel of a frame, row by row. */
  double[] plane(int frame, int channel) {
    double[] plane = new double[height * width];
    for (int i = 0; i < plane.length; i++) {
      plane[i] = values[(channel * frames + frame) * plane.length + i];
    }
    return plane;
  }

  /**
   * The absolute difference, amplified.
   *
   * @throws IllegalArgumentException if the other clip has another size
   */
  Clip difference(Clip other, float gain) {
    checkSameSize(other);
    float[] out = new float[values.length];
    for (int i = 0; i < out.length; i++) {
      out[i] = clamp(gain * Math.abs(values[i] - other.values[i]));
    }
    return new Clip(frames, height, width, out);
  }

  void checkSameSize(Clip other) {
    if (frames != other.frames || height != other.height || width != other.width) {
      throw new IllegalArgumentException("clips of different sizes");
    }
  }

  /** A frame, each pixel enlarged to a square. */
  BufferedImage image(int frame, int scale) {
    double[][] planes = {plane(frame, 0), plane(frame, 1), plane(frame, 2)};
    BufferedImage image =
        new BufferedImage(width * scale, height * scale, BufferedImage.TYPE_INT_RGB);
    for (int y = 0; y < image.getHeight(); y++) {
      for (int x = 0; x < image.getWidth(); x++) {
        int rgb = 0;
        for (double[] plane : planes) {
          rgb = rgb << 8 | (int) Math.round(255 * plane[y / scale * width + x / scale]);
        }
        image.setRGB(x, y, rgb);
      }
    }
    return image;
  }

  private static float clamp(float value) {
    return Math.max(0, Math.min(1, value));
  }
}
