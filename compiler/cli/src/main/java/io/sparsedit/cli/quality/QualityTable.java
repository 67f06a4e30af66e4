package io.sparsedit.cli.quality;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The numbers of a sweep as text. */
final class QualityTable {
  private QualityTable() {}

  /** A row for each setting, by series and density; the header first. */
  static List<List<String>> rows(Results results) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(
        List.of(
            "series",
            "settings",
            "density",
            "with warm-up",
            "recall",
            "PSNR",
            "SSIM",
            "relative L1",
            ""));
    int samples = results.setup().path("samples").size();
    List<Curve> curves = results.curves();
    List<Curve.Point> front = Curve.front(curves);
    results
        .floorMean()
        .ifPresent(mean -> rows.add(row("half precision", "dense", mean, "noise floor")));
    for (Curve curve : curves) {
      for (Curve.Point point : curve.byDensity()) {
        rows.add(
            row(
                curve.name(),
                point.settings(),
                point.mean(),
                mark(front.contains(point), point.runs().size(), samples)));
      }
    }
    return rows;
  }

  /** Means over other samples than those of the rest are not to be compared with them. */
  private static String mark(boolean front, int runs, int samples) {
    String part = runs == samples ? "" : runs + " of " + samples + " samples";
    return front && !part.isEmpty() ? "front, " + part : front ? "front" : part;
  }

  private static List<String> row(String series, String settings, Mean mean, String mark) {
    return List.of(
        series,
        settings,
        fraction(mean.density()),
        fraction(mean.totalDensity()),
        fraction(mean.recall()),
        decibel(mean),
        Double.isNaN(mean.ssim()) ? "" : String.format(Locale.ROOT, "%.4f", mean.ssim()),
        String.format(Locale.ROOT, "%.4f", mean.relativeL1()),
        mark);
  }

  static String decibel(Mean mean) {
    if (!Double.isFinite(mean.psnr())) {
      return "equal";
    }
    return mean.psnrError() == 0
        ? String.format(Locale.ROOT, "%.2f dB", mean.psnr())
        : String.format(Locale.ROOT, "%.2f ± %.2f dB", mean.psnr(), mean.psnrError());
  }

  static String fraction(double value) {
    return Double.isNaN(value) ? "" : String.format(Locale.ROOT, "%.3f", value);
  }

  static List<String> notes(Results results) {
    return List.of(
        setup(results),
        "Each run against the dense run from the same noise. Density: kept pairs, mean over sparse"
            + " steps, sites and heads; recall: softmax mass of the kept pairs; ± is the standard"
            + " error of a mean over samples.");
  }

  /** How it was sampled, in one sentence. */
  static String setup(Results results) {
    JsonNode setup = results.setup();
    return String.format(
        Locale.ROOT,
        "%s, %d steps (shift %s), the first %.0f %% of them dense unless the settings say"
            + " otherwise; %d %s.",
        setup.path("model").asText(),
        setup.path("steps").asInt(),
        setup.path("shift").asText(),
        100 * setup.path("denseWarmup").asDouble(),
        setup.path("samples").size(),
        setup.path("samples").size() == 1 ? "sample" : "samples");
  }
}
