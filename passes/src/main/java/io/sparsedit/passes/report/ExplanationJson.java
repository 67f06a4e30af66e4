package io.sparsedit.passes.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.rules.MatchTrace;
import io.sparsedit.compiler.rules.match.Failure;
import io.sparsedit.passes.NodeExplanation;
import java.util.List;

/** Explanations and the trace of the rules as JSON (docs/inspect.md). */
public final class ExplanationJson {
  private ExplanationJson() {}

  /** An explanation: {@code explanation} in {@code inspect --json --explain}. */
  public static ObjectNode of(NodeExplanation explanation) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("node", explanation.node().toString());
    explanation
        .site()
        .ifPresentOrElse(site -> root.put("site", site.name()), () -> root.putNull("site"));
    explanation
        .match()
        .ifPresentOrElse(
            match -> {
              root.put("rule", match.rule().name());
              root.set("matched", nodes(match.nodes()));
            },
            () -> {
              root.putNull("rule");
              root.putArray("matched");
            });
    ObjectNode names = root.putObject("names");
    explanation.names().forEach(names::put);
    if (explanation.rejection().isEmpty()) {
      root.putNull("rejection");
    } else {
      root.put("rejection", explanation.rejection());
    }
    ArrayNode attempts = root.putArray("attempts");
    explanation.failures().forEach(failure -> attempts.add(of(failure)));
    return root;
  }

  private static ObjectNode of(Failure failure) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("rule", failure.rule().name());
    node.put("at", failure.root().toString());
    node.put("reason", failure.reason());
    node.put("file", failure.span().source().name());
    node.put("line", failure.span().line());
    node.put("column", failure.span().column());
    node.set("matched", nodes(failure.matched()));
    return node;
  }

  private static ArrayNode nodes(List<Node> nodes) {
    ArrayNode array = JsonNodeFactory.instance.arrayNode();
    nodes.forEach(node -> array.add(node.toString()));
    return array;
  }

  /** What each rule did: {@code trace} in {@code inspect --json --trace}. */
  public static ArrayNode trace(List<MatchTrace.RuleStats> rules) {
    ArrayNode array = JsonNodeFactory.instance.arrayNode();
    for (MatchTrace.RuleStats stats : rules) {
      ObjectNode node = array.addObject();
      node.put("rule", stats.rule().name());
      node.put("file", stats.rule().span().source().name());
      node.put("line", stats.rule().span().line());
      node.put("attempts", stats.attempts());
      node.put("matches", stats.matches());
      node.put("rewrites", stats.rewrites());
      node.put("abandoned", stats.abandoned());
      node.put("steps", stats.steps());
      node.put("millis", stats.nanos() / 1e6);
      stats
          .bestPartial()
          .ifPresentOrElse(
              failure -> node.set("bestPartial", of(failure)), () -> node.putNull("bestPartial"));
    }
    return array;
  }
}
