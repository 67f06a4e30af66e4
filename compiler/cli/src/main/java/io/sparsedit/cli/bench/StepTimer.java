package io.sparsedit.cli.bench;

import io.sparsedit.compiler.Progress;
import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.LayerTime;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Rule;
import io.sparsedit.runtime.Schedule;
import io.sparsedit.runtime.Session;
import io.sparsedit.runtime.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

/**
 * Times the steps of a model as its caller sees them: a call of {@link Session#run} each, with the
 * copies of inputs and outputs.
 */
final class StepTimer {
  private final Model model;
  private final Map<String, Tensor> inputs;
  private final Progress progress;
  private final Map<Step, List<Double>> times = new LinkedHashMap<>();
  private long leastFree = Long.MAX_VALUE;

  StepTimer(Model model, Map<String, Tensor> inputs, Progress progress) {
    this.model = model;
    this.inputs = inputs;
    this.progress = progress;
  }

  /** What is looked at before a session is closed. */
  interface Look {
    void at(Session session);
  }

  /**
   * Times some runs of each kind of step, all in one session that begins with a cold plan.
   *
   * @param warmUp runs of each kind before those that are timed
   * @param runs runs that are timed, added to earlier ones
   * @param afterwards looks at the session at the end
   */
  void time(List<Step> steps, int warmUp, int runs, Look afterwards) {
    List<Step> list = listed(steps, warmUp + runs);
    try (Session session = model.newSession(schedule(list))) {
      Map<String, Tensor> outputs = session.newOutputs(inputs);
      session.run(0, 0, inputs, outputs);
      int at = 1;
      for (Step step : steps) {
        progress.stage("time " + step.label() + " on " + model.backend());
        for (int run = 0; run < warmUp + runs; run++) {
          double milliseconds = run(session, at++, outputs);
          if (run >= warmUp) {
            times.computeIfAbsent(step, any -> new ArrayList<>()).add(milliseconds);
          }
        }
        lookAtMemory();
      }
      afterwards.at(session);
    }
  }

  /** Times the layers of each kind of step; the layers of each run. */
  Map<Step, List<List<LayerTime>>> timeLayers(List<Step> steps, int runs) {
    Map<Step, List<List<LayerTime>>> layers = new LinkedHashMap<>();
    try (Session session = model.newSession(schedule(listed(steps, 1 + runs)))) {
      session.timeLayers();
      Map<String, Tensor> outputs = session.newOutputs(inputs);
      session.run(0, 0, inputs, outputs);
      int at = 1;
      for (Step step : steps) {
        progress.stage("time the layers of " + step.label() + " on " + model.backend());
        for (int run = 0; run < 1 + runs; run++) {
          session.run(at++, 0, inputs, outputs);
          List<LayerTime> timed = session.layerTimes();
          if (run > 0 && !timed.isEmpty()) {
            layers.computeIfAbsent(step, any -> new ArrayList<>()).add(timed);
          }
        }
      }
    }
    return layers;
  }

  /** Runs a schedule from its first to its last step; the time of each step. */
  List<Double> runWhole(Schedule schedule) {
    List<Double> steps = new ArrayList<>();
    try (Session session = model.newSession(schedule)) {
      Map<String, Tensor> outputs = session.newOutputs(inputs);
      int count = session.timetable().steps();
      progress.stage("run " + count + " steps on " + model.backend());
      // What an engine prepares in its first step is no part of the run.
      run(session, 0, outputs);
      for (int step = 0; step < count; step++) {
        steps.add(run(session, step, outputs));
      }
    }
    return steps;
  }

  private double run(Session session, int step, Map<String, Tensor> outputs) {
    long start = System.nanoTime();
    session.run(step, 0, inputs, outputs);
    return (System.nanoTime() - start) / 1e6;
  }

  private void lookAtMemory() {
    OptionalLong free = model.freeGpuMemory();
    leastFree = Math.min(leastFree, free.orElse(Long.MAX_VALUE));
  }

  /** What was timed so far. */
  Map<Step, Times> times() {
    Map<Step, Times> out = new LinkedHashMap<>();
    times.forEach((step, list) -> out.put(step, new Times(list)));
    return out;
  }

  /** The least free GPU memory while a session was open; empty on a CPU. */
  OptionalLong leastFreeGpuMemory() {
    return leastFree == Long.MAX_VALUE ? OptionalLong.empty() : OptionalLong.of(leastFree);
  }

  private List<Step> listed(List<Step> steps, int runs) {
    List<Step> list = new ArrayList<>();
    list.add(Step.of(Action.PLAN_SPARSE_COLD, model.bundle().sites().size()));
    for (Step step : steps) {
      for (int run = 0; run < runs; run++) {
        list.add(step);
      }
    }
    return list;
  }

  private Schedule schedule(List<Step> list) {
    Schedule schedule = Schedule.dense(list.size());
    for (Bundle.Site site : model.bundle().sites()) {
      List<Action> own = list.stream().map(step -> step.actions().get(site.index())).toList();
      schedule = schedule.withSite(site.index(), new Rule.Listed(own));
    }
    return schedule;
  }
}
