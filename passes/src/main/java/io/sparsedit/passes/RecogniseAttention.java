package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.rules.Explanation;
import io.sparsedit.compiler.rules.RuleEngine;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.compiler.rules.match.Rewriter;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import io.sparsedit.passes.functions.SparseOps;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Finds every attention site by the rules in {@code rules/attention.rules} and the user's own.
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
    ValueFacts facts = compilation.facts();
    RuleEngine engine = new RuleEngine(compilation.rules());
    DataFlow flow = new DataFlow(graph, facts);
    List<Match> matches = new ArrayList<>();
    List<Rejection> rejections = new ArrayList<>();
    for (Match match : engine.findMatches(graph, facts, compilation.model().opsets())) {
      Optional<String> mixing = mixingOfWeights(match, flow, facts);
      if (mixing.isPresent()) {
        rejections.add(new Rejection(match, mixing.get()));
      } else {
        matches.add(match);
      }
    }
    compilation.setRejections(rejections);
    compilation.setNotUnderstood(notUnderstood(compilation, engine, matches));

    List<Rewriter.Applied> rewrites = new ArrayList<>();
    for (Match match : matches) {
      Rewriter.Applied applied = engine.apply(match);
      rewrites.add(applied);
    }
    compilation.setTrace(engine.trace().stats());
    // The rewrites may have put heads where there were none: shapes are those of now.
    compilation.graphChanged();
    SiteNames names = new SiteNames();
    List<Site> sites = new ArrayList<>();
    for (Rewriter.Applied applied : rewrites) {
      Node attention = attentionOf(applied);
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
              Optional.empty(),
              "not classified"));
    }
    compilation.setSites(sites);
    return sites.size();
  }

  /**
   * Says whether keys or values are weights, as in a mixture of experts, or a single learned query
   * without heads pools tokens.
   */
  private static Optional<String> mixingOfWeights(Match match, DataFlow flow, ValueFacts facts) {
    Value query = named(match, "q");
    boolean hasHeads = facts.shape(query).map(List::size).orElse(0) > 3;
    if (flow.isFixed(named(match, "k"))) {
      return Optional.of("its keys are weights: no input of the model reaches them");
    }
    if (flow.isFixed(named(match, "v"))) {
      return Optional.of("its values are weights: no input of the model reaches them");
    }
    return flow.isFixed(query) && !hasHeads
        ? Optional.of("its query is a weight without heads, by which tokens are pooled")
        : Optional.empty();
  }

  private static Node attentionOf(Rewriter.Applied applied) {
    return applied.nodes().stream()
        .filter(
            node ->
                node.domain().equals(SparseOps.DOMAIN)
                    && node.opType().equals(AttentionRules.CANONICAL))
        .findFirst()
        .orElseThrow(() -> misuse(applied.match(), "makes no sparsedit.Attention"));
  }

  /** A rule that matches but does not keep to what recognition relies on. */
  private static SparsifyException misuse(Match match, String what) {
    return SparsifyException.failure(
        match
            .rule()
            .span()
            .error("rule '" + match.rule() + "' matches at " + match.root() + ", but " + what));
  }

  private static Value named(Match match, String name) {
    return match.value(name).orElseThrow(() -> misuse(match, "'" + name + "' is no value there"));
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

  /** Why each softmax that is in no match is in none. */
  private static List<Inspection.NotUnderstood> notUnderstood(
      Compilation compilation, RuleEngine engine, List<Match> matches) {
    Set<Node> taken = new HashSet<>();
    matches.forEach(match -> taken.addAll(match.nodes()));
    List<Inspection.NotUnderstood> open = new ArrayList<>();
    for (Node node : compilation.model().graph().nodes()) {
      if ((node.is("Softmax") || node.is("Attention")) && !taken.contains(node)) {
        Optional<String> reason =
            compilation.rejections().stream()
                .filter(rejection -> rejection.match().nodes().contains(node))
                .map(Rejection::reason)
                .findFirst();
        if (reason.isEmpty()) {
          Explanation explanation =
              engine.explain(node, compilation.facts(), compilation.model().opsets());
          reason = explanation.failures().stream().map(Object::toString).findFirst();
        }
        open.add(
            new Inspection.NotUnderstood(
                node.toString(), reason.orElse("it does not lead into a matrix product")));
      }
    }
    return open;
  }
}
