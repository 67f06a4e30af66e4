package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What the user says of the schedule; what is left open is as published for the model and method.
 *
 * @param preset the model whose published settings hold
 * @param steps denoising steps
 * @param denseWarmup the fraction of the steps that runs dense first, 0 to 1
 * @param replanInterval how many sparse steps share a plan, at least 1
 * @param planDuringWarmup whether the planner runs in the dense steps too
 * @param searchSteps the steps that plan, counted from 0, instead of all these
 */
public record ScheduleOptions(
    Optional<Preset> preset,
    OptionalInt steps,
    Optional<Double> denseWarmup,
    OptionalInt replanInterval,
    Optional<Boolean> planDuringWarmup,
    Optional<List<Integer>> searchSteps) {

  /** More no session takes. */
  private static final int MOST_STEPS = 100_000;

  /** As published for the most similar model. */
  public static final ScheduleOptions PUBLISHED =
      new ScheduleOptions(
          Optional.empty(),
          OptionalInt.empty(),
          Optional.empty(),
          OptionalInt.empty(),
          Optional.empty(),
          Optional.empty());

  /** Checks the ranges. */
  public ScheduleOptions {
    searchSteps = searchSteps.map(List::copyOf);
    if (steps.isPresent() && steps.getAsInt() < 1) {
      throw SparsifyException.usage("--steps must be at least 1, not " + steps.getAsInt());
    }
    if (steps.isPresent() && steps.getAsInt() > MOST_STEPS) {
      throw SparsifyException.usage(
          "--steps must be at most " + MOST_STEPS + ", not " + steps.getAsInt());
    }
    if (denseWarmup.isPresent() && !(denseWarmup.get() >= 0 && denseWarmup.get() <= 1)) {
      throw SparsifyException.usage("--dense-warmup must be from 0 to 1, not " + denseWarmup.get());
    }
    if (replanInterval.isPresent() && replanInterval.getAsInt() < 1) {
      throw SparsifyException.usage(
          "--replan-interval must be at least 1, not " + replanInterval.getAsInt());
    }
    if (searchSteps.isPresent()) {
      checkSearches(searchSteps.get());
      if (denseWarmup.isPresent() || replanInterval.isPresent() || planDuringWarmup.isPresent()) {
        throw SparsifyException.usage(
            "--search-steps says all of the schedule: leave out --dense-warmup,"
                + " --replan-interval and --plan-during-warmup");
      }
    }
  }

  private static void checkSearches(List<Integer> at) {
    int last = -1;
    for (int step : at) {
      if (step <= last) {
        throw SparsifyException.usage("--search-steps must ascend from 0 or above, not " + at);
      }
      last = step;
    }
    if (at.isEmpty()) {
      throw SparsifyException.usage("--search-steps needs a step");
    }
  }

  /** The number of steps. */
  int steps(Preset published) {
    return steps.orElse(published.steps());
  }

  /** Dense warm-up, then a plan every so many steps. */
  SiteSchedule periodic(Preset published, boolean planDuringWarmupByDefault) {
    if (searchSteps.isPresent()) {
      return searchesAt(searchSteps.get(), published);
    }
    return new SiteSchedule.Periodic(
        denseWarmup.orElse(published.denseWarmup()),
        replanInterval.orElse(1),
        planDuringWarmup.orElse(planDuringWarmupByDefault));
  }

  /**
   * Searches at given steps, or from the last step of the user's dense warm-up on, every so many
   * steps. The step of the first search is dense, so that a warm-up has the same number of dense
   * steps for every method; there is always one.
   *
   * @param publishedAt the published steps, counted from 0
   * @param publishedSteps of a run of so many
   */
  SiteSchedule searches(Preset published, List<Integer> publishedAt, int publishedSteps) {
    int count = steps(published);
    if (searchSteps.isPresent()) {
      return searchesAt(searchSteps.get(), published);
    }
    List<Integer> scaled =
        publishedAt.stream().map(at -> at * count / publishedSteps).distinct().toList();
    if (denseWarmup.isEmpty() && replanInterval.isEmpty()) {
      return new SiteSchedule.Searches(scaled);
    }
    int first =
        denseWarmup
            .map(fraction -> Math.max(SiteSchedule.denseSteps(fraction, count) - 1, 0))
            .orElse(scaled.get(0));
    if (replanInterval.isEmpty()) {
      List<Integer> at = new ArrayList<>(List.of(first));
      scaled.stream().filter(step -> step > first).forEach(at::add);
      return new SiteSchedule.Searches(at);
    }
    List<Integer> at = new ArrayList<>();
    for (int step = first; step < count || at.isEmpty(); step += replanInterval.getAsInt()) {
      at.add(step);
    }
    return new SiteSchedule.Searches(at);
  }

  private SiteSchedule searchesAt(List<Integer> at, Preset published) {
    if (at.get(0) >= steps(published)) {
      throw SparsifyException.usage(
          "--search-steps begins at step "
              + at.get(0)
              + " of "
              + steps(published)
              + ", counted from 0: no step would be sparse. Begin earlier, or give more --steps");
    }
    return new SiteSchedule.Searches(at);
  }
}
