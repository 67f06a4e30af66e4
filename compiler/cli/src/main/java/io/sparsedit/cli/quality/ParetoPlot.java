package io.sparsedit.cli.quality;

import static io.sparsedit.passes.report.HtmlPage.escape;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Quality against density as SVG without scripts: a curve for each series, told apart by colour
 * (Okabe and Ito's, which all eyes tell apart), marks and dashes; light or dark as the reader's
 * system is.
 */
final class ParetoPlot {
  private static final List<String> COLOURS =
      List.of(
          "#0072b2", "#d55e00", "#009e73", "#a3407b", "#b8860b", "#3a9bd9", "#6b5b3a", "#4b3fa0");
  private static final List<String> COLOURS_ON_DARK =
      List.of(
          "#4ea5e0", "#ff8c42", "#3cc79c", "#e08abf", "#e0b040", "#8fd0ff", "#b8a888", "#a79bff");
  private static final String REFERENCE = "#7b838c";
  private static final String REFERENCE_ON_DARK = "#9aa4af";
  private static final List<String> REFERENCE_DASHES = List.of("5 3", "2 3", "8 3 2 3");
  private static final double LEFT = 52;
  private static final double TOP = 30;
  private static final double WIDTH = 350;
  private static final double HEIGHT = 240;
  private static final double HEAD = 40;
  private static final double ROW = TOP + HEIGHT + 56;
  private static final double COLUMN = LEFT + WIDTH + 24;
  private static final double LINE = 18;
  private static final double CHARACTER = 6.4; // of 12-point text, a little generous
  private static final int LEGEND_COLUMNS = 3;

  private final StringBuilder svg = new StringBuilder();
  private final List<Curve> curves;
  private final List<Look> looks = new ArrayList<>();
  private final Results results;

  /**
   * How a series is drawn.
   *
   * @param type the CSS class
   * @param mark the outline of a mark around 0,0
   * @param dashes of the line; empty for a whole one
   */
  private record Look(String type, String colour, String mark, String dashes) {}

  private static final List<String> MARKS =
      List.of(
          "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0", // circle
          "M-3.2 -3.2H3.2V3.2H-3.2Z", // square
          "M0 -4.2L4 3H-4Z", // triangle
          "M0 -4.6L4.2 0L0 4.6L-4.2 0Z", // diamond
          "M0 4.2L4 -3H-4Z", // triangle on its tip
          "M-4.2 -1.2H-1.2V-4.2H1.2V-1.2H4.2V1.2H1.2V4.2H-1.2V1.2H-4.2Z"); // cross

  private ParetoPlot(Results results) {
    this.results = results;
    this.curves =
        results.curves().stream()
            .filter(c -> c.points().stream().anyMatch(p -> p.mean().density() < 1))
            .toList();
    int series = 0;
    int references = 0;
    for (Curve curve : curves) {
      int index = curve.isReference() ? references++ : series++;
      looks.add(
          curve.isReference()
              ? new Look(
                  "plot-reference",
                  REFERENCE,
                  MARKS.get(index % MARKS.size()),
                  REFERENCE_DASHES.get(index % REFERENCE_DASHES.size()))
              : new Look(
                  "plot-s" + index % COLOURS.size(),
                  COLOURS.get(index % COLOURS.size()),
                  MARKS.get(index % MARKS.size()),
                  index < COLOURS.size() ? "" : "12 3"));
    }
  }

  /** What is drawn upwards. */
  private enum Measure {
    PSNR("PSNR, dB (higher is better)"),
    SSIM("SSIM (higher is better)"),
    ERROR("relative L1 error (lower is better)"),
    RECALL("attention recall (kept part of the attention mass)");

    private final String label;

    Measure(String label) {
      this.label = label;
    }

    double of(Mean mean) {
      return switch (this) {
        case PSNR -> mean.psnr();
        case SSIM -> mean.ssim();
        case ERROR -> mean.relativeL1();
        case RECALL -> mean.recall();
      };
    }
  }

  /** PSNR, SSIM, relative L1 error and recall. */
  static String all(Results results) {
    ParetoPlot plot = new ParetoPlot(results);
    int lines = (plot.curves.size() + LEGEND_COLUMNS) / LEGEND_COLUMNS;
    plot.open(2 * COLUMN, HEAD + 2 * ROW + lines * LINE + 8);
    plot.panel(0, HEAD, Measure.PSNR);
    if (plot.hasSsim()) {
      plot.panel(COLUMN, HEAD, Measure.SSIM);
    }
    plot.panel(0, HEAD + ROW, Measure.ERROR);
    plot.panel(COLUMN, HEAD + ROW, Measure.RECALL);
    plot.legend(LEFT, HEAD + 2 * ROW + 4, lines, (2 * COLUMN - LEFT) / LEGEND_COLUMNS);
    return plot.close();
  }

  /** PSNR alone, the names beside it: the curve to show. */
  static String psnr(Results results) {
    ParetoPlot plot = new ParetoPlot(results);
    int lines = plot.curves.size() + 1;
    int longest = plot.curves.stream().mapToInt(curve -> curve.name().length()).max().orElse(0);
    double names = 44 + CHARACTER * Math.max(longest, "Pareto front".length());
    plot.open(COLUMN + names, HEAD + Math.max(ROW, TOP + lines * LINE + 8));
    plot.panel(0, HEAD, Measure.PSNR);
    plot.legend(COLUMN - 8, HEAD + TOP + 12, lines, names);
    return plot.close();
  }

  private boolean hasSsim() {
    return curves.stream()
        .flatMap(curve -> curve.points().stream())
        .noneMatch(point -> Double.isNaN(point.mean().ssim()));
  }

  private void open(double width, double height) {
    add(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\""
            + " height=\"%.0f\" font-family=\"system-ui,sans-serif\" font-size=\"12\""
            + " role=\"img\" aria-label=\"Quality against density\">%n",
        width, height, width, height);
    svg.append("<style>").append(dark()).append("</style>\n");
    add(
        "<rect class=\"plot-back\" width=\"%.0f\" height=\"%.0f\" fill=\"#ffffff\"/>%n",
        width, height);
    String setup = QualityTable.setup(results);
    int fitting = (int) ((width - 16) / CHARACTER);
    int end = setup.length() <= fitting ? setup.length() : setup.lastIndexOf(' ', fitting);
    label(8, 16, "start", setup.substring(0, end));
    if (end < setup.length()) {
      label(8, 32, "start", setup.substring(end).strip());
    }
  }

  /** What is other on a dark screen; paper is light. */
  private static String dark() {
    StringBuilder css =
        new StringBuilder("@media screen and (prefers-color-scheme:dark){.plot-back{fill:#0d1117}")
            .append(".plot-text{fill:#b4bcc6}.plot-title{fill:#e6edf3}.plot-grid{stroke:#30363d}")
            .append(".plot-front{stroke:#5e4d20}.plot-floor{stroke:#9aa4af}");
    for (int i = 0; i < COLOURS_ON_DARK.size(); i++) {
      colour(css, "plot-s" + i, COLOURS_ON_DARK.get(i));
    }
    colour(css, "plot-reference", REFERENCE_ON_DARK);
    return css.append('}').toString();
  }

  private static void colour(StringBuilder css, String type, String colour) {
    css.append(".%s{stroke:%s}.%s.plot-mark{fill:%s}".formatted(type, colour, type, colour));
  }

  private String close() {
    return svg.append("</svg>\n").toString();
  }

  private void panel(double x, double y, Measure measure) {
    Axis across = new Axis(0, densest(), false, x + LEFT, x + LEFT + WIDTH);
    Axis up = axis(measure, y + TOP + HEIGHT, y + TOP);
    add(
        "<text class=\"plot-title\" x=\"%.1f\" y=\"%.1f\" font-weight=\"600\""
            + " fill=\"#1b1f24\">%s</text>%n",
        x + LEFT, y + TOP - 10, measure.label);
    for (double tick : across.ticks()) {
      grid(across.at(tick), up.at(up.low), across.at(tick), up.at(up.high));
      label(across.at(tick), y + TOP + HEIGHT + 16, "middle", Axis.text(tick));
    }
    for (double tick : up.ticks()) {
      grid(across.at(across.low), up.at(tick), across.at(across.high), up.at(tick));
      label(x + LEFT - 6, up.at(tick) + 4, "end", Axis.text(tick));
    }
    label(
        x + LEFT + WIDTH / 2,
        y + TOP + HEIGHT + 34,
        "middle",
        "density of the sparse steps (kept fraction of query-key pairs)");
    floor(across, up, measure);
    if (measure == Measure.PSNR) {
      front(across, up);
    }
    for (int i = 0; i < curves.size(); i++) {
      curve(curves.get(i), looks.get(i), across, up, measure);
    }
  }

  private double densest() {
    double densest =
        curves.stream()
            .flatMap(curve -> curve.points().stream())
            .mapToDouble(point -> point.mean().density())
            .max()
            .orElse(1);
    return Math.min(1, Math.ceil(densest * 10 + 1e-9) / 10);
  }

  private Axis axis(Measure measure, double bottom, double top) {
    List<Double> values = new ArrayList<>();
    curves.forEach(curve -> curve.points().forEach(point -> values.add(measure.of(point.mean()))));
    if (measure != Measure.RECALL) {
      results.floorMean().ifPresent(mean -> values.add(measure.of(mean)));
    }
    if (measure == Measure.ERROR) {
      values.removeIf(value -> !(value > 0));
    }
    double low = values.stream().filter(Double::isFinite).min(Double::compare).orElse(.1);
    double high = values.stream().filter(Double::isFinite).max(Double::compare).orElse(1.);
    // Room for the label of the floor: below it on the axis of errors, above it on the others.
    if (measure == Measure.ERROR) {
      return new Axis(low / 1.6, high * 1.2, true, bottom, top);
    }
    double range = Math.max(1e-5, high - low);
    return new Axis(low - range * .05, high + range * .08, false, bottom, top);
  }

  private void floor(Axis across, Axis up, Measure measure) {
    if (results.floorMean().isEmpty() || measure == Measure.RECALL) {
      return;
    }
    double value = measure.of(results.floorMean().get());
    if (Double.isFinite(value)) {
      double y = up.at(value);
      line(
          "plot-floor",
          "#57606a",
          1,
          "6 3",
          String.format(
              Locale.ROOT, "M%.1f %.1fH%.1f", across.at(across.low), y, across.at(across.high)));
      label(
          across.at(across.high),
          y + (measure == Measure.ERROR ? 13 : -4),
          "end",
          "half precision alone");
    }
  }

  private void front(Axis across, Axis up) {
    StringBuilder path = new StringBuilder();
    for (Curve.Point point : Curve.front(curves)) {
      if (Double.isFinite(point.mean().psnr())) {
        path.append(path.isEmpty() ? 'M' : 'L')
            .append(place(across.at(point.mean().density()), up.at(point.mean().psnr())));
      }
    }
    line("plot-front", "#f2d492", 7, "", path.toString());
  }

  private void curve(Curve curve, Look look, Axis across, Axis up, Measure measure) {
    StringBuilder path = new StringBuilder();
    StringBuilder errors = new StringBuilder();
    StringBuilder marks = new StringBuilder();
    for (Curve.Point point : curve.byDensity()) {
      double value = measure.of(point.mean());
      if (!Double.isFinite(value) || (measure == Measure.ERROR && value <= 0)) {
        continue;
      }
      double x = across.at(point.mean().density());
      double y = up.at(value);
      path.append(path.isEmpty() ? 'M' : 'L').append(place(x, y));
      if (measure == Measure.PSNR && point.mean().psnrError() > 0) {
        errors.append(
            String.format(
                Locale.ROOT,
                "M%.1f %.1fV%.1f",
                x,
                up.at(value - point.mean().psnrError()),
                up.at(value + point.mean().psnrError())));
      }
      marks.append(
          mark(
              look, x, y, "<title>" + escape(curve.name() + ", " + point.settings()) + "</title>"));
    }
    line(look.type, look.colour, 1.5, look.dashes, path.toString());
    line(look.type, look.colour, 1, "", errors.toString());
    svg.append(marks);
  }

  private void legend(double x, double top, int lines, double width) {
    for (int i = 0; i <= curves.size(); i++) {
      int column = i / lines;
      double left = x + column * width;
      double y = top + 10 + (i % lines) * LINE;
      String sample = String.format(Locale.ROOT, "M%s H%.1f", place(left, y - 4), left + 24);
      if (i == curves.size()) {
        line("plot-front", "#f2d492", 7, "", sample);
        label(left + 32, y, "start", "Pareto front");
      } else {
        Look look = looks.get(i);
        line(look.type, look.colour, 1.5, look.dashes, sample);
        svg.append(mark(look, left + 12, y - 4, ""));
        label(left + 32, y, "start", curves.get(i).name());
      }
    }
  }

  // ---- SVG --------------------------------------------------------------------------------------

  private static String place(double x, double y) {
    return String.format(Locale.ROOT, "%.1f %.1f", x, y);
  }

  private static String mark(Look look, double x, double y, String content) {
    return ("<path class=\"%s plot-mark\" transform=\"translate(%s)\" d=\"%s\""
            + " fill=\"%s\">%s</path>%n")
        .formatted(look.type, place(x, y), look.mark, look.colour, content);
  }

  private void grid(double x1, double y1, double x2, double y2) {
    line("plot-grid", "#e3e6ea", 1, "", "M" + place(x1, y1) + "L" + place(x2, y2));
  }

  private void line(String type, String stroke, double width, String dashes, String path) {
    if (!path.isEmpty()) {
      add(
          "<path class=\"%s\" d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%s\""
              + " stroke-linejoin=\"round\"%s/>%n",
          type,
          path,
          stroke,
          width,
          dashes.isEmpty() ? "" : " stroke-dasharray=\"" + dashes + "\"");
    }
  }

  private void label(double x, double y, String anchor, String text) {
    add(
        "<text class=\"plot-text\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\""
            + " fill=\"#57606a\">%s</text>%n",
        x, y, anchor, escape(text));
  }

  private void add(String format, Object... arguments) {
    svg.append(String.format(Locale.ROOT, format, arguments));
  }

  /**
   * An axis.
   *
   * @param low the least value
   * @param high the greatest
   * @param logarithmic whether equal ratios have equal lengths
   * @param from where the least value is drawn
   * @param to where the greatest is
   */
  private record Axis(double low, double high, boolean logarithmic, double from, double to) {
    double at(double value) {
      double part =
          logarithmic ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
      return from + part * (to - from);
    }

    /** Round numbers along the axis. */
    List<Double> ticks() {
      List<Double> ticks = new ArrayList<>();
      if (logarithmic) {
        for (double decade = Math.pow(10, Math.floor(Math.log10(low)));
            decade <= high;
            decade *= 10) {
          for (double digit : new double[] {1, 2, 5}) {
            if (decade * digit >= low && decade * digit <= high) {
              ticks.add(decade * digit);
            }
          }
        }
        return ticks;
      }
      double rough = (high - low) / 6;
      double power = Math.pow(10, Math.floor(Math.log10(rough)));
      double step =
          power * (rough / power > 5 ? 10 : rough / power > 2 ? 5 : rough / power > 1 ? 2 : 1);
      for (long i = (long) Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) {
        ticks.add(i * step);
      }
      return ticks;
    }

    static String text(double tick) {
      return new java.math.BigDecimal(tick)
          .round(new java.math.MathContext(6))
          .stripTrailingZeros()
          .toPlainString();
    }
  }
}
