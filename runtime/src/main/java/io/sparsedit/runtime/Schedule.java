package io.sparsedit.runtime;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;

/**
 * What each site does at each step of a denoising run. Data: immutable, and free to be shared.
 *
 * <p>Whatever a schedule leaves open, the bundle decides: {@code Schedule.steps(30)} is the
 * bundle's own schedule for 30 steps, {@code Schedule.of(bundle).withReplanInterval(3)} the
 * bundle's with plans that last three steps. {@link #resolve} turns it into the table of actions.
 */
public final class Schedule {
  private static final int MOST_STEPS = 100_000;

  private final OptionalInt steps;
  private final Optional<Rule> rule;
  private final Optional<Double> denseWarmup;
  private final OptionalInt replanInterval;
  private final Optional<Boolean> planDuringWarmup;
  private final Map<Integer, Rule> sites;

  private Schedule(
      OptionalInt steps,
      Optional<Rule> rule,
      Optional<Double> denseWarmup,
      OptionalInt replanInterval,
      Optional<Boolean> planDuringWarmup,
      Map<Integer, Rule> sites) {
    this.steps = steps;
    this.rule = rule;
    this.denseWarmup = denseWarmup;
    this.replanInterval = replanInterval;
    this.planDuringWarmup = planDuringWarmup;
    this.sites = sites;
  }

  private static Schedule open(OptionalInt steps, Optional<Rule> rule) {
    return new Schedule(
        steps, rule, Optional.empty(), OptionalInt.empty(), Optional.empty(), Map.of());
  }

  /** The bundle's own schedule, with the bundle's number of steps. */
  public static Schedule of(Bundle bundle) {
    return steps(bundle.defaultSteps());
  }

  /**
   * The schedule of whatever bundle it is used with, for a number of steps.
   *
   * @throws ScheduleException if {@code steps} is below 1 or above 100,000
   */
  public static Schedule steps(int steps) {
    return open(OptionalInt.of(checkSteps(steps)), Optional.empty());
  }

  /**
   * Every site dense at every step: the reference that the sparse run is measured against.
   *
   * @throws ScheduleException if {@code steps} is below 1 or above 100,000
   */
  public static Schedule dense(int steps) {
    return open(OptionalInt.of(checkSteps(steps)), Optional.of(Rule.dense()));
  }

  /**
   * One action a step, the same for every site.
   *
   * @throws ScheduleException if the list is empty
   */
  public static Schedule listed(List<Action> actions) {
    return open(OptionalInt.of(checkSteps(actions.size())), Optional.of(new Rule.Listed(actions)));
  }

  /**
   * The same schedule for another number of steps.
   *
   * @throws ScheduleException if {@code newSteps} is below 1
   */
  public Schedule withSteps(int newSteps) {
    return new Schedule(
        OptionalInt.of(checkSteps(newSteps)),
        rule,
        denseWarmup,
        replanInterval,
        planDuringWarmup,
        sites);
  }

  /** Another rule for all sites that have none of their own. */
  public Schedule withRule(Rule newRule) {
    return new Schedule(
        steps,
        Optional.of(newRule),
        Optional.empty(),
        OptionalInt.empty(),
        Optional.empty(),
        sites);
  }

  /**
   * A rule for one site.
   *
   * @param site the site's index in the bundle
   */
  public Schedule withSite(int site, Rule siteRule) {
    Map<Integer, Rule> newSites = new TreeMap<>(sites);
    newSites.put(site, siteRule);
    return new Schedule(steps, rule, denseWarmup, replanInterval, planDuringWarmup, newSites);
  }

  /**
   * Another dense warm-up in a {@link Rule.Periodic} schedule.
   *
   * @param fraction the fraction of the steps that runs dense first, 0 to 1
   */
  public Schedule withDenseWarmup(double fraction) {
    return new Schedule(
        steps, rule, Optional.of(fraction), replanInterval, planDuringWarmup, sites);
  }

  /**
   * Another re-plan interval in a {@link Rule.Periodic} schedule.
   *
   * @param interval how many sparse steps share a plan, at least 1
   */
  public Schedule withReplanInterval(int interval) {
    return new Schedule(
        steps, rule, denseWarmup, OptionalInt.of(interval), planDuringWarmup, sites);
  }

