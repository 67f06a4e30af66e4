package io.sparsedit.cli.quality;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** {@code quality.html}: plot, table, and density and recall of every site; no scripts. */
final class QualityHtml {
  private static final String STYLE =
      """
      body{font:15px/1.5 system-ui,sans-serif;color:#1b1f24;max-width:70rem;margin:2rem auto;padding:0 1rem}
      h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
      table{border-collapse:collapse}th,td{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #e3e6ea}
      th{font-weight:600;color:#57606a}td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
      .muted{color:#57606a}code{font-size:.9em}summary{cursor:pointer}svg{max-width:100%;height:auto}
      """;

  private final StringBuilder html = new StringBuilder();

  private QualityHtml() {}

  static String of(Results results) {
    return new QualityHtml().page(results);
  }

  private String page(Results results) {
    html.append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
        .append("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")
        .append("<title>SparseDiT: quality</title>\n<style>")
        .append(STYLE)
        .append("</style></head>\n<body>\n<h1>Quality against density</h1>\n");
    for (String note : QualityTable.notes(results)) {
      html.append("<p class=\"muted\">").append(ParetoPlot.escape(note)).append("</p>\n");
    }
    html.append(ParetoPlot.all(results));
    table(QualityTable.rows(results));
    html.append(
            "<h2>Sites</h2>\n<p class=\"muted\">Mean over sparse steps and samples; density, and")
        .append(" below it recall, of each head.</p>\n");
    for (Curve curve : results.curves()) {
      for (Curve.Point point : curve.byDensity()) {
        sites(curve.name(), point);
      }
    }
    return html.append("</body></html>\n").toString();
  }

  private void table(List<List<String>> rows) {
    html.append("<h2>Table</h2>\n<table>");
    for (int i = 0; i < rows.size(); i++) {
      html.append("<tr>");
      for (int column = 0; column < rows.get(i).size(); column++) {
        String cell = i == 0 ? "th" : column > 1 && column < 8 ? "td class=\"n\"" : "td";
        html.append('<')
            .append(cell)
            .append('>')
            .append(ParetoPlot.escape(rows.get(i).get(column)))
            .append(i == 0 ? "</th>" : "</td>");
      }
      html.append("</tr>\n");
    }
    html.append("</table>\n");
  }

  private void sites(String series, Curve.Point point) {
    html.append("<details><summary>")
        .append(ParetoPlot.escape(series))
        .append(" <code>")
        .append(ParetoPlot.escape(point.settings()))
        .append("</code></summary>\n<table>");
    int count = point.runs().get(0).sites().size();
    for (int site = 0; site < count; site++) {
      html.append("<tr><td><code>")
          .append(ParetoPlot.escape(point.runs().get(0).sites().get(site).id()))
          .append("</code></td>");
      int heads = point.runs().get(0).sites().get(site).density().size();
      for (int head = 0; head < heads; head++) {
        List<Double> density = new ArrayList<>();
        List<Double> recall = new ArrayList<>();
        for (Measurement run : point.runs()) {
          density.add(run.sites().get(site).density().get(head));
          recall.add(run.sites().get(site).recall().get(head));
        }
        html.append(
            String.format(
                Locale.ROOT,
                "<td class=\"n\" style=\"background:rgba(59,130,196,%.2f)\">%.3f<br>%.3f</td>",
                mean(density) * .8,
                mean(density),
                mean(recall)));
      }
      html.append("</tr>\n");
    }
    html.append("</table></details>\n");
  }

  private static double mean(List<Double> values) {
    return values.stream().mapToDouble(Double::doubleValue).average().orElse(Double.NaN);
  }
}
