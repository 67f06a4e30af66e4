package io.sparsedit.passes.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Locale;
import java.util.Map;

/**
 * {@code report.html}: one page without scripts or network, made from {@code report.json}.
 *
 * <p>Shows the sites in graph order with their density as bars (inline SVG), the errors that the
 * verification measured, the operators before and after, and what each pass did.
 */
public final class ReportHtml {
  private static final String STYLE =
      """
      body{font:15px/1.5 system-ui,sans-serif;color:#1b1f24;max-width:62rem;margin:2rem auto;padding:0 1rem}
      h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem}
      table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #e3e6ea}
      th{font-weight:600;color:#57606a}td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
      .muted{color:#57606a}.ok{color:#116329}.bad{color:#a40e26;font-weight:600}
      svg{vertical-align:middle}code{font-size:.9em}
      """;

  private static final double BAR_WIDTH = 220;

  private final StringBuilder html = new StringBuilder();

  private ReportHtml() {}

  /** The page for a {@code report.json}. */
  public static String of(JsonNode report) {
    return new ReportHtml().page(report);
  }

  private String page(JsonNode report) {
    String title = report.path("model").asText();
    html.append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
        .append("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")
        .append("<title>SparseDiT: ")
        .append(escape(title))
        .append("</title>\n<style>")
        .append(STYLE)
        .append("</style></head>\n<body>\n");
    html.append("<h1>SparseDiT report</h1>\n<p class=\"muted\"><code>")
        .append(escape(title))
        .append("</code> · ")
        .append(escape(report.path("producer").asText()))
        .append(" · opset ")
        .append(report.path("opset").asText())
        .append(" · ")
        .append(report.path("nodes").asText())
        .append(" nodes</p>\n");
    summary(report);
    sites(report);
    outputs(report);
    operators(report);
    passes(report);
    html.append("</body></html>\n");
    return html.toString();
  }

  private void summary(JsonNode report) {
    int sparse = 0;
    int all = 0;
    for (JsonNode site : report.path("sites")) {
      all++;
      sparse += site.path("sparsify").asBoolean() ? 1 : 0;
    }
    html.append("<p>")
        .append(sparse)
        .append(" of ")
        .append(all)
        .append(" attention sites are sparse (method ")
        .append(escape(report.path("method").path("name").asText()))
        .append(settings(report.path("method").path("settings")))
        .append(").");
    JsonNode geometry = report.path("geometry");
    if (geometry.hasNonNull("frames")) {
      html.append(" Video of ")
          .append(escape(geometry.path("frames").asText()))
          .append(" × ")
          .append(escape(geometry.path("height").asText()))
          .append(" × ")
          .append(escape(geometry.path("width").asText()))
          .append(" tokens (frames × height × width), from ")
          .append(escape(geometry.path("source").asText()))
          .append('.');
    }
    JsonNode verification = report.path("verification");
    if (verification.isObject()) {
      boolean passed = verification.path("passed").asBoolean();
      html.append("</p>\n<p>Verification: <span class=\"")
          .append(passed ? "ok\">passed" : "bad\">failed")
          .append("</span>. ")
          .append(escape(verification.path("note").asText()));
      for (JsonNode failure : verification.path("failures")) {
        html.append("<br><span class=\"bad\">").append(escape(failure.asText())).append("</span>");
      }
    }
    html.append("</p>\n");
  }

  private static String settings(JsonNode settings) {
    StringBuilder text = new StringBuilder();
    for (Map.Entry<String, JsonNode> field : settings.properties()) {
      text.append(", ").append(field.getKey()).append(' ').append(field.getValue().asText());
    }
    return escape(text.toString());
  }

  private void sites(JsonNode report) {
    html.append("<h2>Attention sites</h2>\n<table><tr><th>site</th><th>kind</th>")
        .append("<th class=\"n\">heads × dim</th><th class=\"n\">tokens</th>")
        .append("<th>density (kept fraction; line: least to most dense head)</th>")
        .append("<th class=\"n\">recall</th><th class=\"n\">relative L1</th></tr>\n");
    for (JsonNode site : report.path("sites")) {
      JsonNode measured = measured(report, site.path("id").asText());
      String tokens = site.path("queryTokens").asText();
      if (!site.path("keyTokens").equals(site.path("queryTokens"))) {
        tokens += " → " + site.path("keyTokens").asText();
      }
      html.append("<tr><td><code>")
          .append(escape(site.path("id").asText()))
          .append("</code></td><td>")
          .append(escape(site.path("kind").asText()))
          .append("</td><td class=\"n\">")
          .append(escape(site.path("heads").asText()))
          .append(" × ")
          .append(escape(site.path("headDim").asText()))
          .append("</td><td class=\"n\">")
          .append(escape(tokens))
          .append("</td>");
      if (!site.path("sparsify").asBoolean()) {
        html.append("<td class=\"muted\" colspan=\"3\">dense: ")
            .append(escape(site.path("reason").asText()))
            .append("</td>");
      } else if (measured.isMissingNode()) {
        html.append("<td class=\"muted\" colspan=\"3\">sparse, not measured</td>");
      } else {
        html.append("<td>")
            .append(densityBar(measured))
            .append("</td><td class=\"n\">")
            .append(number(measured.path("recall").asDouble()))
            .append("</td><td class=\"n\">")
            .append(number(measured.path("asChosen").path("relativeL1").asDouble()))
            .append("</td>");
      }
      html.append("</tr>\n");
    }
    html.append("</table>\n");
    JsonNode open = report.path("notUnderstood");
    if (!open.isEmpty()) {
      html.append(
          "<h2>Not taken for attention</h2>\n<table><tr><th>softmax</th><th>why</th></tr>\n");
      for (JsonNode item : open) {
        html.append("<tr><td><code>")
            .append(escape(item.path("node").asText()))
            .append("</code></td><td>")
            .append(escape(item.path("reason").asText()))
            .append("</td></tr>\n");
      }
      html.append("</table>\n");
    }
  }

