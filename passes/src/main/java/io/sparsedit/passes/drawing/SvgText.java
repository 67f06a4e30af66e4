package io.sparsedit.passes.drawing;

import java.util.ArrayList;
import java.util.List;

/**
 * Text of a known width: a fixed-pitch font, measured in columns. Each line is drawn with its
 * width, so that it fits whatever font the viewer has.
 */
final class SvgText {
  /** Fonts whose columns are 0.6 em wide or a little less. */
  static final String FONTS = "DejaVu Sans Mono, Menlo, Consolas, Liberation Mono, monospace";

  /** Width of a column in em, of the widest of these fonts. */
  private static final double COLUMN = 0.605;

  /** Code points from here on may be two columns wide. */
  private static final int WIDE = 0x1100;

  private SvgText() {}

  /** The columns that a text takes. */
  static int columns(String text) {
    return text.codePoints().map(c -> c >= WIDE ? 2 : 1).sum();
  }

  /** The width of a text in a font size. */
  static double width(String text, double size) {
    return columns(text) * COLUMN * size;
  }

  /** The text in at most so many columns, the middle left out where it is longer. */
  static String shortened(String text, int most) {
    if (columns(text) <= most) {
      return text;
    }
    int[] points = text.codePoints().toArray();
    int front = 0;
    int back = points.length;
    int used = 1;
    // Ends of names tell more than their beginnings.
    while (used < most && front < back) {
      boolean takeBack = (points.length - back) <= front;
      int point = takeBack ? points[back - 1] : points[front];
      used += point >= WIDE ? 2 : 1;
      if (used > most) {
        break;
      }
      if (takeBack) {
        back--;
      } else {
        front++;
      }
    }
    return new String(points, 0, front) + "…" + new String(points, back, points.length - back);
  }

  /** The text in lines of at most so many columns, broken at spaces where there are any. */
  static List<String> wrapped(String text, int most) {
    List<String> lines = new ArrayList<>();
    StringBuilder line = new StringBuilder();
    for (String word : text.split(" ", -1)) {
      String rest = word;
      if (!line.isEmpty() && columns(line + " " + word) > most) {
        lines.add(line.toString());
        line.setLength(0);
      }
      while (columns(rest) > most) {
        int end = rest.offsetByCodePoints(0, Math.max(1, most / 2));
        lines.add(rest.substring(0, end));
        rest = rest.substring(end);
      }
      line.append(line.isEmpty() ? "" : " ").append(rest);
    }
    lines.add(line.toString());
    return lines;
  }

  /** The text with what XML needs escaped, and without what XML forbids. */
  static String escaped(String text) {
    StringBuilder out = new StringBuilder();
    text.codePoints()
        .forEach(
            c -> {
              switch (c) {
                case '&' -> out.append("&amp;");
                case '<' -> out.append("&lt;");
                case '>' -> out.append("&gt;");
                case '"' -> out.append("&quot;");
                default ->
                    out.appendCodePoint(
                        c < 0x20 || (c >= 0xd800 && c <= 0xdfff) || (c & 0xfffe) == 0xfffe
                            ? '\ufffd'
                            : c);
              }
            });
    return out.toString();
  }
}
