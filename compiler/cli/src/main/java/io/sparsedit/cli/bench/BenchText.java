package io.sparsedit.cli.bench;

import io.sparsedit.runtime.Action;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;

/** A report as text: lines, and tables of rows with the header first. */
public final class BenchText {
  private final BenchReport report;
  private final int layers;

  /**
   * Text of a report.
   *
   * @param layers how many layers of each kind of step are listed
   */
  public BenchText(BenchReport report, int layers) {
    this.report = report;
    this.layers = layers;
  }

  /**
   * A part of the text.
   *
   * @param title what it shows
   * @param rows a table, the header first
   */
  public record Part(String title, List<List<String>> rows) {}

  /** What was measured, and on what. */
  public String title() {
    return report.bundle() + " on " + report.sparse().backend();
  }

  /** All tables. */
  public List<Part> parts() {
    List<Part> parts = new ArrayList<>();
    parts.add(new Part("Steps, as the caller sees them: ms", steps()));
    if (!report.sparse().layers().isEmpty()) {
      parts.add(new Part("Where the time of a step goes, layers timed one by one: ms", groups()));
    }
    parts.add(new Part("Speed-ups over dense steps (" + denseName() + ")", speedups()));
    parts.add(new Part("Whole runs", runs()));
    if (!report.densities().isEmpty()) {
      parts.add(new Part("Density of the plans, of pairs of video tokens", densities()));
    }
    List<List<String>> memory = memory();
    if (memory.size() > 1) {
      parts.add(new Part("GPU memory: GB", memory));
    }
    if (layers > 0) {
      report
          .sparse()
          .layers()
          .forEach((step, list) -> parts.add(new Part("Layers of " + step.label(), longest(list))));
      report
          .dense()
          .ifPresent(
              side ->
                  side.layers()
                      .values()
                      .forEach(
                          list -> parts.add(new Part("Layers of " + denseName(), longest(list)))));
    }
    return parts;
  }

  /** What could not be measured, and why. */
  public List<String> notes() {
    List<String> notes = new ArrayList<>(report.notes());
    if (report.dense().isEmpty()) {
      notes.add(
          "dense steps here are those of this bundle's own model, not of a dense engine of the"
              + " original graph");
    }
    return notes;
  }

  private String denseName() {
    return report.dense().isPresent() ? "the dense engine" : "action DENSE of this model";
  }

