package io.sparsedit.passes.report;

import static io.sparsedit.passes.report.HtmlPage.code;
import static io.sparsedit.passes.report.HtmlPage.escape;
import static io.sparsedit.passes.report.HtmlPage.rowHtml;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import io.sparsedit.passes.SiteSchedule;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;

/**
 * {@code report.html}: one page without scripts or network, made from {@code report.json}.
 *
 * <p>Shows what was made of the model, the sites in graph order with their density as bars (inline
 * SVG), the errors that the verification measured, the operators before and after, and what each
 * pass did.
 */
public final class ReportHtml {
  private static final double BAR_WIDTH = 200;
  private static final double[] TICKS = {0, .25, .5, .75, 1};

  private final JsonNode report;
  private final HtmlPage page;

  private ReportHtml(JsonNode report) {
    this.report = report;
    this.page = new HtmlPage("SparseDiT: " + report.path("model").asText(), "SparseDiT report");
  }

  /** The page for a {@code report.json}. */
  public static String of(JsonNode report) {
    ReportHtml html = new ReportHtml(report);
    html.summary();
    html.sites();
    html.notUnderstood();
    html.outputs();
    html.words();
    html.operators();
    html.passes();
    return html.page.close();
  }

  // ---- summary ----------------------------------------------------------------------------------

  private void summary() {
    page.html(
        "<p class=\"muted\">%s · %s · opset %s · %s nodes</p>%n<dl>%n"
            .formatted(
                code(report.path("model").asText()),
                escape(report.path("producer").asText()),
                report.path("opset").asText(),
                report.path("nodes").asText()));
    List<JsonNode> sites = list(report.path("sites"));
    long sparse = sites.stream().filter(site -> site.path("sparsify").asBoolean()).count();
    item("Sparse", sparse + " of " + sites.size() + " attention sites");
    item("Method", settings(report.path("method")));
    schedule(report.path("schedule")).ifPresent(text -> item("Schedule", text));
    JsonNode geometry = report.path("geometry");
    if (geometry.hasNonNull("frames")) {
      item(
          "Video",
          "%s × %s × %s tokens (frames × height × width), from %s"
              .formatted(
                  geometry.path("frames").asText(),
                  geometry.path("height").asText(),
                  geometry.path("width").asText(),
                  geometry.path("source").asText()));
    }
    verification(report.path("verification"));
    page.html("</dl>\n");
  }

  private void item(String term, String text) {
    itemHtml(term, escape(text));
  }

  private void itemHtml(String term, String markup) {
    page.html("<dt>" + escape(term) + "</dt><dd>" + markup + "</dd>\n");
  }

  private static String settings(JsonNode method) {
    String settings =
        method.path("settings").properties().stream()
            .map(field -> field.getKey() + " " + field.getValue().asText())
            .collect(Collectors.joining(", "));
    return method.path("name").asText() + (settings.isEmpty() ? "" : ": " + settings);
  }

  private static Optional<String> schedule(JsonNode schedule) {
    if (!schedule.isObject()) {
      return Optional.empty();
    }
    String preset = schedule.path("preset").asText();
    int steps = schedule.path("steps").asInt();
    String plans;
    if (schedule.has("searchSteps")) {
      plans =
          "plans at steps "
              + list(schedule.path("searchSteps")).stream()
                  .map(JsonNode::asText)
                  .collect(Collectors.joining(", "))
              + " (counted from 0), dense until the first";
    } else {
      int interval = schedule.path("replanInterval").asInt();
      plans =
          String.format(
              Locale.ROOT,
              "the first %d dense%s, then %s",
              SiteSchedule.denseSteps(schedule.path("denseWarmup").asDouble(), steps),
              schedule.path("planDuringWarmup").asBoolean() ? " with the planner beside them" : "",
              interval == 1 ? "a new plan every step" : "a new plan every " + interval + " steps");
    }
    return Optional.of(steps + " steps, " + plans + " (preset " + preset + ")");
  }

  private void verification(JsonNode verification) {
    if (!verification.isObject()) {
      return;
    }
    if (verification.path("mode").asText().equals("none")) {
      item("Verification", "none was asked for");
      return;
    }
    boolean passed = verification.path("passed").asBoolean();
    StringBuilder text = new StringBuilder();
    text.append(passed ? "<span class=\"ok\">passed</span>" : "<span class=\"bad\">failed</span>")
        .append(" (")
        .append(escape(verification.path("note").asText()))
        .append("): with everything kept, equal to the original within ")
        .append(String.format(Locale.ROOT, "%.0e", verification.path("tolerance").asDouble()));
    for (JsonNode failure : verification.path("failures")) {
      text.append("<br><span class=\"bad\">").append(escape(failure.asText())).append("</span>");
    }
    itemHtml("Verification", text.toString());
  }

