package io.sparsedit.cli.bench;

import io.sparsedit.compiler.Progress;
import io.sparsedit.runtime.LayerTime;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A loaded model and what was measured of it so far. */
final class MeasuredModel {
  private static final int LAYER_RUNS = 3;

  private final Model model;
  private final StepTimer timer;
  private final LayerGroups groups;
  private final Map<Step, List<BenchReport.Layer>> layers = new LinkedHashMap<>();

  MeasuredModel(Model model, Map<String, Tensor> inputs, LayerGroups groups, Progress progress) {
    this.model = model;
    this.timer = new StepTimer(model, inputs, progress);
    this.groups = groups;
  }

  StepTimer timer() {
    return timer;
  }

  void timeLayers(List<Step> steps) {
    timer.timeLayers(steps, LAYER_RUNS).forEach((step, runs) -> layers.put(step, medians(runs)));
  }

  /** Each layer with the median of its times; an engine runs the same layers every time. */
  private List<BenchReport.Layer> medians(List<List<LayerTime>> runs) {
    List<BenchReport.Layer> medians = new ArrayList<>();
    List<LayerTime> first = runs.get(0);
    for (int i = 0; i < first.size(); i++) {
      int layer = i;
      List<Double> times =
          runs.stream()
              .filter(run -> run.size() == first.size())
              .map(run -> run.get(layer).milliseconds())
              .toList();
      LayerTime time = first.get(i);
      medians.add(
          new BenchReport.Layer(
              time.layer(), groups.of(time), time.nodes(), new Times(times).median()));
    }
    return medians;
  }

  /** Free bytes of GPU memory, also after the model was closed; 0 on a CPU. */
  long freeGpuMemory() {
    return model.freeGpuMemory().orElse(0);
  }

  /**
   * What was measured.
   *
   * @param free GPU memory that was free without a session
   * @param engineBytes what the engine itself took
   */
  BenchReport.Side toSide(long free, long engineBytes) {
    long session = free - timer.leastFreeGpuMemory().orElse(free);
    return new BenchReport.Side(
        model.backend(),
        timer.times(),
        layers,
        BenchReport.Memory.ofDifferences(engineBytes, session));
  }
}
