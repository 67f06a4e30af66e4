package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.rules.Explanation;
import io.sparsedit.compiler.rules.RuleEngine;
import io.sparsedit.compiler.rules.match.Failure;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.compiler.rules.match.Rewriter;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import io.sparsedit.passes.functions.SparseOps;
import io.sparsedit.passes.qk.QkPreparation;
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
import java.util.Set;

/**
 * Finds every attention site by the rules in {@code rules/attention.rules} and the user's own, in
 * the graph and in its subgraphs. A built-in rule that makes no canonical node is a step towards
 * one.
 *
 * <pre>
 *   before   o  = MatMul(Softmax(MatMul(q * s, kt * s)), v)     read by the model
 *   after    o' = sparsedit.Attention(q, k, v) { scale = s * s } read by the model
 *            o  = MatMul(Softmax(...), v)                        still there, read by nothing
 * </pre>
 *
 * The exporter's nodes stay until it is decided what becomes of the site ({@link
 * RestoreDenseSites}).
 */
final class RecogniseAttention implements Pass<Compilation> {
  private static final int MASK = 3;

  private static final String LINEAR =
      "it is linear attention, which has no softmax: its cost grows with the tokens, not with their"
          + " square, and there is nothing to make sparse";

  private static final Set<String> PACKED = Set.of("PackedAttention", "PackedMultiHeadAttention");

  /** ONNX Runtime's, of models in its QOperator format. */
  private static final Set<String> IN_INTEGERS = Set.of("QLinearSoftmax", "QAttention");

  /** Steps between a softmax and the product that a rule ends with. */
  private static final int MAX_DISTANCE = 16;

  /** Steps that rules may take from an exporter's node to the canonical one. */
  private static final int MAX_ROUNDS = 16;

