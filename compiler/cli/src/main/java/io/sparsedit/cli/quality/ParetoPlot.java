package io.sparsedit.cli.quality;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Quality against density as SVG without scripts: a curve for each series. */
final class ParetoPlot {
  private static final List<String> COLOURS =
      List.of(
          "#1f6fb2", "#d1632a", "#2f8f4e", "#8a4fb5", "#b8860b", "#c23b6e", "#2a9d9d", "#6b5b3a",
          "#4d6fd1", "#7a9a1f");
  private static final String REFERENCE = "#8a929b";
  private static final double LEFT = 52;
  private static final double TOP = 30;
  private static final double WIDTH = 340;
  private static final double HEIGHT = 230;
  private static final double LINE = 16;
  private static final double CHARACTER = 6; // of the text above the panels, a little generous

  private final StringBuilder svg = new StringBuilder();
  private final List<Curve> curves;
  private final Results results;

  private ParetoPlot(Results results) {
    this.results = results;
    this.curves =
        results.curves().stream()
            .filter(c -> c.points().stream().anyMatch(p -> p.mean().density() < 1))
            .toList();
  }

  /** What is drawn upwards. */
  private enum Measure {
    PSNR("PSNR, dB"),
    SSIM("SSIM"),
    ERROR("relative L1 error"),
    RECALL("attention recall");

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
    double column = LEFT + WIDTH + 24;
    double row = TOP + HEIGHT + 48;
    double legend = plot.legendHeight();
    plot.open(2 * column, 2 * row + legend + 24);
    plot.panel(0, 24, Measure.PSNR);
    if (plot.hasSsim()) {
      plot.panel(column, 24, Measure.SSIM);
    }
    plot.panel(0, 24 + row, Measure.ERROR);
    plot.panel(column, 24 + row, Measure.RECALL);
    plot.legend(LEFT, 24 + 2 * row);
    return plot.close();
  }

