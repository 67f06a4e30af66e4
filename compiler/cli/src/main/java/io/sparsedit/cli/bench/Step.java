package io.sparsedit.cli.bench;

import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Timetable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * What a step does: steps of one kind take the same time.
 *
 * @param actions one a site
 */
record Step(List<Action> actions) {
  Step {
    actions = List.copyOf(actions);
  }

  /** Every site does the same. */
  static Step of(Action action, int sites) {
    return new Step(Collections.nCopies(sites, action));
  }

  /** The kinds of steps in a run, and how often each comes. */
  static Map<Step, Integer> counts(Timetable timetable) {
    Map<Step, Integer> counts = new LinkedHashMap<>();
    for (int step = 0; step < timetable.steps(); step++) {
      counts.merge(new Step(timetable.actions(step)), 1, Integer::sum);
    }
    return counts;
  }

  /** Whether some site re-uses a plan. */
  boolean reuses() {
    return actions.contains(Action.REUSE_SPARSE);
  }

  /** As {@code PLAN_SPARSE}, or {@code 1 DENSE + 39 PLAN_SPARSE} where sites differ. */
  String label() {
    Map<Action, Integer> counts = new EnumMap<>(Action.class);
    actions.forEach(action -> counts.merge(action, 1, Integer::sum));
    if (counts.size() == 1) {
      return actions.get(0).toString();
    }
    List<String> parts = new ArrayList<>();
    counts.forEach((action, count) -> parts.add(count + " " + action));
    return parts.stream().collect(Collectors.joining(" + "));
  }
}
