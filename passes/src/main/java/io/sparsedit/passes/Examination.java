package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.Suggestion;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.Explanation;
import io.sparsedit.compiler.rules.RuleEngine;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ShapeTable;
import io.sparsedit.passes.drawing.NeighbourhoodDrawing;
import io.sparsedit.passes.report.ExplanationText;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A model that was looked at, open for questions about its sites and nodes.
 *
 * <p>A question names its subject: a site, a node, or a value, which stands for the node that
 * computes it. Names may be given as messages print them: {@code Softmax '/attn/Softmax'}, {@code
 * %scores}.
 */
public final class Examination {
  private final Compilation compilation;
  private final Inspection inspection;
  private final RuleInput input;
  private final Set<String> namesAsExported;
  private @Nullable ShapeTable facts;

  Examination(
      Compilation compilation,
      Inspection inspection,
      RuleInput input,
      Set<String> namesAsExported) {
    this.compilation = compilation;
    this.inspection = inspection;
    this.input = input;
    this.namesAsExported = namesAsExported;
  }

  /** What was found. */
  public Inspection inspection() {
    return inspection;
  }

  /**
   * Why a subject is, or is not, taken for attention, and what becomes of its site.
   *
   * @throws SparsifyException if nothing has that name
   */
  public NodeExplanation explain(String subject) {
    Optional<Site> named = site(subject);
    if (named.isPresent()) {
      Site site = named.get();
      Node root = site.recognition().match().root();
      return NodeExplanation.ofSite(site, root, names(site.recognition().match()));
    }
    Node node = node(subject);
    Optional<Site> owner =
        inspection.sites().stream().filter(site -> core(site).contains(node)).findFirst();
    if (owner.isPresent()) {
      return NodeExplanation.ofSite(owner.get(), node, names(owner.get().recognition().match()));
    }
    for (Rejection rejection : compilation.rejections()) {
      if (rejection.match().nodes().stream().anyMatch(n -> isCopy(n, node))) {
        return NodeExplanation.ofRejection(node, rejection, names(rejection.match()));
      }
    }
    RuleEngine engine = new RuleEngine(compilation.rules());
    Explanation explanation = engine.explain(node, facts(), input.model().opsets());
    return NodeExplanation.ofAttempts(
        node, explanation, UnknownShape.why(node, explanation.failures(), facts()));
  }

  /**
   * Draws a subject with what is around it, as SVG. Without a subject it is the first site.
   *
   * @throws SparsifyException if nothing has that name, or there is nothing to draw
   */
  public Drawing draw(Optional<String> subject) {
    String name =
        subject.orElseGet(
            () ->
                inspection.sites().stream()
                    .findFirst()
                    .map(Site::name)
                    .orElseThrow(
                        () ->
                            SparsifyException.usage(
                                compilation.file()
                                    + " has no attention site to draw: name a node with"
                                    + " --explain")));
    NodeExplanation explanation = explain(name);
    List<String> heading = new ArrayList<>(ExplanationText.summary(explanation));
    heading.add("Highlighted: what the rule fits. Dashed: where the graph goes on.");
    Map<Value, String> names = new HashMap<>();
    List<Node> core = new ArrayList<>();
    if (explanation.match().isPresent()) {
      Match match = explanation.match().get();
      match.nodes().forEach(node -> core.add(copyOf(node)));
      MatchNames.values(match).forEach((value, word) -> names.put(copyOf(value), word));
    } else {
      explanation.failures().stream().limit(1).forEach(f -> core.addAll(f.matched()));
    }
    String svg =
        NeighbourhoodDrawing.of(
            heading, core, copyOf(explanation.node()), site(name).isEmpty(), names, facts());
    return new Drawing(name, svg);
  }

  /**
   * A drawing.
   *
   * @param subject what it shows
   * @param svg the file's content
   */
  public record Drawing(String subject, String svg) {}

  /** The copy of a node that the rules saw, or the node itself if it is one. */
  private Node copyOf(Node node) {
    return input.copyOf(node).orElse(node);
  }

  private Value copyOf(Value value) {
    Optional<Node> producer = value.producer().flatMap(input::copyOf);
    return producer
        .map(node -> node.output(value.outputIndex()))
        .or(() -> input.model().graph().value(value.name()))
        .orElse(value);
  }

  private ShapeTable facts() {
    ShapeTable table = facts;
    if (table == null) {
      table = ShapeInference.infer(input.model());
      facts = table;
    }
    return table;
  }

  private boolean isCopy(Node original, Node copy) {
    return input.copyOf(original).filter(c -> c == copy).isPresent();
  }

  /** The exporter's nodes of a site, last first. */
  private List<Node> core(Site site) {
    return site.recognition().match().nodes().stream()
        .flatMap(node -> input.copyOf(node).stream())
        .toList();
  }

  private Map<String, String> names(Match match) {
    return MatchNames.of(match, compilation.facts());
  }

  // ---- names ------------------------------------------------------------------------------------

  private Optional<Site> site(String subject) {
    return inspection.sites().stream().filter(s -> s.name().equals(subject)).findFirst();
  }

  private Node node(String subject) {
    Graph graph = input.model().graph();
    for (Node node : graph.nodes()) {
      if (node.name().equals(subject) || node.toString().equals(subject)) {
        return node;
      }
    }
    String valueName = subject.startsWith("%") ? subject.substring(1) : subject;
    Optional<Value> value = graph.value(valueName);
    if (value.isPresent()) {
      return value
          .get()
          .producer()
          .orElseThrow(
              () ->
                  SparsifyException.usage(
                      "'"
                          + subject
                          + "' is "
                          + (value.get().constant().isPresent() ? "a constant" : "an input")
                          + " of "
                          + compilation.file()
                          + " and computed by no node: name a node that reads it, "
                          + readers(value.get())));
    }
    throw SparsifyException.usage(notFound(subject, valueName));
  }

  private static String readers(Value value) {
    return "such as "
        + value.uses().stream()
            .map(use -> use.node().toString())
            .distinct()
            .limit(3)
            .reduce((a, b) -> a + " or " + b)
            .orElse("one of those that 'inspect' lists");
  }

  private String notFound(String subject, String valueName) {
    if (namesAsExported.contains(subject) || namesAsExported.contains(valueName)) {
      return "'"
          + subject
          + "' is not in the graph any more when the rules are tried: it is constant, changes"
          + " nothing, is read by nothing, or was written in a simpler form. Name a node that reads"
          + " it";
    }
    if (inSubgraph(input.model().graph(), subject, valueName)) {
      return "'"
          + subject
          + "' is in the body of an If, Loop or Scan, where no attention is looked for";
    }
    List<String> candidates = new ArrayList<>();
    inspection.sites().forEach(site -> candidates.add(site.name()));
    candidates.addAll(namesAsExported);
    Optional<String> meant = Suggestion.closest(subject, candidates);
    return compilation.file()
        + " has no site, node or value named '"
        + subject
        + "'"
        + meant.map(name -> "; did you mean '" + name + "'?").orElse(": 'inspect' lists the sites");
  }

  private static boolean inSubgraph(Graph graph, String nodeName, String valueName) {
    for (Node node : graph.nodes()) {
      for (Graph body : node.subgraphs()) {
        for (Node inner : body.nodes()) {
          if (inner.name().equals(nodeName)
              || inner.outputs().stream().anyMatch(v -> v.name().equals(valueName))) {
            return true;
          }
        }
        if (inSubgraph(body, nodeName, valueName)) {
          return true;
        }
      }
    }
    return false;
  }
}
