package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.rules.RuleSet;
import io.sparsedit.compiler.rules.match.Externs;
import io.sparsedit.compiler.rules.match.Replacement;
import io.sparsedit.compiler.rules.match.Replacement.Input;
import io.sparsedit.compiler.rules.match.Rule;
import io.sparsedit.compiler.rules.syntax.Source;
import io.sparsedit.passes.functions.SparseOps;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * The rules by which attention is recognised: the built-in ones and the user's own.
 *
 * <p>Recognition relies on what a rule leaves: the names {@code q}, {@code k}, {@code v} and {@code
 * scale}, and a {@code sparsedit.Attention} node. The user's rules are checked for that.
 */
final class AttentionRules {
  /** The canonical operator. */
  static final String CANONICAL = "Attention";

  private static final List<String> BUILT_IN = List.of("attention.rules", "microsoft.rules");

  private AttentionRules() {}

  /**
   * The built-in rules together with a user's own, which go first where the benefit is equal.
   *
   * @throws SparsifyException showing every problem with its position
   */
  static RuleSet load(List<Source> own) {
    List<Source> all = new ArrayList<>();
    BUILT_IN.forEach(file -> all.add(builtIn(file)));
    all.addAll(own);
    Set<Source> ownFiles = new LinkedHashSet<>(own);
    RuleSet rules = RuleSet.load(all, Externs.none()).preferring(ownFiles);
    List<String> problems = new ArrayList<>();
    for (Rule rule : rules.rules()) {
      if (ownFiles.contains(rule.span().source())) {
        check(rule).forEach(problem -> problems.add(rule.span().error(problem)));
      }
    }
    if (!problems.isEmpty()) {
      throw SparsifyException.failure(String.join("\n", problems));
    }
    return rules;
  }

  private static Source builtIn(String file) {
    try (InputStream in = AttentionRules.class.getResourceAsStream("/rules/" + file)) {
      if (in == null) {
        throw new IllegalStateException("/rules/" + file + " is not on the class path");
      }
      return new Source(file, new String(in.readAllBytes(), StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** What recognition lacks in a rule. */
  private static List<String> check(Rule rule) {
    List<String> problems = new ArrayList<>();
    List<Input.NewNode> made = new ArrayList<>();
    rule.replacement()
        .map(Replacement::builds)
        .orElse(List.of())
        .forEach(build -> collect(build.source(), made));
    List<Input.NewNode> attention = made.stream().filter(AttentionRules::isCanonical).toList();
    if (attention.isEmpty()) {
      problems.add(
          "rule '"
              + rule.name()
              + "' makes no sparsedit.Attention: end it with rewrite { out = sparsedit.Attention(q,"
              + " k, v) { scale = scale }; }");
    }
    for (Input.NewNode node : attention) {
      if (node.inputs().size() < 3 || node.inputs().size() > 4) {
        problems.add("sparsedit.Attention takes q, k, v and, if there is one, a mask");
      }
      if (node.settings().stream().noneMatch(setting -> setting.name().equals(SparseOps.SCALE))) {
        problems.add("sparsedit.Attention needs the attribute scale: write { scale = scale }");
      }
    }
    for (String name : List.of("q", "k", "v", "scale")) {
      if (!rule.slotNames().contains(name)) {
        problems.add(
            "rule '"
                + rule.name()
                + "' has nothing named '"
                + name
                + "': "
                + (name.equals("scale")
                    ? "say with let scale = ...; what the scores are multiplied with"
                    : "call the queries q, the keys k and the values v"));
      }
    }
    return problems;
  }

  private static boolean isCanonical(Input.NewNode node) {
    return node.domain().equals(SparseOps.DOMAIN) && node.type().equals(CANONICAL);
  }

  private static void collect(Input input, List<Input.NewNode> found) {
    if (input instanceof Input.NewNode node) {
      found.add(node);
      node.inputs().forEach(inner -> collect(inner, found));
    } else if (input instanceof Input.Pick pick) {
      pick.arms().forEach(arm -> collect(arm.input(), found));
    }
  }
}