  private static JsonNode measured(JsonNode report, String id) {
    for (JsonNode site : report.path("verification").path("sites")) {
      if (site.path("id").asText().equals(id)) {
        return site;
      }
    }
    return com.fasterxml.jackson.databind.node.MissingNode.getInstance();
  }

  private static String densityBar(JsonNode site) {
    double density = site.path("density").asDouble();
    double low = site.path("minDensity").asDouble();
    double high = site.path("maxDensity").asDouble();
    return String.format(
        Locale.ROOT,
        "<svg width=\"%.0f\" height=\"16\" role=\"img\" aria-label=\"density %.3f\">"
            + "<rect width=\"%.1f\" height=\"16\" fill=\"#eef1f4\"/>"
            + "<rect width=\"%.1f\" height=\"16\" fill=\"#3b82c4\"/>"
            + "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"8\" y2=\"8\" stroke=\"#12324e\"/></svg> %.3f",
        BAR_WIDTH,
        density,
        BAR_WIDTH,
        BAR_WIDTH * density,
        BAR_WIDTH * low,
        BAR_WIDTH * high,
        density);
  }

  private void outputs(JsonNode report) {
    JsonNode verification = report.path("verification");
    if (verification.path("everythingKept").isEmpty() && verification.path("asChosen").isEmpty()) {
      return;
    }
    html.append("<h2>Outputs against the original</h2>\n<table><tr><th>run</th><th>output</th>")
        .append("<th class=\"n\">max error</th><th class=\"n\">mean error</th>")
        .append("<th class=\"n\">relative L1</th><th class=\"n\">cosine</th>")
        .append("<th class=\"n\">PSNR</th></tr>\n");
    outputRows("everything kept", verification.path("everythingKept"));
    outputRows("as chosen", verification.path("asChosen"));
    html.append("</table>\n");
  }

  private void outputRows(String run, JsonNode outputs) {
    for (JsonNode output : outputs) {
      html.append("<tr><td>")
          .append(run)
          .append("</td><td><code>")
          .append(escape(output.path("output").asText()))
          .append("</code></td><td class=\"n\">")
          .append(number(output.path("maxError").asDouble()))
          .append("</td><td class=\"n\">")
          .append(number(output.path("meanError").asDouble()))
          .append("</td><td class=\"n\">")
          .append(number(output.path("relativeL1").asDouble()))
          .append("</td><td class=\"n\">")
          .append(String.format(Locale.ROOT, "%.6f", output.path("cosine").asDouble()))
          .append("</td><td class=\"n\">")
          .append(
              output.path("psnr").isNumber()
                  ? String.format(Locale.ROOT, "%.1f dB", output.path("psnr").asDouble())
                  : "equal")
          .append("</td></tr>\n");
    }
  }

  private void operators(JsonNode report) {
    JsonNode changed = report.path("operators");
    if (changed.isEmpty()) {
      return;
    }
    html.append("<h2>Operators</h2>\n<table><tr><th>operator</th><th class=\"n\">before</th>")
        .append("<th class=\"n\">after</th></tr>\n");
    for (JsonNode row : changed) {
      if (row.path("before").asInt() != row.path("after").asInt()) {
        html.append("<tr><td><code>")
            .append(escape(row.path("operator").asText()))
            .append("</code></td><td class=\"n\">")
            .append(row.path("before").asInt())
            .append("</td><td class=\"n\">")
            .append(row.path("after").asInt())
            .append("</td></tr>\n");
      }
    }
    html.append(
        "</table>\n<p class=\"muted\">Operators whose number is unchanged are left out.</p>\n");
  }

  private void passes(JsonNode report) {
    html.append("<h2>Passes</h2>\n<table><tr><th>pass</th><th class=\"n\">changes or finds</th>")
        .append("<th class=\"n\">nodes before</th><th class=\"n\">nodes after</th>")
        .append("<th class=\"n\">ms</th></tr>\n");
    for (JsonNode pass : report.path("passes")) {
      html.append("<tr><td>")
          .append(escape(pass.path("pass").asText()))
          .append("</td><td class=\"n\">")
          .append(pass.path("changes").asInt())
          .append("</td><td class=\"n\">")
          .append(pass.path("nodesBefore").asInt())
          .append("</td><td class=\"n\">")
          .append(pass.path("nodesAfter").asInt())
          .append("</td><td class=\"n\">")
          .append(String.format(Locale.ROOT, "%.1f", pass.path("millis").asDouble()))
          .append("</td></tr>\n");
    }
    html.append("</table>\n");
  }

  private static String number(double value) {
    return value != 0 && Math.abs(value) < 0.001
        ? String.format(Locale.ROOT, "%.2e", value)
        : String.format(Locale.ROOT, "%.4f", value);
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
  }
}
