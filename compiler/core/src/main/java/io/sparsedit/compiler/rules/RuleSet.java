package io.sparsedit.compiler.rules;

import io.sparsedit.compiler.rules.check.RuleChecker;
import io.sparsedit.compiler.rules.match.Externs;
import io.sparsedit.compiler.rules.match.Rule;
import io.sparsedit.compiler.rules.syntax.Problems;
import io.sparsedit.compiler.rules.syntax.RuleFile;
import io.sparsedit.compiler.rules.syntax.RuleParser;
import io.sparsedit.compiler.rules.syntax.Source;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Checked rules, in order of declaration. */
public final class RuleSet {
  private final List<Rule> rules;

  private RuleSet(List<Rule> rules) {
    this.rules = List.copyOf(rules);
  }

  /**
   * Parses and checks rule files together.
   *
   * @param externs what {@code extern} declarations stand for
   * @throws io.sparsedit.compiler.SparsifyException showing every problem with its position
   */
  public static RuleSet load(List<Source> sources, Externs externs) {
    Problems problems = new Problems();
    List<RuleFile> files = new ArrayList<>();
    for (Source source : sources) {
      RuleParser.parse(source, problems).ifPresent(files::add);
    }
    problems.throwIfAny();
    List<Rule> rules = new RuleChecker(externs, problems).check(files);
    problems.throwIfAny();
    return new RuleSet(rules);
  }

  /** Parses and checks rule files that use no externs. */
  public static RuleSet load(List<Source> sources) {
    return load(sources, Externs.none());
  }

  /**
   * The same rules, those of the given files before the others: of equal benefit they are tried
   * first.
   */
  public RuleSet preferring(Set<Source> files) {
    List<Rule> ordered = new ArrayList<>(rules);
    ordered.sort(Comparator.comparing(rule -> !files.contains(rule.span().source())));
    return new RuleSet(ordered);
  }

  /** The rules in order of declaration. */
  public List<Rule> rules() {
    return rules;
  }

  /** The rule of the given name. */
  public Optional<Rule> rule(String name) {
    return rules.stream().filter(r -> r.name().equals(name)).findFirst();
  }
}
