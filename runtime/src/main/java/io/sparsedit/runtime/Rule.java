package io.sparsedit.runtime;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.List;

/** How a site's actions follow from the step. */
public sealed interface Rule {
  /**
   * The actions of a run.
   *
   * @param steps number of denoising steps, at least 1
   * @return as many actions
   * @throws ScheduleException if the rule does not give that many
   */
  List<Action> actions(int steps);

  /**
   * Dense steps first, then a plan every so many steps.
   *
   * <p>The first {@code floor(denseWarmup * steps)} steps are dense. After them every {@code
   * replanInterval}-th step plans and the others re-use its plan. The first step that plans is
   * cold.
   *
   * @param denseWarmup the fraction of the steps that runs dense first, 0 to 1
   * @param replanInterval how many sparse steps share a plan, at least 1
   * @param planDuringWarmup whether the planner also runs in every dense step, so that the first
   *     sparse step starts warm
   */
  record Periodic(double denseWarmup, int replanInterval, boolean planDuringWarmup)
      implements Rule {
    /**
     * Checks the ranges.
     *
     * @throws ScheduleException if a number is out of range
     */
    public Periodic {
      if (!(denseWarmup >= 0 && denseWarmup <= 1)) {
        throw invalid("denseWarmup must be 0 to 1, is " + denseWarmup);
      }
      if (replanInterval < 1) {
        throw invalid("replanInterval must be at least 1, is " + replanInterval);
      }
    }

    @Override
    public List<Action> actions(int steps) {
      // In decimal: 0.29 of 100 steps is 29, where the binary product falls short of it.
      int warmup =
          BigDecimal.valueOf(denseWarmup)
              .multiply(BigDecimal.valueOf(steps))
              .setScale(0, RoundingMode.FLOOR)
              .intValueExact();
      List<Action> actions = new ArrayList<>(steps);
      boolean cold = true;
      for (int step = 0; step < steps; step++) {
        boolean dense = step < warmup;
        if (dense && !planDuringWarmup) {
          actions.add(Action.DENSE);
        } else if (!dense && (step - warmup) % replanInterval != 0) {
          actions.add(Action.REUSE_SPARSE);
        } else {
          actions.add(plan(dense, cold));
          cold = false;
        }
      }
      return actions;
    }

    private static Action plan(boolean dense, boolean cold) {
      if (dense) {
        return cold ? Action.PLAN_DENSE_COLD : Action.PLAN_DENSE;
      }
      return cold ? Action.PLAN_SPARSE_COLD : Action.PLAN_SPARSE;
    }
  }

  /**
   * Plans at given steps, as AdaSpa searches.
   *
   * <p>Steps before the first search are dense. The first search is cold and its output dense; a
   * later search's output is sparse by its own plan. Steps between re-use the last plan. Searches
   * at or after the end of the run do not take place.
   *
   * @param at the steps that plan, ascending, counted from 0
   */
  record Searches(List<Integer> at) implements Rule {
    /**
     * Keeps its own copy of {@code at}.
     *
     * @throws ScheduleException if there is none, or they are negative or not ascending
     */
    public Searches {
      at = List.copyOf(at);
      int last = -1;
      for (int step : at) {
        if (step <= last) {
          throw invalid("search steps must ascend from 0 or above, are " + at);
        }
        last = step;
      }
      if (at.isEmpty()) {
        throw invalid("there must be a search step");
      }
    }

    @Override
    public List<Action> actions(int steps) {
      List<Action> actions = new ArrayList<>(steps);
      for (int step = 0; step < steps; step++) {
        if (step < at.get(0)) {
          actions.add(Action.DENSE);
        } else if (step == at.get(0)) {
          actions.add(Action.PLAN_DENSE_COLD);
        } else {
          actions.add(at.contains(step) ? Action.PLAN_SPARSE : Action.REUSE_SPARSE);
        }
      }
      return actions;
    }

    /** The same searches for a run of another length, at the same fractions of it. */
    Searches scaled(int from, int to) {
      return new Searches(
          at.stream().map(step -> (int) ((long) step * to / from)).distinct().toList());
    }
  }

  /**
   * Actions given one by one.
   *
   * @param actions one a step
   */
  record Listed(List<Action> actions) implements Rule {
    /** Keeps its own copy of {@code actions}. */
    public Listed {
      actions = List.copyOf(actions);
    }

    @Override
    public List<Action> actions(int steps) {
      if (actions.size() != steps) {
        throw invalid(actions.size() + " actions are listed for " + steps + " steps");
      }
      return actions;
    }
  }

  /** Every step dense. */
  static Rule dense() {
    return new Periodic(1, 1, false);
  }

  private static ScheduleException invalid(String message) {
    return new ScheduleException(ScheduleException.Reason.INVALID, message);
  }
}
