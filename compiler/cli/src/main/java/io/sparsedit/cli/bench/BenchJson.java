package io.sparsedit.cli.bench;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;

/** A report as JSON; docs/performance.md says what is in it. */
public final class BenchJson {
  private BenchJson() {}

  /** All that was measured. */
  public static ObjectNode of(BenchReport report) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("schemaVersion", 1);
    root.put("bundle", report.bundle().folder().toString());
    root.put("method", report.bundle().method());
    root.put("compiler", report.bundle().compiler());
    root.set("model", side(report.sparse()));
    report.dense().ifPresent(side -> root.set("denseEngine", side(side)));
    ArrayNode densities = root.putArray("density");
    for (PlanDensity density : report.densities()) {
      densities
          .addObject()
          .put("site", report.bundle().sites().get(density.site()).id())
          .put("mean", density.mean())
          .put("least", density.least())
          .put("most", density.most());
    }
    ArrayNode runs = root.putArray("schedules");
    report.runs().forEach(run -> run(runs.addObject(), run, report));
    report
        .whole()
        .ifPresent(
            whole -> {
              ObjectNode node = root.putObject("wholeRun");
              node.put("speedup", whole.speedup());
              numbers(node.putArray("milliseconds"), whole.sparse());
              numbers(node.putArray("denseMilliseconds"), whole.dense());
            });
    ArrayNode notes = root.putArray("notes");
    report.notes().forEach(notes::add);
    return root;
  }

  private static void run(ObjectNode node, ComputedRun run, BenchReport report) {
    double dense = run.timetable().steps() * report.denseStep().median();
    double sparse = run.milliseconds(report.sparse().steps());
    node.put("steps", run.timetable().steps()).put("denseSteps", run.denseSteps());
    run.denseWarmup().ifPresent(part -> node.put("denseWarmup", part));
    run.replanInterval().ifPresent(interval -> node.put("replanInterval", interval));
    node.put("milliseconds", sparse).put("denseMilliseconds", dense).put("speedup", dense / sparse);
    ObjectNode counts = node.putObject("stepCounts");
    Step.counts(run.timetable()).forEach((step, count) -> counts.put(step.label(), count));
  }

  private static ObjectNode side(BenchReport.Side side) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("backend", side.backend());
    side.memory()
        .ifPresent(
            memory ->
                node.put("engineBytes", memory.engine()).put("sessionBytes", memory.session()));
    ArrayNode steps = node.putArray("steps");
    for (Map.Entry<Step, Times> entry : side.steps().entrySet()) {
      Times times = entry.getValue();
      ObjectNode step = steps.addObject();
      step.put("action", entry.getKey().label());
      step.put("median", times.median());
      step.put("p10", times.quantile(.1));
      step.put("p90", times.quantile(.9));
      numbers(step.putArray("milliseconds"), times.milliseconds());
      List<BenchReport.Layer> layers = side.layers().getOrDefault(entry.getKey(), List.of());
      if (!layers.isEmpty()) {
        ObjectNode groups = step.putObject("groups");
        for (LayerGroup group : LayerGroup.values()) {
          groups.put(group.key(), BenchReport.sum(layers, group));
        }
        ArrayNode list = step.putArray("layers");
        layers.forEach(layer -> layer(list.addObject(), layer));
      }
    }
    return node;
  }

  private static void layer(ObjectNode node, BenchReport.Layer layer) {
    node.put("name", layer.name());
    node.put("group", layer.group().key());
    node.put("milliseconds", layer.milliseconds());
    ArrayNode nodes = node.putArray("nodes");
    layer.nodes().forEach(nodes::add);
  }

  private static void numbers(ArrayNode array, List<Double> values) {
    values.forEach(array::add);
  }
}
