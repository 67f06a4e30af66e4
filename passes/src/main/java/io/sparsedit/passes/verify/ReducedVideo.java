package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.Tensor;

/**
 * The tokens that a site is checked at on its own: its own, or fewer where it has too many.
 *
 * @param frames frames
 * @param height token rows
 * @param width token columns
 * @param text text tokens
 */
record ReducedVideo(int frames, int height, int width, int text) {
  /** What a site of symbolic size is checked at. */
  static final ReducedVideo DEFAULT = new ReducedVideo(8, 16, 16, 0);

  private static final int MAX_VIDEO = 2048;
  private static final int MAX_TEXT = 128;

  /** A video that halves its largest extent until it is small enough. */
  static ReducedVideo of(long frames, long height, long width, long text) {
    long f = frames;
    long h = height;
    long w = width;
    while (f * h * w > MAX_VIDEO) {
      if (f >= h && f >= w) {
        f = (f + 1) / 2;
      } else if (h >= w) {
        h = (h + 1) / 2;
      } else {
        w = (w + 1) / 2;
      }
    }
    return new ReducedVideo((int) f, (int) h, (int) w, (int) Math.min(text, MAX_TEXT));
  }

  ReducedVideo withText(int tokens) {
    return new ReducedVideo(frames, height, width, tokens);
  }

  int video() {
    return frames * height * width;
  }

  int tokens() {
    return video() + text;
  }

  /** I32 [3]. */
  Tensor geometry() {
    return Tensor.ofInts(new long[] {3}, frames, height, width);
  }
}
