package io.sparsedit.compiler.rules;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.match.Failure;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.compiler.rules.match.Matcher;
import io.sparsedit.compiler.rules.match.Outcome;
import io.sparsedit.compiler.rules.match.Rewriter;
import io.sparsedit.compiler.rules.match.Rule;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.PriorityQueue;
import java.util.Set;

/**
 * Looks for matches of a rule set in graphs and keeps a {@link MatchTrace} of it.
 *
 * <p>Not safe for use by several threads; a rule set is.
 */
public final class RuleEngine {
  /** How far from a node {@link #explain} looks for roots. */
  private static final int EXPLAIN_DISTANCE = 8;

  /** At how many nodes {@link #explain} tries rules. */
  private static final int EXPLAIN_ROOTS = 64;

  private final List<Rule> rules;
  private final RuleIndex index;
  private final MatchTrace trace;
  private final int maxSteps;

  /** An engine for the rule set. */
  public RuleEngine(RuleSet rules) {
    this(rules, Matcher.DEFAULT_MAX_STEPS);
  }

  /** An engine that gives up an attempt after so many steps. */
  public RuleEngine(RuleSet rules, int maxSteps) {
    this.rules = rules.rules();
    this.index = new RuleIndex(rules.rules());
    this.trace = new MatchTrace(rules.rules());
    this.maxSteps = maxSteps;
  }

  /** What the rules did so far. */
  public MatchTrace trace() {
    return trace;
  }

  /** A match, and the rules to try at its root if it has to give way. */
  private record Candidate(Match match, int position, int next) {}

  /**
   * The matches in a graph, in order of their roots; its subgraphs are not searched.
   *
   * <p>At each node the rules of larger benefit come first, equal ones in order of declaration, and
   * the first that matches counts. Where two rewrites would replace the same node, the one of
   * larger benefit is kept, of equal ones the first in the graph.
   *
   * @param opsets versions of operator sets by domain, empty for the default one
   */
  public List<Match> findMatches(Graph graph, ValueFacts facts, Map<String, Long> opsets) {
    PriorityQueue<Candidate> queue =
        new PriorityQueue<>(
            Comparator.comparingInt((Candidate c) -> -c.match().rule().benefit())
                .thenComparingInt(Candidate::position));
    int position = 0;
    for (Node node : graph.nodes()) {
      first(node, 0, position++, facts, opsets).ifPresent(queue::add);
    }
    Map<Integer, Match> accepted = new HashMap<>();
    Set<Node> claimed = new HashSet<>();
    while (!queue.isEmpty()) {
      Candidate candidate = queue.remove();
      Set<Node> claims = claims(candidate.match());
      if (claims.stream().noneMatch(claimed::contains)) {
        accepted.put(candidate.position(), candidate.match());
        claimed.addAll(claims);
      } else {
        first(candidate.match().root(), candidate.next(), candidate.position(), facts, opsets)
            .ifPresent(queue::add);
      }
    }
    return accepted.entrySet().stream()
        .sorted(Map.Entry.comparingByKey())
        .map(Map.Entry::getValue)
        .toList();
  }

  /** The matches in a graph that uses the default operator set alone. */
  public List<Match> findMatches(Graph graph, ValueFacts facts, long opset) {
    return findMatches(graph, facts, Map.of("", opset));
  }

  /** Nodes that a rewrite would make dead. */
  private static Set<Node> claims(Match match) {
    Set<Node> claims = new HashSet<>();
    if (match.rule().replacement().isEmpty()) {
      return claims;
    }
    Set<Value> kept = new HashSet<>();
    for (int slot : match.rule().keep()) {
      match.value(match.rule().slotNames().get(slot)).ifPresent(kept::add);
    }
    for (Node node : match.nodes()) {
      if (node.outputs().stream().noneMatch(kept::contains)) {
        claims.add(node);
      }
    }
    return claims;
  }

  private Optional<Candidate> first(
      Node node, int from, int position, ValueFacts facts, Map<String, Long> opsets) {
    List<Rule> candidates = index.rulesFor(node);
    for (int i = from; i < candidates.size(); i++) {
      Rule rule = candidates.get(i);
      if (!rule.appliesTo(opsets)) {
        continue;
      }
      Optional<Match> match = attempt(rule, node, facts).match();
      if (match.isPresent()) {
        return Optional.of(new Candidate(match.get(), position, i + 1));
      }
    }
    return Optional.empty();
  }

  private Outcome attempt(Rule rule, Node node, ValueFacts facts) {
    long start = System.nanoTime();
    Outcome outcome = Matcher.match(rule, node, facts, maxSteps);
    trace.attempted(rule, outcome, System.nanoTime() - start);
    return outcome;
  }

  /** Rewrites a match and counts it. */
  public Rewriter.Applied apply(Match match) {
    Rewriter.Applied applied = Rewriter.apply(match);
    trace.rewritten(match.rule());
    return applied;
  }

  /**
   * Explains a node: tries the rules whose root is the node or reads it, directly or through a few
   * other nodes. The attempts do not count in the trace.
   */
  public Explanation explain(Node node, ValueFacts facts, Map<String, Long> opsets) {
    List<Match> matches = new ArrayList<>();
    Map<Failure, Integer> failures = new LinkedHashMap<>();
    for (Map.Entry<Node, Integer> entry : readers(node).entrySet()) {
      Node root = entry.getKey();
      for (Rule rule : index.rulesFor(root)) {
        if (!rule.appliesTo(opsets)) {
          String bounds =
              rule.opsets().stream()
                  .map(
                      b ->
                          (b.domain().isEmpty() ? "ai.onnx" : b.domain())
                              + " "
                              + b.comparison().symbol()
                              + " "
                              + b.version())
                  .reduce((a, b) -> a + " and " + b)
                  .orElse("");
          failures.put(
              new Failure(
                  rule,
                  root,
                  Failure.Stage.OPSET,
                  "the rule is for opset " + bounds,
                  List.of(),
                  rule.span()),
              entry.getValue());
          continue;
        }
        Outcome outcome = Matcher.match(rule, root, facts, maxSteps);
        outcome.match().filter(m -> m.nodes().contains(node)).ifPresent(matches::add);
        outcome.failure().ifPresent(f -> failures.put(f, entry.getValue()));
      }
    }
    Comparator<Failure> order =
        Comparator.comparing((Failure f) -> !f.matched().contains(node))
            .thenComparing((a, b) -> a.isDeeperThan(b) ? -1 : b.isDeeperThan(a) ? 1 : 0)
            .thenComparing(f -> failures.getOrDefault(f, 0));
    return new Explanation(node, matches, failures.keySet().stream().sorted(order).toList());
  }

  /** The node and those that read it, nearest first, with their distance. */
  private Map<Node, Integer> readers(Node node) {
    Map<Node, Integer> distances = new LinkedHashMap<>();
    Deque<Node> queue = new ArrayDeque<>();
    distances.put(node, 0);
    queue.add(node);
    while (!queue.isEmpty() && distances.size() < EXPLAIN_ROOTS) {
      Node next = queue.remove();
      int distance = distances.getOrDefault(next, 0);
      if (distance == EXPLAIN_DISTANCE) {
        continue;
      }
      for (Value output : next.outputs()) {
        for (Value.Use use : output.uses()) {
          if (distances.putIfAbsent(use.node(), distance + 1) == null) {
            queue.add(use.node());
          }
        }
      }
    }
    return distances;
  }

  /** The rules, in order of declaration. */
  public List<Rule> rules() {
    return rules;
  }
}