  /** Whether the planner runs in the dense steps of a {@link Rule.Periodic} schedule. */
  public Schedule withPlanDuringWarmup(boolean plan) {
    return new Schedule(steps, rule, denseWarmup, replanInterval, Optional.of(plan), sites);
  }

  /**
   * The table of actions of this schedule for a bundle.
   *
   * @throws ScheduleException if a number is out of range, a site is unknown, a site would plan
   *     warm or re-use a plan before its first cold plan, or plans are to be re-used that the
   *     bundle's state does not hold
   */
  public Timetable resolve(Bundle bundle) {
    int count = steps.orElse(bundle.defaultSteps());
    for (int site : sites.keySet()) {
      if (site < 0 || site >= bundle.sites().size()) {
        throw new ScheduleException(
            ScheduleException.Reason.UNKNOWN_SITE,
            "there is no site " + site + ": the bundle has " + bundle.sites().size());
      }
    }
    List<List<Action>> table =
        bundle.sites().stream().map(site -> rule(site, bundle, count).actions(count)).toList();
    for (Bundle.Site site : bundle.sites()) {
      check(table.get(site.index()), site, bundle);
    }
    return new Timetable(count, table);
  }

  private Rule rule(Bundle.Site site, Bundle bundle, int steps) {
    Rule own = sites.get(site.index());
    return own != null ? own : edit(rule.orElseGet(() -> bundleRule(site, bundle, steps)));
  }

  private static Rule bundleRule(Bundle.Site site, Bundle bundle, int steps) {
    return site.rule() instanceof Rule.Searches searches
        ? searches.scaled(bundle.defaultSteps(), steps)
        : site.rule();
  }

  private Rule edit(Rule from) {
    if (denseWarmup.isEmpty() && replanInterval.isEmpty() && planDuringWarmup.isEmpty()) {
      return from;
    }
    if (!(from instanceof Rule.Periodic periodic)) {
      throw new ScheduleException(
          ScheduleException.Reason.INVALID,
          "dense warm-up, re-plan interval and planning during warm-up belong to a periodic"
              + " schedule, this one is "
              + from);
    }
    return new Rule.Periodic(
        denseWarmup.orElse(periodic.denseWarmup()),
        replanInterval.orElse(periodic.replanInterval()),
        planDuringWarmup.orElse(periodic.planDuringWarmup()));
  }

  private static void check(List<Action> actions, Bundle.Site site, Bundle bundle) {
    boolean planned = false;
    for (int step = 0; step < actions.size(); step++) {
      Action action = actions.get(step);
      if (action != Action.DENSE && !action.isCold() && !planned) {
        throw new ScheduleException(
            ScheduleException.Reason.NO_PLAN_YET,
            at(step, site) + action + " comes before any cold plan");
      }
      if (action == Action.REUSE_SPARSE && !bundle.keepsPlan(site.index())) {
        throw new ScheduleException(
            ScheduleException.Reason.PLAN_NOT_KEPT,
            at(step, site)
                + "the plan is to be re-used, but the bundle's state does not hold it; compile"
                + " with a re-plan interval above 1");
      }
      planned |= action.plans();
    }
  }

  private static String at(int step, Bundle.Site site) {
    return "step " + step + ", site " + site.index() + " (" + site.id() + "): ";
  }

  /** Refuses what is no number of steps, or more than a table of their actions could hold. */
  static int checkSteps(int steps) {
    if (steps > MOST_STEPS) {
      throw new ScheduleException(
          ScheduleException.Reason.INVALID,
          "a schedule has at most " + MOST_STEPS + " steps, not " + steps);
    }
    if (steps < 1) {
      throw new ScheduleException(
          ScheduleException.Reason.INVALID, "a schedule needs at least 1 step, not " + steps);
    }
    return steps;
  }

  @Override
  public String toString() {
    StringBuilder out = new StringBuilder();
    out.append(steps.isPresent() ? steps.getAsInt() + " steps" : "the bundle's steps");
    out.append(", ").append(rule.map(Object::toString).orElse("the bundle's rule"));
    denseWarmup.ifPresent(value -> out.append(", denseWarmup=").append(value));
    replanInterval.ifPresent(value -> out.append(", replanInterval=").append(value));
    planDuringWarmup.ifPresent(value -> out.append(", planDuringWarmup=").append(value));
    sites.forEach((site, own) -> out.append(", site ").append(site).append(": ").append(own));
    return out.toString();
  }
}
