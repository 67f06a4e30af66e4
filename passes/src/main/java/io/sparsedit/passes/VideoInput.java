package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Which graph input holds the noisy video. */
final class VideoInput {
  private VideoInput() {}

  /**
   * Of the inputs that the first output's elements are laid out by, and that have its rank, the one
   * that shares most of its dimensions, and of equal ones the first. If there is none among them,
   * any input counts.
   */
  static Optional<Value> find(Graph graph, ValueFacts facts, TokenOrigins origins) {
    if (graph.outputs().isEmpty()) {
      return Optional.empty();
    }
    Value output = graph.outputs().get(0);
    Optional<List<Dim>> shape = facts.shape(output);
    if (shape.isEmpty()) {
      return Optional.empty();
    }
    Set<Value> layout = new HashSet<>();
    for (int axis = 1; axis < shape.get().size(); axis++) {
      origins.of(output, axis).forEach(segment -> layout.addAll(segment.inputs()));
    }
    Optional<Value> found =
        mostAlike(graph.inputs().stream().filter(layout::contains).toList(), shape.get(), facts);
    return found.isPresent() ? found : mostAlike(graph.inputs(), shape.get(), facts);
  }

  private static Optional<Value> mostAlike(List<Value> inputs, List<Dim> like, ValueFacts facts) {
    Optional<Value> best = Optional.empty();
    long bestShared = 0;
    for (Value input : inputs) {
      Optional<List<Dim>> shape = facts.shape(input);
      if (input.constant().isPresent()
          || !facts.elementType(input).isFloating()
          || shape.isEmpty()
          || shape.get().size() != like.size()) {
        continue;
      }
      long shared = 1;
      for (int axis = 1; axis < shape.get().size(); axis++) {
        if (shape.get().get(axis).equals(like.get(axis))) {
          shared++;
        }
      }
      if (shared > bestShared) {
        bestShared = shared;
        best = Optional.of(input);
      }
    }
    return best;
  }
}
