package io.sparsedit.cli;

import io.sparsedit.compiler.rules.MatchTrace;
import io.sparsedit.passes.Inspection;
import io.sparsedit.passes.Site;
import io.sparsedit.passes.verify.ErrorMetrics;
import io.sparsedit.passes.verify.VerificationReport;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/** Results as text tables. */
final class ConsoleTables {
  private static final Pattern UNKNOWN_SIZE = Pattern.compile("\\?[^\\s,;:()\\[\\]*?]+");

  private ConsoleTables() {}

  static void inspection(PrintWriter out, Inspection inspection) {
    out.printf(
        "%s: %sopset %d, %d nodes%n",
        inspection.file(),
        inspection.producer().isEmpty() ? "" : inspection.producer() + ", ",
        inspection.opset(),
        inspection.nodeCount());
    inspection
        .geometry()
        .ifPresent(
            video ->
                out.printf(
                    "Video of %s tokens (frames x height x width), from %s%n",
                    video, inspection.geometrySource()));
    out.println();
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("site", "kind", "heads x dim", "tokens", "mask", "becomes"));
    for (Site site : inspection.sites()) {
      String tokens = site.shape().queryTokens().toString();
      if (!site.shape().queryTokens().equals(site.shape().keyTokens())) {
        tokens += " to " + site.shape().keyTokens();
      }
      rows.add(
          List.of(
              site.name(),
              site.kind().label(),
              site.shape().heads() + " x " + site.shape().headDim(),
              readable(tokens),
              site.masked() ? "yes" : "no",
              site.sparsify() ? "sparse" : "dense: " + readable(site.reason())));
    }
    table(out, rows);
    preparations(out, inspection);
    if (!inspection.notUnderstood().isEmpty()) {
      out.println();
      out.println("Not taken for attention:");
      inspection
          .notUnderstoodByReason()
          .forEach((reason, nodes) -> out.println("  " + nodes + ": " + reason));
    }
  }

  /** What each rule did, and where it came furthest without matching. */
  static void trace(PrintWriter out, List<MatchTrace.RuleStats> rules) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("rule", "attempts", "matches", "ms", "best partial match"));
    for (MatchTrace.RuleStats stats : rules) {
      rows.add(
          List.of(
              stats.rule().name(),
              String.valueOf(stats.attempts()),
              String.valueOf(stats.matches()),
              String.format(Locale.ROOT, "%.1f", stats.nanos() / 1e6),
              stats
                  .bestPartial()
                  .map(
                      failure ->
                          failure.matched().size()
                              + " nodes at "
                              + failure.root()
                              + ": "
                              + failure.reason()
                              + " ("
                              + failure.span().fileAndLine()
                              + ")")
                  .orElse("")));
    }
    table(out, rows);
  }

  /**
   * Sizes that nothing names, such as the number of elements that a NonZero finds, as a question
   * mark without the long name of the value that they belong to.
   */
  static String readable(String text) {
    return UNKNOWN_SIZE.matcher(text).replaceAll("?").replaceAll("\\?(?: \\+ \\?)+", "?");
  }

  /** QK-norms and rotary embeddings, each with the sites that have it. */
  private static void preparations(PrintWriter out, Inspection inspection) {
    Map<String, List<String>> sites = new LinkedHashMap<>();
    for (Site site : inspection.sites()) {
      if (site.preparation().isSomething()) {
        sites
            .computeIfAbsent(readable(site.preparation().toString()), text -> new ArrayList<>())
            .add(site.name());
      }
    }
    if (!sites.isEmpty()) {
      out.println();
      out.println("In front of Q and K:");
      sites.forEach((text, names) -> out.println("  " + text + ": " + String.join(", ", names)));
    }
  }

  /** Sentences of their own. */
  static void notes(PrintWriter out, List<String> notes) {
    if (!notes.isEmpty()) {
      out.println();
      notes.forEach(out::println);
    }
  }

  static void verification(PrintWriter out, VerificationReport report) {
    out.println();
    out.println("Verification (" + report.mode().label() + "): " + report.note());
    List<List<String>> rows = new ArrayList<>();
    if (!report.everythingKept().isEmpty() || !report.sites().isEmpty()) {
      rows.add(
          List.of(
              "what",
              "settings",
              "density",
              "recall",
              "max error",
              "mean error",
              "relative L1",
              "cosine",
              "PSNR"));
    }
    for (VerificationReport.OutputError output : report.everythingKept()) {
      rows.add(row("output " + output.output(), "everything kept", "", "", output.error()));
    }
    for (VerificationReport.OutputError output : report.asChosen()) {
      rows.add(row("output " + output.output(), "as chosen", "", "", output.error()));
    }
    for (VerificationReport.SiteError site : report.sites()) {
      String what = "site " + site.site() + " (" + site.tokens() + " tokens)";
      rows.add(row(what, "everything kept", "", "", site.everythingKept()));
      rows.add(
          row(
              what,
              "as chosen",
              fraction(site.density()),
              fraction(site.recall()),
              site.asChosen()));
    }
    table(out, rows);
    if (report.failures().isEmpty() && !rows.isEmpty()) {
      out.printf(
          Locale.ROOT,
          report.everythingKept().isEmpty()
              ? "With everything kept each site equals dense attention (tolerance %.0e).%n"
              : "With everything kept the result equals the dense model (tolerance %.0e).%n",
          report.tolerance());
    }
  }

  private static List<String> row(
      String what, String settings, String density, String recall, ErrorMetrics error) {
    return List.of(
        what,
        settings,
        density,
        recall,
        small(error.maxError()),
        small(error.meanError()),
        small(error.relativeL1()),
        String.format(Locale.ROOT, "%.6f", error.cosine()),
        Double.isFinite(error.psnr())
            ? String.format(Locale.ROOT, "%.1f dB", error.psnr())
            : "equal");
  }

  private static String fraction(double value) {
    return String.format(Locale.ROOT, "%.3f", value);
  }

  private static String small(double value) {
    return String.format(Locale.ROOT, "%.2e", value);
  }

  static void table(PrintWriter out, List<List<String>> rows) {
    if (rows.isEmpty()) {
      return;
    }
    int[] widths = new int[rows.get(0).size()];
    for (List<String> row : rows) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row.get(i).length());
      }
    }
    for (List<String> row : rows) {
      StringBuilder line = new StringBuilder();
      for (int i = 0; i < widths.length; i++) {
        line.append(row.get(i));
        if (i + 1 < widths.length) {
          line.append(" ".repeat(widths[i] - row.get(i).length() + 2));
        }
      }
      out.println(line.toString().stripTrailing());
    }
  }
}
