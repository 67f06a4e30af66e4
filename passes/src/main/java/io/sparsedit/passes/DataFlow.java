package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Where the data of a value comes from. Sizes do not count as data: nothing is followed through
 * Shape and Size.
 */
final class DataFlow {
  /** Operators that keep the elements in order. */
  private static final Set<String> SHAPING =
      Set.of("Cast", "CastLike", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze");

  private final Graph graph;
  private final ValueFacts facts;
  private final Map<Value, Boolean> dependsOnInput = new HashMap<>();

  DataFlow(Graph graph, ValueFacts facts) {
    this.graph = graph;
    this.facts = facts;
    Set<Value> inputs = new HashSet<>(graph.inputs());
    for (Value value : graph.values()) {
      if (value.producer().isEmpty()) {
        dependsOnInput.put(value, inputs.contains(value) && value.constant().isEmpty());
      }
    }
    for (Node node : graph.nodes()) {
      boolean depends = false;
      if (!readsSizeOnly(node)) {
        for (Value input : dataOf(node)) {
          depends |= dependsOnInput.getOrDefault(input, true);
        }
        depends |= !node.subgraphs().isEmpty();
      }
      for (Value output : node.outputs()) {
        dependsOnInput.put(output, depends);
      }
    }
  }

  /** What a node reads, and what its bodies read of the graphs around them. */
  private static Set<Value> dataOf(Node node) {
    Set<Value> data = new LinkedHashSet<>(node.presentInputs());
    if (!node.subgraphs().isEmpty()) {
      data.addAll(Subgraphs.captured(node));
    }
    return data;
  }

  private static boolean readsSizeOnly(Node node) {
    return node.is("Shape") || node.is("Size");
  }

  /** Whether the value depends on no graph input, only on weights and sizes. */
  boolean isFixed(Value value) {
    return !dependsOnInput.getOrDefault(value, true) || facts.constant(value).isPresent();
  }

  /**
   * The inputs of the linear projections nearest upstream of a value: what it is a projection of.
   * Casts and reshapes in front of a projection are looked through.
   */
  Set<Value> projectionSources(Value value) {
    Set<Value> sources = new LinkedHashSet<>();
    Set<Value> seen = new HashSet<>();
    Deque<Value> work = new ArrayDeque<>();
    work.add(value);
    while (!work.isEmpty()) {
      Value v = work.poll();
      if (!seen.add(v) || isFixed(v)) {
        continue;
      }
      Optional<Node> producer = v.producer();
      if (producer.isEmpty()) {
        continue;
      }
      Node node = producer.get();
      Optional<Value> projected = projectedBy(node);
      if (projected.isPresent()) {
        sources.add(throughShaping(projected.get()));
      } else if (!readsSizeOnly(node)) {
        work.addAll(node.presentInputs());
      }
    }
    return sources;
  }

  /** The data input of a linear layer with fixed weights. */
  private Optional<Value> projectedBy(Node node) {
    boolean product =
        node.is("MatMul") || node.is("Gemm") || (node.is("Einsum") && node.inputCount() == 2);
    if (!product && !node.is("Conv")) {
      return Optional.empty();
    }
    Value left = node.requiredInput(0);
    Value right = node.requiredInput(1);
    if (isFixed(right) && !isFixed(left)) {
      return Optional.of(left);
    }
    return !node.is("Conv") && isFixed(left) && !isFixed(right)
        ? Optional.of(right)
        : Optional.empty();
  }

  private static Value throughShaping(Value value) {
    Value v = value;
    while (true) {
      Optional<Node> producer = v.producer();
      if (producer.isEmpty()) {
        return v;
      }
      Node node = producer.get();
      if (!node.domain().isEmpty() || !SHAPING.contains(node.opType())) {
        return v;
      }
      v = node.requiredInput(0);
    }
  }

  /** The graph inputs that any of the values depends on. */
  Set<Value> graphInputs(Iterable<Value> values) {
    Set<Value> found = new LinkedHashSet<>();
    List<Value> inputs = graph.inputs();
    for (Value v : upstream(values)) {
      if (inputs.contains(v)) {
        found.add(v);
      }
    }
    return found;
  }

  /** All values that the given ones depend on, themselves included. */
  Set<Value> upstream(Iterable<Value> values) {
    Set<Value> seen = new LinkedHashSet<>();
    Deque<Value> work = new ArrayDeque<>();
    values.forEach(work::add);
    while (!work.isEmpty()) {
      Value v = work.poll();
      if (!seen.add(v)) {
        continue;
      }
      v.producer()
          .filter(node -> !readsSizeOnly(node))
          .ifPresent(node -> work.addAll(dataOf(node)));
      BodyInput.of(v).ifPresent(input -> work.addAll(input.outer()));
    }
    return seen;
  }
}
