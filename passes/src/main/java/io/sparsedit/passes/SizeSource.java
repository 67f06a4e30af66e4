package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Optional;

/**
 * Where a graph can read a symbolic size when it runs: an axis of some value.
 *
 * @param value the value
 * @param axis the axis
 */
record SizeSource(Value value, int axis) {
  /** The first input, or else the first value computed before a node, that has the size. */
  static Optional<SizeSource> find(Dim size, Node before, ValueFacts facts) {
    Graph graph = before.graph();
    for (Value input : graph.inputs()) {
      Optional<SizeSource> found = axisOf(input, size, facts);
      if (found.isPresent()) {
        return found;
      }
    }
    for (Node node : graph.nodes()) {
      if (node == before) {
        break;
      }
      for (Value output : node.outputs()) {
        Optional<SizeSource> found = axisOf(output, size, facts);
        if (found.isPresent()) {
          return found;
        }
      }
    }
    return Optional.empty();
  }

  private static Optional<SizeSource> axisOf(Value value, Dim size, ValueFacts facts) {
    Optional<List<Dim>> shape = facts.shape(value);
    return shape.isPresent() && shape.get().contains(size)
        ? Optional.of(new SizeSource(value, shape.get().indexOf(size)))
        : Optional.empty();
  }

  /** Puts nodes before another that compute the size, as int64[1]. */
  Value compute(Node before) {
    Graph graph = before.graph();
    Value shape = graph.insertBefore(before, "Shape", value);
    Value index = graph.addConstant("axis", Tensor.vector(axis));
    return graph.insertBefore(before, "Gather", shape, index);
  }
}