  private List<List<String>> steps() {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("step", "median", "10 %", "90 %", "steps", "against dense"));
    double dense = report.denseStep().median();
    report.dense().ifPresent(side -> rows.add(step("dense engine", report.denseStep(), dense)));
    report.sparse().steps().forEach((step, times) -> rows.add(step(step.label(), times, dense)));
    return rows;
  }

  private static List<String> step(String label, Times times, double dense) {
    return List.of(
        label,
        milliseconds(times.median()),
        milliseconds(times.quantile(.1)),
        milliseconds(times.quantile(.9)),
        Integer.toString(times.count()),
        factor(dense / times.median()));
  }

  private List<List<String>> groups() {
    List<String> header = new ArrayList<>(List.of("layers"));
    List<List<BenchReport.Layer>> columns = new ArrayList<>();
    report
        .dense()
        .ifPresent(
            side ->
                side.layers()
                    .values()
                    .forEach(
                        list -> {
                          header.add("dense engine");
                          columns.add(list);
                        }));
    report
        .sparse()
        .layers()
        .forEach(
            (step, list) -> {
              header.add(step.label());
              columns.add(list);
            });
    List<List<String>> rows = new ArrayList<>(List.of(header));
    for (LayerGroup group : LayerGroup.values()) {
      List<String> row = new ArrayList<>(List.of(group.label()));
      boolean any = false;
      for (List<BenchReport.Layer> column : columns) {
        double sum = BenchReport.sum(column, group);
        any |= sum > 0;
        row.add(milliseconds(sum));
      }
      if (any) {
        rows.add(row);
      }
    }
    List<String> sums = new ArrayList<>(List.of("all"));
    for (List<BenchReport.Layer> column : columns) {
      sums.add(milliseconds(column.stream().mapToDouble(BenchReport.Layer::milliseconds).sum()));
    }
    rows.add(sums);
    return rows;
  }

  private List<List<String>> speedups() {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("what", "speed-up", "dense ms", "sparse ms"));
    int sites = report.bundle().sites().size();
    Step planned = Step.of(Action.PLAN_SPARSE, sites);
    Step reused = Step.of(Action.REUSE_SPARSE, sites);
    OptionalDouble dense = report.denseAttention();
    OptionalDouble attention = report.sparse().group(planned, LayerGroup.ATTENTION);
    OptionalDouble planner = report.sparse().group(planned, LayerGroup.PLANNER);
    if (dense.isPresent() && attention.isPresent() && planner.isPresent()) {
      double both = attention.getAsDouble() + planner.getAsDouble();
      rows.add(speedup("attention alone", dense.getAsDouble(), attention.getAsDouble()));
      rows.add(speedup("attention and its planner", dense.getAsDouble(), both));
    }
    double denseStep = report.denseStep().median();
    for (Step step : List.of(planned, reused)) {
      Times times = report.sparse().steps().get(step);
      if (times != null) {
        rows.add(speedup("a sparse step, " + step.label(), denseStep, times.median()));
      }
    }
    return rows;
  }

  private static List<String> speedup(String what, double dense, double sparse) {
    return List.of(what, factor(dense / sparse), milliseconds(dense), milliseconds(sparse));
  }

  private List<List<String>> runs() {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("schedule", "steps", "of them dense", "dense s", "s", "speed-up", ""));
    for (ComputedRun run : report.runs()) {
      int steps = run.timetable().steps();
      double dense = steps * report.denseStep().median();
      double sparse = run.milliseconds(report.sparse().steps());
      rows.add(row(run.label(), steps, run.denseSteps(), dense, sparse, "computed of the steps"));
    }
    ComputedRun own = report.runs().get(0);
    report
        .whole()
        .ifPresent(
            whole ->
                rows.add(
                    row(
                        own.label(),
                        whole.sparse().size(),
                        own.denseSteps(),
                        BenchReport.WholeRun.sum(whole.dense()),
                        BenchReport.WholeRun.sum(whole.sparse()),
                        "run")));
    return rows;
  }

  private static List<String> row(
      String label, int steps, int denseSteps, double dense, double sparse, String how) {
    return List.of(
        label,
        Integer.toString(steps),
        Integer.toString(denseSteps),
        seconds(dense),
        seconds(sparse),
        factor(dense / sparse),
        how);
  }

  private List<List<String>> densities() {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("site", "density", "least dense head", "densest head"));
    for (PlanDensity density : report.densities()) {
      rows.add(
          List.of(
              report.bundle().sites().get(density.site()).id(),
              number("%.4f", density.mean()),
              number("%.4f", density.least()),
              number("%.4f", density.most())));
    }
    return rows;
  }

  private List<List<String>> memory() {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("engine", "with its weights", "a session", "together"));
    report
        .dense()
        .flatMap(BenchReport.Side::memory)
        .ifPresent(memory -> rows.add(memory("dense engine", memory)));
    report.sparse().memory().ifPresent(memory -> rows.add(memory("this bundle's", memory)));
    return rows;
  }

  private static List<String> memory(String label, BenchReport.Memory memory) {
    return List.of(
        label,
        number("%.2f", memory.engine() / 1e9),
        number("%.2f", memory.session() / 1e9),
        number("%.2f", (memory.engine() + memory.session()) / 1e9));
  }

  private List<List<String>> longest(List<BenchReport.Layer> all) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("ms", "group", "layer"));
    all.stream()
        .sorted(Comparator.comparingDouble(BenchReport.Layer::milliseconds).reversed())
        .limit(layers)
        .map(
            layer ->
                List.of(number("%.4f", layer.milliseconds()), layer.group().label(), layer.name()))
        .forEach(rows::add);
    return rows;
  }

  private static String milliseconds(double value) {
    return number(value < 10 ? "%.3f" : "%.1f", value);
  }

  private static String seconds(double milliseconds) {
    return number(milliseconds < 1000 ? "%.4f" : "%.2f", milliseconds / 1000);
  }

  private static String factor(double value) {
    return number("%.2fx", value);
  }

  private static String number(String format, double value) {
    return String.format(Locale.ROOT, format, value);
  }
}
