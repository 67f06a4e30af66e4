package io.sparsedit.cli.bench;

import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Schedule;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The schedules whose runs are of interest. */
final class Schedules {
  private final Bundle bundle;
  private final BenchSetup setup;

  Schedules(Bundle bundle, BenchSetup setup) {
    this.bundle = bundle;
    this.setup = setup;
  }

  /** The bundle's own, of the length asked for. */
  Schedule own() {
    return Schedule.steps(setup.steps().orElse(bundle.defaultSteps()));
  }

  /**
   * The bundle's own schedule, and each dense warm-up with each re-plan interval that was asked
   * for.
   *
   * @throws io.sparsedit.runtime.ScheduleException if the bundle's state does not hold the plans
   *     that such a schedule re-uses, or its schedule is not of that kind
   */
  List<ComputedRun> runs() {
    List<ComputedRun> runs = new ArrayList<>();
    runs.add(new ComputedRun(Optional.empty(), Optional.empty(), own().resolve(bundle)));
    if (setup.denseWarmups().isEmpty() && setup.replanIntervals().isEmpty()) {
      return runs;
    }
    for (Optional<Double> warmup : options(setup.denseWarmups())) {
      for (Optional<Integer> interval : options(setup.replanIntervals())) {
        Schedule schedule = own();
        if (warmup.isPresent()) {
          schedule = schedule.withDenseWarmup(warmup.get());
        }
        if (interval.isPresent()) {
          schedule = schedule.withReplanInterval(interval.get());
        }
        runs.add(new ComputedRun(warmup, interval, schedule.resolve(bundle)));
      }
    }
    return runs;
  }

  /** Each of a list, or nothing once where it is empty. */
  private static <T> List<Optional<T>> options(List<T> list) {
    return list.isEmpty() ? List.of(Optional.empty()) : list.stream().map(Optional::of).toList();
  }
}