  // ---- sites ------------------------------------------------------------------------------------

  private void sites() {
    List<Boolean> numeric = List.of(false, false, true, true, true, false, true, true);
    List<String> rows = new ArrayList<>();
    for (JsonNode site : report.path("sites")) {
      rows.add(site(site, numeric));
    }
    page.heading("Attention sites")
        .tableHtml(
            List.of(
                "site",
                "kind",
                "heads × dim",
                "tokens",
                "density",
                scale(),
                "recall",
                "relative L1"),
            numeric,
            rows);
    if (!report.path("verification").path("sites").isEmpty()) {
      page.note(
          "Bar: mean density over the heads; line: from the least dense head to the most dense.");
    }
  }

  private String site(JsonNode site, List<Boolean> numeric) {
    String tokens = site.path("queryTokens").asText();
    if (!site.path("keyTokens").equals(site.path("queryTokens"))) {
      tokens += " → " + site.path("keyTokens").asText();
    }
    List<String> cells =
        new ArrayList<>(
            List.of(
                code(site.path("id").asText()),
                escape(site.path("kind").asText()),
                escape(site.path("heads").asText() + " × " + site.path("headDim").asText()),
                escape(tokens)));
    JsonNode measured = measured(site.path("id").asText());
    if (site.path("sparsify").asBoolean() && measured.isObject()) {
      cells.add(String.format(Locale.ROOT, "%.3f", measured.path("density").asDouble()));
      cells.add(densityBar(measured));
      cells.add(number(measured.path("recall")));
      cells.add(number(measured.path("asChosen").path("relativeL1")));
      return rowHtml(numeric, cells);
    }
    String why =
        site.path("sparsify").asBoolean()
            ? "sparse, not measured"
            : "dense: " + site.path("reason").asText();
    return rowHtml(
        numeric, cells, "<td></td><td class=\"muted\" colspan=\"3\">" + escape(why) + "</td>");
  }

  private JsonNode measured(String id) {
    return list(report.path("verification").path("sites")).stream()
        .filter(site -> site.path("id").asText().equals(id))
        .findFirst()
        .orElse(MissingNode.getInstance());
  }

  /** The scale of the bars below it. */
  private static String scale() {
    StringBuilder svg =
        new StringBuilder(
            String.format(
                Locale.ROOT,
                "<svg width=\"%.0f\" height=\"16\" role=\"img\" aria-label=\"kept fraction from 0 to"
                    + " 1\">",
                BAR_WIDTH));
    for (double tick : TICKS) {
      svg.append(
          String.format(
              Locale.ROOT,
              "<text class=\"scale\" x=\"%.1f\" y=\"12\" text-anchor=\"%s\">%s</text>",
              BAR_WIDTH * tick,
              tick == 0 ? "start" : tick == 1 ? "end" : "middle",
              tick == 0 || tick == 1
                  ? String.format(Locale.ROOT, "%.0f", tick)
                  : String.format(Locale.ROOT, "%.2f", tick).substring(1)));
    }
    return svg.append("</svg>").toString();
  }

  private static String densityBar(JsonNode site) {
    double density = site.path("density").asDouble();
    double low = BAR_WIDTH * site.path("minDensity").asDouble();
    double high = BAR_WIDTH * site.path("maxDensity").asDouble();
    StringBuilder svg =
        new StringBuilder(
            String.format(
                Locale.ROOT,
                "<svg width=\"%.0f\" height=\"18\" role=\"img\" aria-label=\"density %.3f, heads from"
                    + " %.3f to %.3f\"><rect class=\"track\" y=\"2\" width=\"%.1f\" height=\"14\"/>"
                    + "<rect class=\"bar\" y=\"2\" width=\"%.1f\" height=\"14\"/>",
                BAR_WIDTH,
                density,
                low / BAR_WIDTH,
                high / BAR_WIDTH,
                BAR_WIDTH,
                BAR_WIDTH * density));
    for (double tick : TICKS) {
      double x = Math.min(BAR_WIDTH - .5, Math.max(.5, BAR_WIDTH * tick));
      svg.append(String.format(Locale.ROOT, "<path class=\"tick\" d=\"M%.1f 0V18\"/>", x));
    }
    if (high - low >= 1) {
      svg.append(
          String.format(
              Locale.ROOT,
              "<path class=\"range\" d=\"M%.1f 9H%.1fM%.1f 5V13M%.1f 5V13\"/>",
              low,
              high,
              low,
              high));
    }
    return svg.append("</svg>").toString();
  }