  @Override
  public String name() {
    return "recognise attention";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.CONSTANTS_FOLDED);
  }

  @Override
  public Set<Established> establishes() {
    return Set.of(Established.SITES_RECOGNISED);
  }

  @Override
  public int run(Compilation compilation) {
    Graph graph = compilation.model().graph();
    RuleEngine engine = new RuleEngine(compilation.rules());
    Set<Node> taken = new HashSet<>();
    List<Rewriter.Applied> rewrites = new ArrayList<>();
    // A step that leads to no site, with the node that it made in place of another.
    Map<Node, Rewriter.Applied> steps = new LinkedHashMap<>();
    boolean again = true;
    for (int round = 0; again && round < MAX_ROUNDS; round++) {
      again = false;
      // A match may have taken what a rewrite before it has replaced: sites that follow each other.
      Map<Value, Value> replaced = new HashMap<>();
      for (Match match : matches(compilation, engine)) {
        Rewriter.Applied applied = engine.apply(match);
        readCurrent(applied, replaced);
        Rewriter.Applied step = steps.remove(match.root());
        Rewriter.Applied whole = step == null ? applied : applied.after(step);
        taken.addAll(match.nodes());
        Optional<Node> attention = attentionOf(applied);
        if (attention.isPresent()) {
          List.of("q", "k", "v").forEach(name -> requireValue(match, name));
          if (match.nodes().stream().anyMatch(node -> node.is("QuantizeLinear"))) {
            attention.get().setAttribute(DenseOnly.ROUNDED, 1);
          }
          rewrites.add(whole);
        } else {
          again = true;
          steps.put(applied.replaced().get(0).current().producer().orElseThrow(), whole);
        }
      }
      // The rewrites may have put heads where there were none: shapes are those of now.
      compilation.graphChanged();
    }
    compilation.setTrace(engine.trace().stats());
    Map<Node, String> stuck = new HashMap<>();
    steps.forEach((made, step) -> stuck.put(exporters(step), reason(made, compilation, engine)));
    steps.values().forEach(Rewriter.Applied::undo);
    taken.removeAll(stuck.keySet());
    compilation.graphChanged();
    compilation.setNotUnderstood(notUnderstood(graph, compilation, engine, taken, stuck));
    compilation.setSites(sites(compilation, rewrites));
    return rewrites.size();
  }

  /** Lets the new nodes read what stands for their inputs by now. */
  private static void readCurrent(Rewriter.Applied applied, Map<Value, Value> replaced) {
    for (Node node : applied.nodes()) {
      for (int i = 0; i < node.inputCount(); i++) {
        Optional<Value> current = node.input(i).map(replaced::get);
        if (current.isPresent()) {
          node.setInput(i, current.get());
        }
      }
    }
    applied.replaced().forEach(r -> replaced.put(r.old(), r.current()));
  }

  /** The matches in the graph and its subgraphs whose result something reads. */
  private static List<Match> matches(Compilation compilation, RuleEngine engine) {
    Graph graph = compilation.model().graph();
    ValueFacts facts = compilation.facts();
    DataFlow flow = new DataFlow(graph, facts);
    List<Match> matches = new ArrayList<>();
    List<Rejection> rejections = new ArrayList<>();
    for (Graph each : Subgraphs.withSelf(graph)) {
      for (Match match : engine.findMatches(each, facts, compilation.model().opsets())) {
        Optional<String> mixing = mixingOfWeights(match, flow, facts);
        if (mixing.isPresent()) {
          rejections.add(new Rejection(match, mixing.get()));
        } else if (match.root().outputs().stream().anyMatch(v -> !v.isUnused())) {
          matches.add(match);
        }
      }
    }
    compilation.setRejections(rejections);
    return matches;
  }

  /** The sites of rewrites, in graph order; the last canonical node of each is the site's. */
  static List<Site> sites(Compilation compilation, List<Rewriter.Applied> rewrites) {
    Map<Node, Integer> places = Subgraphs.order(compilation.model().graph());
    List<Rewriter.Applied> ordered = new ArrayList<>(rewrites);
    ordered.sort(
        Comparator.comparing(
            applied -> places.getOrDefault(attentionOf(applied).orElseThrow(), places.size())));
    SiteNames names = new SiteNames();
    List<Site> sites = new ArrayList<>();
    for (Rewriter.Applied applied : ordered) {
      Node attention = attentionOf(applied).orElseThrow();
      Match match = applied.match();
      sites.add(
          new Site(
              sites.size(),
              names.nameOf(sites.size(), match.root()),
              attention,
              applied,
              shape(attention, match, compilation.facts()),
              compilation.facts().elementType(attention.requiredInput(0)),
              scale(match),
              attention.input(MASK).isPresent(),
              SiteKind.CROSS,
              TokenLayout.UNKNOWN,
              QkPreparation.UNKNOWN,
              Optional.empty(),
              "not classified"));
    }
    return sites;
  }

  /**
   * Says whether keys or values are weights, as in a mixture of experts, or a single learned query
   * without heads pools tokens.
   */
  private static Optional<String> mixingOfWeights(Match match, DataFlow flow, ValueFacts facts) {
    Optional<Value> query = match.value("q");
    if (match.value("k").filter(flow::isFixed).isPresent()) {
      return Optional.of("its keys are weights: no input of the model reaches them");
    }
    if (match.value("v").filter(flow::isFixed).isPresent()) {
      return Optional.of("its values are weights: no input of the model reaches them");
    }
    boolean noHeads =
        query.flatMap(facts::shape).map(List::size).filter(rank -> rank < 4).isPresent();
    return query.filter(flow::isFixed).isPresent() && noHeads
        ? Optional.of("its query is a weight without heads, by which tokens are pooled")
        : Optional.empty();
  }

  private static Optional<Node> attentionOf(Rewriter.Applied applied) {
    return applied.nodes().stream()
        .filter(
            node ->
                node.domain().equals(SparseOps.DOMAIN)
                    && node.opType().equals(AttentionRules.CANONICAL))
        .reduce((earlier, later) -> later);
  }

  /** A rule that matches but does not keep to what recognition relies on. */
  private static SparsifyException misuse(Match match, String what) {
    return SparsifyException.failure(
        match
            .rule()
            .span()
            .error("rule '" + match.rule() + "' matches at " + match.root() + ", but " + what));
  }

  private static void requireValue(Match match, String name) {
    if (match.value(name).isEmpty()) {
      throw misuse(match, "'" + name + "' is no value there");
    }
  }

  private static double scale(Match match) {
    return match
        .number("scale")
        .orElseThrow(() -> misuse(match, "'scale' is no number known at compile time there"));
  }

  private static Site.Shape shape(Node attention, Match match, ValueFacts facts) {
    List<Dim> query = heads(attention, 0, match, facts);
    List<Dim> key = heads(attention, 1, match, facts);
    heads(attention, 2, match, facts);
    return new Site.Shape(query.get(0), query.get(1), query.get(2), key.get(2), query.get(3));
  }

  private static List<Dim> heads(Node attention, int input, Match match, ValueFacts facts) {
    Value value = attention.requiredInput(input);
    return facts
        .shape(value)
        .filter(shape -> shape.size() == 4)
        .orElseThrow(
            () ->
                misuse(
                    match,
                    "input "
                        + input
                        + " of its sparsedit.Attention is "
                        + facts.shape(value).map(Object::toString).orElse("of unknown rank")
                        + ", not [batch, heads, tokens, head dimension]: say in 'where' which"
                        + " shapes the rule is for, such as q: [B, H, Sq, D];"));
  }

  /** The node that a chain of steps started from. */
  private static Node exporters(Rewriter.Applied step) {
    Rewriter.Replaced first = step.replaced().get(step.replaced().size() - 1);
    return first.old().producer().orElseThrow();
  }

  private static String reason(Node node, Compilation compilation, RuleEngine engine) {
    if (IN_INTEGERS.contains(node.opType())) {
      return "it is computed in integers: compile the model before it is quantised, or quantise it"
          + " with QuantizeLinear and DequantizeLinear (QuantFormat.QDQ), and without the matrix"
          + " products of its attention";
    }
    Optional<String> rejected =
        compilation.rejections().stream()
            .filter(rejection -> rejection.match().nodes().contains(node))
            .map(Rejection::reason)
            .findFirst();
    if (rejected.isPresent()) {
      return rejected.get();
    }
    Optional<String> open = overridable(compilation.model().graph());
    if (open.isPresent()) {
      return open.get();
    }
    Explanation explanation =
        engine.explain(node, compilation.facts(), compilation.model().opsets());
    return UnknownShape.why(node, explanation.failures(), compilation.facts())
        .or(() -> closest(node, explanation.failures()).map(Object::toString))
        .orElseGet(() -> noRule(node, compilation.model()));
  }

  /** Old exporters make initializers inputs, which a caller may override: sizes among them. */
  private static Optional<String> overridable(Graph graph) {
    return graph.inputs().stream()
        .filter(input -> input.constant().filter(t -> t.type() == DataType.INT64).isPresent())
        .findFirst()
        .map(
            input ->
                "initializers are graph inputs too ("
                    + input
                    + " among them), so that no size that they give is known: take them off the"
                    + " inputs, as onnxruntime.tools.remove_initializer_from_input does");
  }

  /** The attempt that came closest: around the node itself, or else as near behind it as may be. */
  private static Optional<Failure> closest(Node node, List<Failure> failures) {
    Map<Node, Integer> distances = distances(node);
    return failures.stream()
        .filter(failure -> !isFusedAttention(node) || failure.matched().contains(node))
        .min(
            Comparator.comparing(
                failure ->
                    failure.matched().contains(node)
                        ? 0
                        : distances.getOrDefault(failure.root(), Integer.MAX_VALUE)));
  }

  /** By how many steps nodes come after a node. */
  private static Map<Node, Integer> distances(Node node) {
    Map<Node, Integer> distances = new HashMap<>(Map.of(node, 0));
    Deque<Node> open = new ArrayDeque<>(List.of(node));
    while (!open.isEmpty()) {
      Node next = open.remove();
      int distance = distances.getOrDefault(next, 0) + 1;
      for (Value output : next.outputs()) {
        for (Value.Use use : output.uses()) {
          if (distance <= MAX_DISTANCE && distances.putIfAbsent(use.node(), distance) == null) {
            open.add(use.node());
          }
        }
      }
    }
    return distances;
  }

  /** Why each softmax or fused attention that is in no match is in none, and linear attention. */
  private static List<Inspection.NotUnderstood> notUnderstood(
      Graph graph,
      Compilation compilation,
      RuleEngine engine,
      Set<Node> taken,
      Map<Node, String> stuck) {
    List<Inspection.NotUnderstood> open = new ArrayList<>();
    LinearAttention linear =
        new LinearAttention(new DataFlow(graph, compilation.facts()), compilation.facts());
    for (Graph each : Subgraphs.withSelf(graph)) {
      for (Node node : each.nodes()) {
        if (mayBeAttention(node) && !taken.contains(node)) {
          String why = stuck.get(node);
          open.add(
              new Inspection.NotUnderstood(
                  node.toString(), why == null ? reason(node, compilation, engine) : why));
        } else if (!taken.contains(node) && linear.is(node)) {
          open.add(new Inspection.NotUnderstood(node.toString(), LINEAR));
        }
      }
    }
    return open;
  }

  private static boolean mayBeAttention(Node node) {
    return node.is("Softmax") || IN_INTEGERS.contains(node.opType()) || isFusedAttention(node);
  }

  private static boolean isFusedAttention(Node node) {
    return !node.domain().equals(SparseOps.DOMAIN) && node.opType().endsWith("Attention");
  }

  private static String noRule(Node node, Model model) {
    if (model.functionOf(node).isPresent()) {
      return "it calls a function whose operator sets are not the model's";
    }
    if (isFusedAttention(node) && node.outputs().stream().skip(1).anyMatch(v -> !v.isUnused())) {
      return "more than the result is read of it: scores or a cache of keys and values";
    }
    if (PACKED.contains(node.opType())) {
      return "it takes the tokens of all elements of the batch in one row, without their padding";
    }
    return isFusedAttention(node)
        ? "no rule takes this operator"
        : "it does not lead into a matrix product";
  }
}
