package io.sparsedit.compiler.rules;

import io.sparsedit.compiler.rules.match.Failure;
import io.sparsedit.compiler.rules.match.Outcome;
import io.sparsedit.compiler.rules.match.Rule;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What an engine's rules did: counts, time, and the best partial match of each. */
public final class MatchTrace {
  /** Figures of one rule. */
  private static final class Counter {
    int attempts;
    int matches;
    int rewrites;
    int abandoned;
    long steps;
    long nanos;
    @Nullable Failure deepest;
  }

  /**
   * What one rule did.
   *
   * @param attempts nodes at which it was tried
   * @param matches attempts that matched
   * @param rewrites matches that were rewritten, as reported to {@link RuleEngine#apply}
   * @param abandoned attempts given up after too many steps
   * @param steps pattern steps of all attempts
   * @param nanos time of all attempts
   * @param bestPartial the attempt without a match that came furthest
   */
  public record RuleStats(
      Rule rule,
      int attempts,
      int matches,
      int rewrites,
      int abandoned,
      long steps,
      long nanos,
      Optional<Failure> bestPartial) {}

  private final Map<Rule, Counter> counters = new LinkedHashMap<>();

  MatchTrace(List<Rule> rules) {
    rules.forEach(r -> counters.put(r, new Counter()));
  }

  void attempted(Rule rule, Outcome outcome, long nanos) {
    Counter counter = counter(rule);
    counter.attempts++;
    counter.steps += outcome.steps();
    counter.nanos += nanos;
    if (outcome.match().isPresent()) {
      counter.matches++;
    }
    if (outcome.abandoned()) {
      counter.abandoned++;
    }
    outcome.failure().ifPresent(f -> failed(counter, f));
  }

  private static void failed(Counter counter, Failure failure) {
    if (counter.deepest == null || failure.isDeeperThan(counter.deepest)) {
      counter.deepest = failure;
    }
  }

  void rewritten(Rule rule) {
    counter(rule).rewrites++;
  }

  private Counter counter(Rule rule) {
    return counters.computeIfAbsent(rule, r -> new Counter());
  }

  /** The figures of all rules, in order of declaration. */
  public List<RuleStats> stats() {
    List<RuleStats> stats = new ArrayList<>();
    counters.forEach(
        (rule, c) ->
            stats.add(
                new RuleStats(
                    rule,
                    c.attempts,
                    c.matches,
                    c.rewrites,
                    c.abandoned,
                    c.steps,
                    c.nanos,
                    Optional.ofNullable(c.deepest))));
    return stats;
  }

  /** A table with one line a rule. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    for (RuleStats s : stats()) {
      text.append(
          String.format(
              Locale.ROOT,
              "%s: %d attempts, %d matches, %d rewrites, %.1f ms%s%n",
              s.rule(),
              s.attempts(),
              s.matches(),
              s.rewrites(),
              s.nanos() / 1e6,
              s.abandoned() == 0 ? "" : ", " + s.abandoned() + " given up"));
      s.bestPartial().ifPresent(f -> text.append("  best partial match ").append(f).append('\n'));
    }
    return text.toString();
  }
}
