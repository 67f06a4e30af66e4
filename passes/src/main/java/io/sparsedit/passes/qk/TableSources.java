package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** What tables of cosines and sines are computed from. */
final class TableSources {
  private static final Set<String> MOVING =
      Set.of(
          "Identity",
          "Cast",
          "CastLike",
          "Reshape",
          "Squeeze",
          "Unsqueeze",
          "Flatten",
          "Transpose",
          "Expand",
          "Tile",
          "Slice",
          "Split",
          "Concat",
          "Gather",
          "Neg");

  private static final Set<String> NO_CONTENT = Set.of("Cos", "Sin", "Shape", "Size");

  private final Graph graph;
  private final Set<Value> graphInputs;

  TableSources(Graph graph) {
    this.graph = graph;
    this.graphInputs = new HashSet<>(graph.inputs());
    graphInputs.removeIf(input -> input.constant().isPresent());
  }

  /**
   * What values depend on.
   *
   * @param inputs graph inputs whose elements matter
   * @param sizes whether sizes of graph inputs do
   * @param computed whether more than moving elements is done on the way
   */
  private record Dependence(Set<Value> inputs, boolean sizes, boolean computed) {}

  private Dependence of(Iterable<Value> values, boolean sizesToo) {
    Set<Value> inputs = new HashSet<>();
    Set<Value> seen = new HashSet<>();
    Deque<Value> open = new ArrayDeque<>();
    values.forEach(open::add);
    boolean sizes = false;
    boolean computed = false;
    while (!open.isEmpty()) {
      Value value = open.pop();
      if (!seen.add(value)) {
        continue;
      }
      if (graphInputs.contains(value)) {
        inputs.add(value);
      }
      if (value.producer().isEmpty()) {
        continue;
      }
      Node node = value.producer().get();
      if (node.is("Shape") || node.is("Size")) {
        sizes = true;
        continue;
      }
      computed |= !MOVING.contains(node.opType());
      if (sizesToo
          || node.is("Concat")
          || node.inputCount() < 2
          || !MOVING.contains(node.opType())) {
        open.addAll(node.presentInputs());
      } else {
        open.add(node.requiredInput(0));
      }
    }
    return new Dependence(inputs, sizes, computed);
  }

  /**
   * Whether elements of the inputs matter for a table. What goes through a cosine or a sine does
   * not count: that is a rotation by whatever angle.
   */
  boolean isMadeOfAny(Value table, Set<Value> inputs) {
    Set<Value> seen = new HashSet<>();
    Deque<Value> open = new ArrayDeque<>();
    open.add(table);
    while (!open.isEmpty()) {
      Value value = open.pop();
      if (inputs.contains(value)) {
        return true;
      }
      if (seen.add(value)) {
        value
            .producer()
            .filter(node -> !NO_CONTENT.contains(node.opType()))
            .ifPresent(node -> node.presentInputs().forEach(open::push));
      }
    }
    return false;
  }

  Rope.Source of(Collection<Value> tables) {
    Dependence all = of(tables, true);
    if (all.inputs().isEmpty()) {
      return all.sizes() ? Rope.Source.SIZES : Rope.Source.CONSTANT;
    }
    // Sizes of what is moved do not make it computed.
    return of(tables, false).computed() ? Rope.Source.COMPUTED : Rope.Source.INPUT;
  }

  /** Names of the inputs whose elements matter, in the order of the graph. */
  List<String> inputs(Collection<Value> tables) {
    Set<Value> found = of(tables, true).inputs();
    return graph.inputs().stream().filter(found::contains).map(Value::name).toList();
  }
}
