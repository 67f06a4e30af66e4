package io.sparsedit.cli.bench;

import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Timetable;
import java.util.Map;
import java.util.Optional;

/**
 * A run whose time follows from those of its steps.
 *
 * @param denseWarmup the fraction of its steps that is dense first; empty for the bundle's own
 * @param replanInterval how many sparse steps share a plan; empty for the bundle's own
 * @param timetable what its steps do
 */
record ComputedRun(
    Optional<Double> denseWarmup, Optional<Integer> replanInterval, Timetable timetable) {
  /** Its time by the medians of its steps, in milliseconds. */
  double milliseconds(Map<Step, Times> times) {
    double sum = 0;
    for (Map.Entry<Step, Integer> count : Step.counts(timetable).entrySet()) {
      Times step = times.get(count.getKey());
      if (step == null) {
        throw new IllegalStateException("not timed: " + count.getKey().label());
      }
      sum += count.getValue() * step.median();
    }
    return sum;
  }

  /** How many of its steps are dense at every site. */
  int denseSteps() {
    int dense = 0;
    for (int step = 0; step < timetable.steps(); step++) {
      dense += timetable.actions(step).stream().anyMatch(Action::isSparse) ? 0 : 1;
    }
    return dense;
  }

  /** As in {@code the bundle's own schedule} or {@code 10 % dense, a plan for 2 steps}. */
  String label() {
    if (denseWarmup.isEmpty() && replanInterval.isEmpty()) {
      return "the bundle's own";
    }
    String warmup =
        denseWarmup.map(part -> Math.round(part * 1000) / 10.0 + " % dense").orElse("own warm-up");
    return replanInterval
        .map(interval -> warmup + ", re-plan every " + interval)
        .orElse(warmup + ", own re-plan interval")
        .replace(".0 %", " %");
  }
}
