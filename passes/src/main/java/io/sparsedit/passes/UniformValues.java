package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/** Values all of whose elements are one known number, whatever their size. */
final class UniformValues {
  /** Chains of plumbing are shorter. */
  private static final int MAX_DEPTH = 32;

  private final ValueFacts facts;
  private final Map<Value, OptionalDouble> known = new HashMap<>();

  UniformValues(ValueFacts facts) {
    this.facts = facts;
  }

  /** The number, if it is known that there is one. */
  OptionalDouble of(Value value) {
    return of(value, 0);
  }

  /** Whether all elements are the given number. */
  boolean is(Value value, double wanted) {
    OptionalDouble number = of(value);
    return number.isPresent() && number.getAsDouble() == wanted;
  }

  private OptionalDouble of(Value value, int depth) {
    OptionalDouble before = known.get(value);
    if (before != null) {
      return before;
    }
    OptionalDouble found = depth > MAX_DEPTH ? OptionalDouble.empty() : find(value, depth);
    known.put(value, found);
    return found;
  }

  private OptionalDouble find(Value value, int depth) {
    Optional<Tensor> constant = facts.constant(value);
    if (constant.isPresent()) {
      return ofTensor(constant.get());
    }
    if (value.producer().isEmpty()) {
      return OptionalDouble.empty();
    }
    Node node = value.producer().get();
    if (!node.domain().isEmpty()) {
      return OptionalDouble.empty();
    }
    return switch (node.opType()) {
      case "ConstantOfShape" -> fill(node);
      case "Expand",
          "Reshape",
          "Cast",
          "CastLike",
          "Identity",
          "Unsqueeze",
          "Squeeze",
          "Transpose",
          "Slice",
          "Tile" ->
          of(node.requiredInput(0), depth + 1);
      case "Mul" -> combine(node, depth, (a, b) -> a * b);
      case "Add" -> combine(node, depth, Double::sum);
      case "Sub" -> combine(node, depth, (a, b) -> a - b);
      default -> OptionalDouble.empty();
    };
  }

  private OptionalDouble combine(
      Node node, int depth, java.util.function.DoubleBinaryOperator operator) {
    OptionalDouble a = of(node.requiredInput(0), depth + 1);
    OptionalDouble b = of(node.requiredInput(1), depth + 1);
    return a.isPresent() && b.isPresent()
        ? OptionalDouble.of(operator.applyAsDouble(a.getAsDouble(), b.getAsDouble()))
        : OptionalDouble.empty();
  }

  private static OptionalDouble fill(Node node) {
    Optional<Attribute> value = node.attribute("value");
    if (value.isEmpty()) {
      return OptionalDouble.of(0);
    }
    return value.get() instanceof Attribute.TensorValue tensor
        ? ofTensor(tensor.value())
        : OptionalDouble.empty();
  }

  private static OptionalDouble ofTensor(Tensor tensor) {
    Optional<double[]> elements = tensor.doubles();
    if (elements.isEmpty() || elements.get().length == 0) {
      return OptionalDouble.empty();
    }
    double first = elements.get()[0];
    for (double element : elements.get()) {
      if (element != first) {
        return OptionalDouble.empty();
      }
    }
    return OptionalDouble.of(first);
  }
}
