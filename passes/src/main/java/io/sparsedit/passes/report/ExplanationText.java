package io.sparsedit.passes.report;

import io.sparsedit.compiler.rules.match.Failure;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.passes.NodeExplanation;
import io.sparsedit.passes.Site;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A {@link NodeExplanation} for people to read: what {@code inspect --explain} prints. */
public final class ExplanationText {
  /** Further rules that are named beside the one that came closest. */
  private static final int OTHERS = 4;

  private ExplanationText() {}

  /** Some lines, each ended. */
  public static String of(NodeExplanation explanation) {
    List<String> lines = new ArrayList<>();
    if (explanation.site().isPresent()) {
      Site site = explanation.site().get();
      headOfSite(lines, site);
      match(lines, site.recognition().match(), explanation.names());
    } else {
      lines.add(explanation.node() + " is not part of an attention site.");
      if (explanation.match().isPresent()) {
        Match match = explanation.match().get();
        lines.add(fitsBut(explanation, match));
        match(lines, match, explanation.names());
      } else {
        failures(lines, explanation);
      }
    }
    return String.join("\n", lines) + "\n";
  }

  /** What there is to say in a few lines. */
  public static List<String> summary(NodeExplanation explanation) {
    List<String> lines = new ArrayList<>();
    if (explanation.site().isPresent()) {
      headOfSite(lines, explanation.site().get());
      return lines;
    }
    lines.add(explanation.node() + " is not part of an attention site.");
    if (explanation.match().isPresent()) {
      lines.add(fitsBut(explanation, explanation.match().get()));
    } else if (!explanation.failures().isEmpty()) {
      Failure closest = explanation.failures().get(0);
      lines.add("Closest came rule " + closest.rule() + ": " + closest.reason());
    }
    return lines;
  }

  private static String fitsBut(NodeExplanation explanation, Match match) {
    return "Rule " + where(match) + " fits, but " + explanation.rejection() + ".";
  }

  private static void headOfSite(List<String> lines, Site site) {
    Site.Shape shape = site.shape();
    String tokens =
        shape.queryTokens().equals(shape.keyTokens())
            ? shape.queryTokens() + " tokens"
            : shape.queryTokens() + " to " + shape.keyTokens() + " tokens";
    lines.add(
        "Site "
            + site.name()
            + ": "
            + site.kind().label()
            + "-attention, "
            + shape.heads()
            + " heads x "
            + shape.headDim()
            + ", "
            + tokens
            + (site.masked() ? ", with a mask." : "."));
    lines.add(
        site.method()
            .map(method -> "It becomes sparse (" + method.method().label() + ").")
            .orElse("It stays dense: " + site.reason() + "."));
    lines.add("Rule " + where(site.recognition().match()) + " takes it for attention.");
  }

  private static String where(Match match) {
    return match.rule() + " (" + match.rule().span().fileAndLine() + ")";
  }

  private static void match(List<String> lines, Match match, Map<String, String> names) {
    lines.add("");
    lines.add("Its nodes, from the last one backwards:");
    match.nodes().forEach(node -> lines.add("  " + node));
    if (names.isEmpty()) {
      return;
    }
    lines.add("");
    lines.add("What the names in the rule stand for:");
    int width = names.keySet().stream().mapToInt(String::length).max().orElse(0);
    names.forEach(
        (name, text) -> lines.add("  " + name + " ".repeat(width - name.length() + 2) + text));
  }

  private static void failures(List<String> lines, NodeExplanation explanation) {
    List<Failure> failures = explanation.failures();
    explanation.unknownShape().ifPresent(why -> lines.add("No rule fits: " + why + "."));
    if (failures.isEmpty()) {
      lines.add("No rule ends at it or at a node after it that reads what it computes.");
      return;
    }
    Failure closest = failures.get(0);
    lines.add("");
    boolean reached = closest.matched().contains(explanation.node());
    lines.add(
        (reached
                ? "Closest came rule "
                : "No rule that was tried got as far as this. Closest came ")
            + closest.rule()
            + " at "
            + closest.root()
            + ":");
    lines.add("  " + closest.reason());
    lines.add("  in " + closest.span());
    closest.span().excerpt().lines().forEach(line -> lines.add("  " + line));
    if (!closest.matched().isEmpty()) {
      lines.add("What fits:");
      closest.matched().forEach(node -> lines.add("  " + node));
    }
    if (failures.size() > 1) {
      lines.add("");
      lines.add("Other rules:");
      for (Failure other : failures.subList(1, Math.min(failures.size(), 1 + OTHERS))) {
        lines.add("  " + other);
      }
      if (failures.size() > 1 + OTHERS) {
        lines.add("  and " + (failures.size() - 1 - OTHERS) + " more that came less far");
      }
    }
    lines.add("");
    lines.add("If this is attention, a rule of your own can take it: --rules, docs/rules.md.");
  }
}