  /** PSNR alone: the curve to show. */
  static String psnr(Results results) {
    ParetoPlot plot = new ParetoPlot(results);
    double row = TOP + HEIGHT + 48;
    plot.open(LEFT + WIDTH + 24, row + plot.legendHeight() + 24);
    plot.panel(0, 24, Measure.PSNR);
    plot.legend(LEFT, 24 + row);
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
            + " height=\"%.0f\" font-family=\"system-ui,sans-serif\" font-size=\"11\""
            + " fill=\"#1b1f24\">%n",
        width, height, width, height);
    add("<rect width=\"%.0f\" height=\"%.0f\" fill=\"#ffffff\"/>%n", width, height);
    String setup = QualityTable.setup(results);
    int fitting = (int) ((width - 16) / CHARACTER);
    int end = setup.length() <= fitting ? setup.length() : setup.lastIndexOf(' ', fitting);
    add("<text x=\"8\" y=\"16\" fill=\"#57606a\">%s</text>%n", escape(setup.substring(0, end)));
    if (end < setup.length()) {
      add(
          "<text x=\"8\" y=\"30\" fill=\"#57606a\">%s</text>%n",
          escape(setup.substring(end).strip()));
    }
  }

  private String close() {
    return svg.append("</svg>\n").toString();
  }

  private void panel(double x, double y, Measure measure) {
    Axis across = new Axis(0, densest(), false, x + LEFT, x + LEFT + WIDTH);
    Axis up = axis(measure, y + TOP + HEIGHT, y + TOP);
    add(
        "<text x=\"%.1f\" y=\"%.1f\" font-weight=\"600\">%s</text>%n",
        x + LEFT, y + TOP - 10, measure.label);
    for (double tick : across.ticks()) {
      line(across.at(tick), up.at(up.low), across.at(tick), up.at(up.high), "#e3e6ea", 1, "");
      label(across.at(tick), y + TOP + HEIGHT + 15, "middle", Axis.text(tick));
    }
    for (double tick : up.ticks()) {
      line(
          across.at(across.low),
          up.at(tick),
          across.at(across.high),
          up.at(tick),
          "#e3e6ea",
          1,
          "");
      label(x + LEFT - 6, up.at(tick) + 4, "end", Axis.text(tick));
    }
    label(
        x + LEFT + WIDTH / 2,
        y + TOP + HEIGHT + 30,
        "middle",
        "density of the sparse steps (kept fraction of query-key pairs)");
    floor(across, up, measure);
    if (measure == Measure.PSNR) {
      front(across, up);
    }
    int colour = 0;
    for (Curve curve : curves) {
      curve(
          curve,
          curve.isReference() ? REFERENCE : COLOURS.get(colour++ % COLOURS.size()),
          across,
          up,
          measure);
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
    if (measure == Measure.ERROR) {
      return new Axis(low / 1.2, high * 1.2, true, bottom, top);
    }
    double margin = Math.max(1e-6, (high - low) * .05);
    return new Axis(low - margin, high + margin, false, bottom, top);
  }

  private void floor(Axis across, Axis up, Measure measure) {
    if (results.floorMean().isEmpty() || measure == Measure.RECALL) {
      return;
    }
    double value = measure.of(results.floorMean().get());
    if (Double.isFinite(value)) {
      double y = up.at(value);
      line(across.at(across.low), y, across.at(across.high), y, "#57606a", 1, "6 3");
      label(
          across.at(across.high),
          y + (measure == Measure.ERROR ? -4 : 12),
          "end",
          "half precision alone");
    }
  }

  private void front(Axis across, Axis up) {
    StringBuilder points = new StringBuilder();
    for (Curve.Point point : Curve.front(curves)) {
      if (Double.isFinite(point.mean().psnr())) {
        points.append(
            String.format(
                Locale.ROOT,
                "%.1f,%.1f ",
                across.at(point.mean().density()),
                up.at(point.mean().psnr())));
      }
    }
    add(
        "<polyline points=\"%s\" fill=\"none\" stroke=\"#f2d492\" stroke-width=\"7\""
            + " stroke-linejoin=\"round\"/>%n",
        points.toString().strip());
  }

  private void curve(Curve curve, String colour, Axis across, Axis up, Measure measure) {
    StringBuilder points = new StringBuilder();
    StringBuilder marks = new StringBuilder();
    for (Curve.Point point : curve.byDensity()) {
      double value = measure.of(point.mean());
      if (!Double.isFinite(value) || (measure == Measure.ERROR && value <= 0)) {
        continue;
      }
      double x = across.at(point.mean().density());
      double y = up.at(value);
      points.append(String.format(Locale.ROOT, "%.1f,%.1f ", x, y));
      marks.append(
          String.format(
              Locale.ROOT,
              "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>%s</title></circle>%n",
              x,
              y,
              colour,
              escape(curve.name() + ", " + point.settings())));
    }
    add(
        "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"%s/>%n",
        points.toString().strip(), colour, curve.isReference() ? " stroke-dasharray=\"3 3\"" : "");
    svg.append(marks);
  }

  private double legendHeight() {
    return LINE * (curves.size() + 1) + 8;
  }

  private void legend(double x, double top) {
    double y = top + 10;
    int colour = 0;
    for (Curve curve : curves) {
      String stroke = curve.isReference() ? REFERENCE : COLOURS.get(colour++ % COLOURS.size());
      line(x, y - 4, x + 22, y - 4, stroke, 2, curve.isReference() ? "3 3" : "");
      label(x + 30, y, "start", curve.name());
      y += LINE;
    }
    line(x, y - 4, x + 22, y - 4, "#f2d492", 7, "");
    label(x + 30, y, "start", "Pareto front");
  }

  private void line(
      double x1, double y1, double x2, double y2, String stroke, double width, String dashes) {
    add(
        "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%s\"%s/>%n",
        x1,
        y1,
        x2,
        y2,
        stroke,
        width,
        dashes.isEmpty() ? "" : " stroke-dasharray=\"" + dashes + "\"");
  }

  private void label(double x, double y, String anchor, String text) {
    add(
        "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"#57606a\">%s</text>%n",
        x, y, anchor, escape(text));
  }

  private void add(String format, Object... arguments) {
    svg.append(String.format(Locale.ROOT, format, arguments));
  }

  static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
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
