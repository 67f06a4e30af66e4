package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Operators that stand between the two products of an attention besides softmax, and work element
 * by element: scales, masks, casts, guards.
 */
final class Elementwise {
  private static final Set<String> OPERATORS =
      Set.of(
          "Add",
          "Sub",
          "Mul",
          "Div",
          "Neg",
          "Cast",
          "CastLike",
          "Identity",
          "Where",
          "Tanh",
          "IsNaN",
          "Not",
          "Clip");

  /** Operators, softmax included, between the two products; exporters write fewer. */
  private static final int MAX_DISTANCE = 16;

  private Elementwise() {}

  static boolean is(Node node) {
    return node.domain().isEmpty()
        && OPERATORS.contains(node.opType())
        && node.outputs().size() == 1
        && node.inputCount() > 0;
  }

  /** Whether a value becomes, element by element, what a softmax is taken of. */
  static boolean leadsToSoftmax(Value value) {
    return leadsToSoftmax(value, 0);
  }

  private static boolean leadsToSoftmax(Value value, int distance) {
    if (distance > MAX_DISTANCE) {
      return false;
    }
    for (Value.Use use : value.uses()) {
      Node reader = use.node();
      boolean transparent = is(reader) || reader.is("Transpose") || reader.is("Reshape");
      if (reader.is("Softmax") || (transparent && leadsToSoftmax(reader.output(), distance + 1))) {
        return true;
      }
    }
    return false;
  }

  /** Whether a value is made, element by element, from a matrix product. */
  static boolean comesFromProduct(Value value) {
    return comesFrom(value, "MatMul", 0);
  }

  /** Whether a value is made, element by element, from a softmax. */
  static boolean comesFromSoftmax(Value value) {
    return comesFrom(value, "Softmax", 0);
  }

  private static boolean comesFrom(Value value, String operator, int distance) {
    Optional<Node> producer = value.producer();
    if (producer.isEmpty() || distance > MAX_DISTANCE) {
      return false;
    }
    Node node = producer.get();
    if (node.is(operator)) {
      return true;
    }
    if (!is(node)) {
      return false;
    }
    for (Value input : node.presentInputs()) {
      if (comesFrom(input, operator, distance + 1)) {
        return true;
      }
    }
    return false;
  }

  /**
   * The operand for axes in another order.
   *
   * @param operand an operand that broadcasts with a value of so many axes
   * @param perm of the value's axes
   * @return empty if the operand's rank is not known
   */
  static Optional<Value> permuted(
      Inserter insert, Value operand, List<Integer> perm, ValueFacts facts) {
    Optional<List<Dim>> shape = facts.shape(operand);
    if (shape.isEmpty() || shape.get().size() > perm.size()) {
      return Optional.empty();
    }
    if (shape.get().stream().allMatch(dim -> dim.is(1))) {
      return Optional.of(operand);
    }
    int missing = perm.size() - shape.get().size();
    long[] axes = new long[missing];
    for (int i = 0; i < missing; i++) {
      axes[i] = i;
    }
    return Optional.of(insert.transpose(insert.unsqueeze(operand, axes), perm));
  }
}
