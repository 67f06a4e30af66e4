package io.sparsedit.runtime.sampling;

import io.sparsedit.runtime.Tensor;

/** Frames of one or more channels with values from 0 to 1, as metrics and pictures take them. */
public final class Frames {
  private final int channels;
  private final int count;
  private final int height;
  private final int width;

  /** Channel, frame, row, column, as the model has them. */
  private final float[] values;

  private Frames(int channels, int count, int height, int width, float[] values) {
    this.channels = channels;
    this.count = count;
    this.height = height;
    this.width = width;
    this.values = values;
  }

  /**
   * Whether a tensor is a video [1, channels, frames, height, width] or an image [1, channels,
   * height, width].
   */
  public static boolean fits(Tensor tensor) {
    return (tensor.rank() == 4 || tensor.rank() == 5) && tensor.dims()[0] == 1;
  }

  /**
   * The frames of a video [1, channels, frames, height, width] or an image [1, channels, height,
   * width].
   *
   * @param low what becomes 0; what is below is cut off
   * @param high what becomes 1; what is above is cut off
   * @throws IllegalArgumentException if the tensor has another shape
   */
  public static Frames of(Tensor tensor, double low, double high) {
    if (!fits(tensor)) {
      throw new IllegalArgumentException(
          tensor
              + " is neither video [1, channels, frames, height, width] nor an image"
              + " [1, channels, height, width]");
    }
    long[] dims = tensor.dims();
    int last = dims.length - 1;
    float[] values = tensor.toFloats();
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) Math.max(0, Math.min(1, (values[i] - low) / (high - low)));
    }
    return new Frames(
        (int) dims[1],
        dims.length == 5 ? (int) dims[2] : 1,
        (int) dims[last - 1],
        (int) dims[last],
        values);
  }

  /** Number of channels. */
  public int channels() {
    return channels;
  }

  /** Number of frames. */
  public int count() {
    return count;
  }

  /** Rows of a frame. */
  public int height() {
    return height;
  }

  /** Columns of a frame. */
  public int width() {
    return width;
  }

  /** One channel of a frame, row by row. */
  public double[] plane(int frame, int channel) {
    double[] plane = new double[height * width];
    for (int i = 0; i < plane.length; i++) {
      plane[i] = values[(channel * count + frame) * plane.length + i];
    }
    return plane;
  }

  /**
   * The absolute difference, amplified and cut off at 1.
   *
   * @throws IllegalArgumentException if the other frames have another size
   */
  public Frames difference(Frames other, float gain) {
    checkSameSize(other);
    float[] out = new float[values.length];
    for (int i = 0; i < out.length; i++) {
      out[i] = Math.min(1, gain * Math.abs(values[i] - other.values[i]));
    }
    return new Frames(channels, count, height, width, out);
  }

  void checkSameSize(Frames other) {
    if (channels != other.channels
        || count != other.count
        || height != other.height
        || width != other.width) {
      throw new IllegalArgumentException("clips of different sizes");
    }
  }
}
