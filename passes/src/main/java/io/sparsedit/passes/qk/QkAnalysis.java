package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/** What stands in front of Q and K of the sites of one graph. */
public final class QkAnalysis {
  private final PreparationFinder finder;

  /**
   * An analysis of a graph that does not change meanwhile.
   *
   * @param opsets versions of operator sets by domain
   * @param isFixed whether a value depends on no input
   */
  public QkAnalysis(
      Graph graph, ValueFacts facts, Map<String, Long> opsets, Predicate<Value> isFixed) {
    finder = new PreparationFinder(graph, facts, opsets, isFixed);
  }

  /**
   * What stands in front of Q and K.
   *
   * @param query Q, {@code [B,H,Sq,D]}
   * @param key K, {@code [B,H,Sk,D]}
   * @param content the graph inputs that the tokens come from; cosines and sines that depend on
   *     their elements are none
   */
  public QkPreparation of(Value query, Value key, Set<Value> content) {
    return new QkPreparation(prepared(query, content), prepared(key, content));
  }

  private Prepared prepared(Value value, Set<Value> content) {
    List<FoundPart> parts =
        finder.view(value).map(view -> finder.find(view, content)).orElse(List.of());
    return new Prepared(parts.stream().map(FoundPart::fact).toList());
  }

  PreparationFinder finder() {
    return finder;
  }
}