  private void notUnderstood() {
    JsonNode open = report.path("notUnderstood");
    if (open.isEmpty()) {
      return;
    }
    List<Boolean> numeric = List.of(false, false);
    List<String> rows = new ArrayList<>();
    for (JsonNode item : open) {
      rows.add(
          rowHtml(
              numeric,
              List.of(code(item.path("node").asText()), escape(item.path("reason").asText()))));
    }
    page.heading("Not taken for attention").tableHtml(List.of("softmax", "why"), numeric, rows);
  }

  // ---- the verification -------------------------------------------------------------------------

  private void outputs() {
    JsonNode verification = report.path("verification");
    if (verification.path("everythingKept").isEmpty() && verification.path("asChosen").isEmpty()) {
      return;
    }
    List<Boolean> numeric = List.of(false, false, true, true, true, true, true);
    List<String> rows = new ArrayList<>();
    for (JsonNode output : verification.path("everythingKept")) {
      rows.add(output("everything kept", output, numeric));
    }
    for (JsonNode output : verification.path("asChosen")) {
      rows.add(output("as chosen", output, numeric));
    }
    page.heading("Outputs of one step against the original")
        .tableHtml(
            List.of(
                "settings", "output", "max error", "mean error", "relative L1", "cosine", "PSNR"),
            numeric,
            rows);
  }

  private static String output(String settings, JsonNode output, List<Boolean> numeric) {
    return rowHtml(
        numeric,
        List.of(
            settings,
            code(output.path("output").asText()),
            number(output.path("maxError")),
            number(output.path("meanError")),
            number(output.path("relativeL1")),
            String.format(Locale.ROOT, "%.6f", output.path("cosine").asDouble()),
            output.path("psnr").isNumber()
                ? String.format(Locale.ROOT, "%.1f dB", output.path("psnr").asDouble())
                : "equal"));
  }

  private void words() {
    if (!report.path("verification").path("sites").isEmpty()) {
      page.note(
          "Density: kept fraction of the query-key pairs. Recall: attention mass of the kept pairs."
              + " Relative L1: sum of the absolute differences over the sum of the original's"
              + " absolute values. Everything kept: the same code with no pair left out, which must"
              + " equal the original; as chosen: with the settings above, an approximation. Random"
              + " inputs and random weights have less structure than a trained model in use:"
              + " 'verify --inputs' and 'quality' measure that.");
    }
  }

  // ---- what the compiler did --------------------------------------------------------------------

  private void operators() {
    List<Boolean> numeric = List.of(false, true, true);
    List<String> rows = new ArrayList<>();
    for (JsonNode row : report.path("operators")) {
      if (row.path("before").asInt() != row.path("after").asInt()) {
        rows.add(
            rowHtml(
                numeric,
                List.of(
                    code(row.path("operator").asText()),
                    row.path("before").asText(),
                    row.path("after").asText())));
      }
    }
    if (!rows.isEmpty()) {
      page.heading("Operators")
          .tableHtml(List.of("operator", "before", "after"), numeric, rows)
          .note("Operators whose number is unchanged are left out.");
    }
  }

  private void passes() {
    List<Boolean> numeric = List.of(false, true, true, true, true);
    List<String> rows = new ArrayList<>();
    for (JsonNode pass : report.path("passes")) {
      rows.add(
          rowHtml(
              numeric,
              List.of(
                  escape(pass.path("pass").asText()),
                  pass.path("changes").asText(),
                  pass.path("nodesBefore").asText(),
                  pass.path("nodesAfter").asText(),
                  String.format(Locale.ROOT, "%.1f", pass.path("millis").asDouble()))));
    }
    page.heading("Passes")
        .tableHtml(
            List.of("pass", "changes or finds", "nodes before", "nodes after", "ms"),
            numeric,
            rows);
  }

  private static List<JsonNode> list(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false).toList();
  }

  private static String number(JsonNode value) {
    double number = value.asDouble();
    return number != 0 && Math.abs(number) < 0.001
        ? String.format(Locale.ROOT, "%.2e", number)
        : String.format(Locale.ROOT, "%.4f", number);
  }
}
