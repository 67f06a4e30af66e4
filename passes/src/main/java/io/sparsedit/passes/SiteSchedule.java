package io.sparsedit.passes;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.List;

/** When a site plans, as {@code bundle.json} says it to the runtime. */
public sealed interface SiteSchedule {
  /**
   * Dense steps first, then a plan every so many steps.
   *
   * @param denseWarmup the fraction of the steps that runs dense first
   * @param replanInterval how many sparse steps share a plan
   * @param planDuringWarmup whether the planner runs in the dense steps too
   */
  record Periodic(double denseWarmup, int replanInterval, boolean planDuringWarmup)
      implements SiteSchedule {
    @Override
    public boolean reusesPlans() {
      return replanInterval > 1;
    }

    @Override
    public void writeTo(ObjectNode schedule) {
      schedule
          .put("denseWarmup", denseWarmup)
          .put("replanInterval", replanInterval)
          .put("planDuringWarmup", planDuringWarmup);
    }
  }

  /**
   * Plans at given steps; the first of them and the steps before are dense.
   *
   * @param at the steps, counted from 0
   */
  record Searches(List<Integer> at) implements SiteSchedule {
    public Searches {
      at = List.copyOf(at);
    }

    @Override
    public boolean reusesPlans() {
      return true;
    }

    @Override
    public void writeTo(ObjectNode schedule) {
      ArrayNode steps = schedule.putArray("searchSteps");
      at.forEach(steps::add);
    }
  }

  /**
   * How many steps a warm-up has. In decimal: 0.29 of 100 steps is 29, where the binary product
   * falls short of it.
   *
   * @param fraction the fraction of the steps that runs dense first
   * @param steps the schedule's length
   */
  static int denseSteps(double fraction, int steps) {
    return BigDecimal.valueOf(fraction)
        .multiply(BigDecimal.valueOf(steps))
        .setScale(0, RoundingMode.FLOOR)
        .intValueExact();
  }

  /** Whether a plan serves more than one step, so that it is state. */
  boolean reusesPlans();

  /** Puts what the runtime reads. */
  void writeTo(ObjectNode schedule);
}
