package io.sparsedit.passes.drawing;

import io.sparsedit.passes.drawing.LayeredLayout.Point;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Boxes with lines of text, edges between them, and a heading, as one SVG file. */
final class GraphDrawing {
  private static final double MARGIN = 24;
  private static final double PADDING = 10;
  private static final double TITLE_SIZE = 14;
  private static final double TEXT_SIZE = 11.5;
  private static final double LEADING = 1.35;
  private static final double HEADING_SIZE = 13;
  private static final double MIN_WIDTH = 720;
  private static final double NUMBER_SIZE = 9.5;

  /** How a box looks. */
  enum Style {
    /** Part of what a rule fits. */
    CORE("#fff1d0", "#b7791f", 2, ""),
    /** Around it. */
    CONTEXT("#ffffff", "#8b949e", 1, ""),
    /** An input or output of the model. */
    BORDER("#e6f4ea", "#2f855a", 1, ""),
    /** Stands for more of the graph. */
    STUB("#f6f8fa", "#b8c0c8", 1, "4 3");

    private final String fill;
    private final String stroke;
    private final double strokeWidth;
    private final String dashes;

    Style(String fill, String stroke, double strokeWidth, String dashes) {
      this.fill = fill;
      this.stroke = stroke;
      this.strokeWidth = strokeWidth;
      this.dashes = dashes;
    }
  }

  /**
   * A box.
   *
   * @param title the first line, larger
   * @param lines the others
   * @param tooltip all of it, nothing left out
   * @param style how it looks
   * @param marked whether it is what was asked for
   */
  record Box(String title, List<String> lines, String tooltip, Style style, boolean marked) {
    private LayeredLayout.Size size() {
      double width = SvgText.width(title, TITLE_SIZE);
      for (String line : lines) {
        width = Math.max(width, SvgText.width(line, TEXT_SIZE));
      }
      double height = TITLE_SIZE * LEADING + lines.size() * TEXT_SIZE * LEADING;
      return new LayeredLayout.Size(width + 2 * PADDING, height + 1.4 * PADDING);
    }
  }

  /**
   * An edge.
   *
   * @param from number of the box that it leaves
   * @param to number of the box that it enters, larger
   * @param label a short text at its end, or empty
   */
  record Edge(int from, int to, String label) {}

  private final StringBuilder svg = new StringBuilder();

  private GraphDrawing() {}

  /** The file's content. */
  static String of(List<String> heading, List<Box> boxes, List<Edge> edges) {
    return new GraphDrawing().draw(heading, boxes, edges);
  }

  private String draw(List<String> heading, List<Box> boxes, List<Edge> edges) {
    LayeredLayout.Placed placed =
        LayeredLayout.place(
            boxes.stream().map(Box::size).toList(),
            edges.stream().map(e -> new LayeredLayout.Edge(e.from(), e.to())).toList());
    double inner = Math.max(MIN_WIDTH, placed.width());
    int columns = (int) (inner / SvgText.width("m", HEADING_SIZE));
    List<String> lines = new ArrayList<>();
    heading.forEach(text -> lines.addAll(SvgText.wrapped(text, columns)));
    double top = 2 * MARGIN + lines.size() * HEADING_SIZE * LEADING;
    double width = inner + 2 * MARGIN;
    double height = top + placed.height() + MARGIN;
    double left = MARGIN + (inner - placed.width()) / 2;

    svg.append(
        String.format(
            Locale.ROOT,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\""
                + " viewBox=\"0 0 %.0f %.0f\" font-family=\"%s\">%n",
            width,
            height,
            width,
            height,
            SvgText.FONTS));
    svg.append(
        "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\""
            + " markerHeight=\"7\" orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\""
            + " fill=\"#57606a\"/></marker></defs>\n");
    svg.append("<rect width=\"100%\" height=\"100%\" fill=\"#fbfcfd\"/>\n");
    for (int i = 0; i < lines.size(); i++) {
      double y = MARGIN + (i + 0.8) * HEADING_SIZE * LEADING;
      text(lines.get(i), MARGIN, y, HEADING_SIZE, i == 0 ? " font-weight=\"bold\"" : "", "#1b1f24");
    }
    svg.append(String.format(Locale.ROOT, "<g transform=\"translate(%.1f %.1f)\">%n", left, top));
    for (int i = 0; i < edges.size(); i++) {
      edge(placed.routes().get(i), edges.get(i).label());
    }
    for (int i = 0; i < boxes.size(); i++) {
      box(boxes.get(i), placed.corners().get(i));
    }
    svg.append("</g>\n</svg>\n");
    return svg.toString();
  }

  private void edge(List<Point> route, String label) {
    StringBuilder path = new StringBuilder();
    for (int i = 0; i < route.size(); i++) {
      Point point = route.get(i);
      if (i == 0) {
        path.append(String.format(Locale.ROOT, "M%.1f,%.1f", point.x(), point.y()));
      } else if (i % 2 == 1 && i < route.size() - 1) {
        path.append(String.format(Locale.ROOT, " L%.1f,%.1f", point.x(), point.y()));
      } else {
        Point before = route.get(i - 1);
        double middle = (before.y() + point.y()) / 2;
        path.append(
            String.format(
                Locale.ROOT,
                " C%.1f,%.1f %.1f,%.1f %.1f,%.1f",
                before.x(),
                middle,
                point.x(),
                middle,
                point.x(),
                point.y()));
      }
    }
    svg.append("<path d=\"")
        .append(path)
        .append("\" fill=\"none\" stroke=\"#57606a\" marker-end=\"url(#arrow)\"/>\n");
    if (!label.isEmpty()) {
      Point end = route.get(route.size() - 1);
      text(label, end.x() + 5, end.y() - 3, NUMBER_SIZE, "", "#57606a");
    }
  }

  private void box(Box box, Point corner) {
    LayeredLayout.Size size = box.size();
    Style style = box.style();
    svg.append("<g><title>").append(SvgText.escaped(box.tooltip())).append("</title>");
    svg.append(
        String.format(
            Locale.ROOT,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%d\" fill=\"%s\""
                + " stroke=\"%s\" stroke-width=\"%.1f\"%s/>%n",
            corner.x(),
            corner.y(),
            size.width(),
            size.height(),
            style == Style.BORDER ? 14 : 5,
            style.fill,
            box.marked() ? "#c0271d" : style.stroke,
            box.marked() ? 3 : style.strokeWidth,
            style.dashes.isEmpty() ? "" : " stroke-dasharray=\"" + style.dashes + "\""));
    double x = corner.x() + PADDING;
    double y = corner.y() + 0.5 * PADDING + TITLE_SIZE;
    boolean stub = style == Style.STUB;
    text(box.title(), x, y, TITLE_SIZE, stub ? "" : " font-weight=\"bold\"", "#1b1f24");
    y += TITLE_SIZE * (LEADING - 1);
    for (String line : box.lines()) {
      y += TEXT_SIZE * LEADING;
      text(line, x, y - 0.2 * TEXT_SIZE, TEXT_SIZE, "", "#3d444d");
    }
    svg.append("</g>\n");
  }

  private void text(String text, double x, double y, double size, String more, String colour) {
    if (text.isEmpty()) {
      return;
    }
    svg.append(
        String.format(
            Locale.ROOT,
            "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.1f\" fill=\"%s\" textLength=\"%.1f\""
                + " lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\"%s>",
            x,
            y,
            size,
            colour,
            SvgText.width(text, size),
            more));
    svg.append(SvgText.escaped(text)).append("</text>\n");
  }
}
