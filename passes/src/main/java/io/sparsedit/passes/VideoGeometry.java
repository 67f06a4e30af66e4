package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.shape.Dim;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Extent of the video in tokens.
 *
 * <p>Tokens are in frame-major order: token = (frame * height + row) * width + column.
 *
 * @param frames latent frames
 * @param height token rows of a frame
 * @param width token columns of a frame
 */
public record VideoGeometry(Dim frames, Dim height, Dim width) {
  private static final Pattern SPELLING = Pattern.compile("([1-9]\\d*)x([1-9]\\d*)x([1-9]\\d*)");

  /** Number of video tokens. */
  public Dim tokens() {
    return frames.times(height).times(width);
  }

  /**
   * The geometry that a user spells as {@code 21x45x80}: frames, height, width.
   *
   * @throws SparsifyException if it is spelt otherwise
   */
  public static VideoGeometry parse(String spelling) {
    Matcher matcher = SPELLING.matcher(spelling);
    if (!matcher.matches()) {
      throw SparsifyException.usage(
          "--video takes FRAMESxHEIGHTxWIDTH in tokens, such as 21x45x80, not '" + spelling + "'");
    }
    try {
      return new VideoGeometry(
          Dim.of(Long.parseLong(matcher.group(1))),
          Dim.of(Long.parseLong(matcher.group(2))),
          Dim.of(Long.parseLong(matcher.group(3))));
    } catch (NumberFormatException e) {
      throw new SparsifyException(
          SparsifyException.Kind.USAGE, "--video " + spelling + ": a number is too large", e);
    }
  }

  @Override
  public String toString() {
    String times = tokens().isConstant() ? "x" : " x ";
    return frames + times + height + times + width;
  }
}
