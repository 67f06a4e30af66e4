package io.sparsedit.cli.quality;

import static io.sparsedit.passes.report.HtmlPage.code;
import static io.sparsedit.passes.report.HtmlPage.escape;
import static io.sparsedit.passes.report.HtmlPage.rowHtml;

import io.sparsedit.passes.report.HtmlPage;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/** {@code quality.html}: plot, table, and density and recall of every site; no scripts. */
final class QualityHtml {
  /** Columns of numbers in {@link QualityTable#rows}: all but series, settings and the mark. */
  private static final List<Boolean> NUMERIC =
      List.of(false, false, true, true, true, true, true, true, false);

  private QualityHtml() {}

  static String of(Results results) {
    HtmlPage page = new HtmlPage("SparseDiT: quality", "Quality against density");
    QualityTable.notes(results).forEach(page::note);
    page.html(ParetoPlot.all(results));
    List<List<String>> rows = QualityTable.rows(results);
    page.heading("Table")
        .tableHtml(
            escaped(rows.get(0)), NUMERIC, rows.stream().skip(1).map(QualityHtml::row).toList());
    page.heading("Sites")
        .note(
            "Density, and below it recall, of each head: means over sparse steps and samples. The"
                + " darker, the denser.");
    for (Curve curve : results.curves()) {
      for (Curve.Point point : curve.byDensity()) {
        sites(page, curve.name(), point);
      }
    }
    return page.close();
  }

  /** Series and settings stand in one line each: they are what is compared. */
  private static String row(List<String> row) {
    List<String> cells = new ArrayList<>(escaped(row));
    cells.set(0, "<span style=\"white-space:nowrap\">" + cells.get(0) + "</span>");
    cells.set(1, "<code style=\"white-space:nowrap\">" + cells.get(1) + "</code>");
    return rowHtml(NUMERIC, cells);
  }

  private static List<String> escaped(List<String> cells) {
    return cells.stream().map(HtmlPage::escape).toList();
  }

  private static void sites(HtmlPage page, String series, Curve.Point point) {
    List<Measurement.SiteMeasurement> first = point.runs().get(0).sites();
    int widest = first.stream().mapToInt(site -> site.density().size()).max().orElse(0);
    List<String> header = new ArrayList<>(List.of("site"));
    IntStream.range(0, widest).forEach(head -> header.add("head " + head));
    List<Boolean> numeric = new ArrayList<>(Collections.nCopies(widest + 1, true));
    numeric.set(0, false);
    List<String> rows = new ArrayList<>();
    for (int site = 0; site < first.size(); site++) {
      List<String> cells = new ArrayList<>(List.of(code(first.get(site).id())));
      for (int head = 0; head < first.get(site).density().size(); head++) {
        cells.add(head(point.runs(), site, head));
      }
      rows.add(rowHtml(numeric, cells));
    }
    page.html("<details><summary>" + escape(series) + " " + code(point.settings()) + "</summary>\n")
        .tableHtml(header, numeric, rows)
        .html("</details>\n");
  }

  private static String head(List<Measurement> runs, int site, int head) {
    double density =
        mean(runs.stream().map(run -> run.sites().get(site).density().get(head)).toList());
    double recall =
        mean(runs.stream().map(run -> run.sites().get(site).recall().get(head)).toList());
    return String.format(
        Locale.ROOT,
        "<span style=\"display:block;padding:0 .3rem;background:rgba(59,130,196,%.2f)\">%.3f<br>"
            + "%.3f</span>",
        density * .6,
        density,
        recall);
  }

  private static double mean(List<Double> values) {
    return values.stream().mapToDouble(Double::doubleValue).average().orElse(Double.NaN);
  }
}
