package io.sparsedit.runtime;

import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** The actions of a run: one for each step and site. Immutable; made by {@link Schedule}. */
public final class Timetable {
  private final int steps;
  private final List<List<Action>> bySite;

  Timetable(int steps, List<List<Action>> bySite) {
    this.steps = steps;
    this.bySite = bySite.stream().map(List::copyOf).toList();
  }

  /** Number of denoising steps. */
  public int steps() {
    return steps;
  }

  /** Number of sites. */
  public int sites() {
    return bySite.size();
  }

  /**
   * What a site does at a step.
   *
   * @throws IndexOutOfBoundsException if there is no such step or site
   */
  public Action action(int step, int site) {
    return bySite.get(site).get(step);
  }

  /**
   * What a step does in words: {@code PLAN_SPARSE}, or {@code 1 DENSE + 39 PLAN_SPARSE} where sites
   * differ.
   *
   * @throws IndexOutOfBoundsException if there is no such step
   */
  public String describe(int step) {
    Map<Action, Integer> counts = new EnumMap<>(Action.class);
    actions(step).forEach(action -> counts.merge(action, 1, Integer::sum));
    if (counts.size() == 1) {
      return counts.keySet().iterator().next().toString();
    }
    return counts.entrySet().stream()
        .map(entry -> entry.getValue() + " " + entry.getKey())
        .collect(Collectors.joining(" + "));
  }

  /**
   * What the sites do at a step, in their order.
   *
   * @throws IndexOutOfBoundsException if there is no such step
   */
  public List<Action> actions(int step) {
    return bySite.stream().map(actions -> actions.get(step)).toList();
  }
}
