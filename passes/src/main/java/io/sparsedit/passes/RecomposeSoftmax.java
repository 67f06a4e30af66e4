package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Writes a softmax that is spelt out as Softmax.
 *
 * <pre>
 *   before   e = Exp(Sub(x, ReduceMax(x)))     or Exp(x)
 *            p = Div(e, ReduceSum(e))          or Mul(e, Reciprocal(ReduceSum(e)))
 *   after    p = Softmax(x)
 *
 *   before   p = Exp(LogSoftmax(x))            or Exp(Sub(x, ReduceLogSumExp(x)))
 *   after    p = Softmax(x)
 *
 *   before   o = Div(MatMul(e, v), ReduceSum(e))     normalised after the product
 *   after    o = MatMul(Softmax(x), v)
 * </pre>
 *
 * Only where the sum goes over one axis and keeps it.
 */
final class RecomposeSoftmax implements Pass<Compilation> {
  /**
   * A softmax not yet normalised.
   *
   * @param scores what the exponential is taken of, but for a shift that a softmax does not feel
   * @param axis the axis that is summed over
   */
  private record Exponentials(Value scores, int axis) {}

  @Override
  public String name() {
    return "recompose softmax";
  }

  @Override
  public int run(Compilation compilation) {
    ValueFacts facts = compilation.facts();
    return EachNode.rewrite(compilation.model().graph(), node -> recompose(node, facts));
  }

  private static boolean recompose(Node node, ValueFacts facts) {
    Optional<Value> softmax =
        switch (node.domain().isEmpty() ? node.opType() : "") {
          case "Div" -> quotient(node, node.requiredInput(0), node.requiredInput(1), facts);
          case "Mul" -> product(node, facts);
          case "Exp" -> ofLogarithm(node, facts);
          default -> Optional.empty();
        };
    softmax.ifPresent(result -> node.replaceWith(List.of(result)));
    return softmax.isPresent();
  }

  /** Mul(e, Reciprocal(sum)) and Mul(e, Div(1, sum)). */
  private static Optional<Value> product(Node node, ValueFacts facts) {
    for (int i = 0; i < 2; i++) {
      Value factor = node.requiredInput(1 - i);
      Optional<Node> inverse = factor.producer();
      Optional<Value> sum = Optional.empty();
      if (inverse.isPresent() && inverse.get().is("Reciprocal")) {
        sum = inverse.get().input(0);
      } else if (inverse.isPresent() && inverse.get().is("Div")) {
        boolean one = new UniformValues(facts).is(inverse.get().requiredInput(0), 1);
        sum = one ? inverse.get().input(1) : Optional.empty();
      }
      if (sum.isPresent()) {
        Optional<Value> found = quotient(node, node.requiredInput(i), sum.get(), facts);
        if (found.isPresent()) {
          return found;
        }
      }
    }
    return Optional.empty();
  }

  private static Optional<Value> quotient(
      Node root, Value numerator, Value denominator, ValueFacts facts) {
    Optional<Node> sum = denominator.producer().filter(node -> node.is("ReduceSum"));
    if (sum.isEmpty()) {
      return Optional.empty();
    }
    Value exponentials = sum.get().requiredInput(0);
    Optional<Exponentials> parts = exponentials(exponentials, sum.get(), facts);
    if (parts.isEmpty()) {
      return Optional.empty();
    }
    if (numerator == exponentials) {
      return Optional.of(softmax(root, parts.get()));
    }
    // The rows of the product are the rows of the exponentials, the summed axis is its inner one.
    Optional<Node> product = numerator.producer().filter(node -> node.is("MatMul"));
    int rank = rank(exponentials, facts);
    if (product.isEmpty()
        || product.get().requiredInput(0) != exponentials
        || parts.get().axis() != rank - 1
        || rank(numerator, facts) != rank) {
      return Optional.empty();
    }
    return Optional.of(
        new Inserter(root)
            .node("MatMul", softmax(root, parts.get()), product.get().requiredInput(1)));
  }

  private static Optional<Exponentials> exponentials(Value value, Node sum, ValueFacts facts) {
    Optional<Node> exp = value.producer().filter(node -> node.is("Exp"));
    OptionalInt axis = keptAxis(sum, facts);
    if (exp.isEmpty() || axis.isEmpty()) {
      return Optional.empty();
    }
    Value scores = exp.get().requiredInput(0);
    // exp(x - c) / sum exp(x - c) is the same for every c that does not vary along the axis.
    Optional<Node> shifted = scores.producer().filter(node -> node.is("Sub"));
    if (shifted.isPresent()) {
      Optional<Node> shift = shifted.get().requiredInput(1).producer();
      boolean isMaximum =
          shift.isPresent()
              && shift.get().is("ReduceMax")
              && shift.get().requiredInput(0) == shifted.get().requiredInput(0)
              && keptAxis(shift.get(), facts).equals(axis);
      if (isMaximum) {
        scores = shifted.get().requiredInput(0);
      }
    }
    return Optional.of(new Exponentials(scores, axis.getAsInt()));
  }

  /** Exp(LogSoftmax(x)), Exp(x - ReduceLogSumExp(x)). */
  private static Optional<Value> ofLogarithm(Node exp, ValueFacts facts) {
    Optional<Node> logarithm = exp.requiredInput(0).producer();
    if (logarithm.isEmpty()) {
      return Optional.empty();
    }
    Node node = logarithm.get();
    if (node.is("LogSoftmax")) {
      Value scores = node.requiredInput(0);
      int rank = rank(scores, facts);
      long axis = node.intAttribute("axis", -1);
      return rank == 0
          ? Optional.empty()
          : Optional.of(
              softmax(exp, new Exponentials(scores, Math.floorMod(Math.toIntExact(axis), rank))));
    }
    Optional<Node> sum = node.is("Sub") ? node.requiredInput(1).producer() : Optional.<Node>empty();
    if (sum.isPresent()
        && sum.get().is("ReduceLogSumExp")
        && sum.get().requiredInput(0) == node.requiredInput(0)) {
      OptionalInt axis = keptAxis(sum.get(), facts);
      if (axis.isPresent()) {
        return Optional.of(softmax(exp, new Exponentials(node.requiredInput(0), axis.getAsInt())));
      }
    }
    return Optional.empty();
  }

  private static Value softmax(Node before, Exponentials parts) {
    Value softmax = new Inserter(before).node("Softmax", parts.scores());
    softmax.producer().orElseThrow().setAttribute("axis", parts.axis());
    return softmax;
  }

  /** The one axis, counted from the start, that a reduction goes over and keeps. */
  static OptionalInt keptAxis(Node reduction, ValueFacts facts) {
    int rank = rank(reduction.requiredInput(0), facts);
    if (rank == 0 || reduction.intAttribute("keepdims", 1) == 0) {
      return OptionalInt.empty();
    }
    Optional<List<Long>> axes =
        reduction
            .input(1)
            .flatMap(facts::constant)
            .flatMap(t -> t.longs())
            .map(longs -> Arrays.stream(longs).boxed().toList())
            .or(() -> reduction.intsAttribute("axes"));
    return axes.isPresent() && axes.get().size() == 1
        ? OptionalInt.of(Math.floorMod(Math.toIntExact(axes.get().get(0)), rank))
        : OptionalInt.empty();
  }

  private static int rank(Value value, ValueFacts facts) {
    return facts.shape(value).map(List<Dim>::size).orElse(0);
  }
}
