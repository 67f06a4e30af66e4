package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.rules.Explanation;
import io.sparsedit.compiler.rules.RuleEngine;
import io.sparsedit.compiler.rules.RuleSet;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.compiler.rules.match.Rewriter;
import io.sparsedit.compiler.rules.syntax.Source;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Finds every attention site by the rules in {@code rules/attention.rules}.
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
  private static final String RULES = "/rules/attention.rules";

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
    RuleEngine engine = new RuleEngine(rules());
    List<Match> matches = engine.findMatches(graph, facts, compilation.model().opsets());
    compilation.setNotUnderstood(notUnderstood(compilation, engine, matches));

    SiteNames names = new SiteNames();
    List<Site> sites = new ArrayList<>();
    for (Match match : matches) {
      Node root = match.root();
      ValueFacts before = facts;
      Rewriter.Applied applied = engine.apply(match);
      Node attention = applied.nodes().get(applied.nodes().size() - 1);
      declareType(attention.output(), applied.replaced().get(0).old(), before);
      sites.add(
          new Site(
              sites.size(),
              names.nameOf(sites.size(), root),
              attention,
              applied,
              shape(match),
              before.elementType(match.requiredValue("q")),
              match.requiredNumber("scale"),
              SiteKind.CROSS,
              false,
              "not classified"));
    }
    compilation.setSites(sites);
    return sites.size();
  }

  private static RuleSet rules() {
    try (InputStream in = RecogniseAttention.class.getResourceAsStream(RULES)) {
      if (in == null) {
        throw new IllegalStateException(RULES + " is not on the class path");
      }
      String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      return RuleSet.load(List.of(new Source("attention.rules", text)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Site.Shape shape(Match match) {
    return new Site.Shape(
        dim(match, "B"), dim(match, "H"), dim(match, "Sq"), dim(match, "Sk"), dim(match, "D"));
  }

  private static Dim dim(Match match, String name) {
    return match.symbolicDim(name).orElseGet(() -> Dim.of(Math.round(match.requiredNumber(name))));
  }

  /** The canonical node is unknown to shape inference: its output is what the exporter's was. */
  private static void declareType(Value canonical, Value original, ValueFacts facts) {
    DataType type = facts.elementType(original);
    if (type != DataType.UNDEFINED) {
      canonical.setType(
          new ValueType.TensorType(type, facts.shape(original).map(DeclaredDims::of)));
    }
  }

  /** Why each softmax that is in no match is in none. */
  private static List<Inspection.NotUnderstood> notUnderstood(
      Compilation compilation, RuleEngine engine, List<Match> matches) {
    Set<Node> taken = new HashSet<>();
    matches.forEach(match -> taken.addAll(match.nodes()));
    List<Inspection.NotUnderstood> open = new ArrayList<>();
    for (Node node : compilation.model().graph().nodes()) {
      if ((node.is("Softmax") || node.is("Attention")) && !taken.contains(node)) {
        Explanation explanation =
            engine.explain(node, compilation.facts(), compilation.model().opsets());
        Optional<String> reason = explanation.failures().stream().map(Object::toString).findFirst();
        open.add(
            new Inspection.NotUnderstood(
                node.toString(), reason.orElse("it does not lead into a matrix product")));
      }
    }
    return open;
  }
}
