package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Brings what gives a row without any key zeros, where its softmax is not a number, into one form.
 *
 * <pre>
 *   before   gone = ReduceMin(Cast(Equal(x, -inf))), or Not(ReduceMax(...)), Not(ReduceSum(...) &gt; 0)
 *            o    = Where(Cast(gone), 0, Softmax(x))
 *   after    o    = Where(IsNaN(Softmax(x)), 0, Softmax(x))
 *
 *   before   o = Where(And(IsInf(p), p &gt; 0), 3.4e38, p)   p = Softmax(x), guarded or not
 *   after    o = p
 * </pre>
 *
 * The first is PyTorch's safe softmax, the second a part of its {@code nan_to_num}. Softmax over
 * the last axis is meant: its results are between 0 and 1, or not numbers in all of a row.
 */
final class UnifyRowGuards implements Pass<Compilation> {
  /** Chains of guards and casts are shorter. */
  private static final int MAX_DEPTH = 16;

  @Override
  public String name() {
    return "unify row guards";
  }

  @Override
  public int run(Compilation compilation) {
    ValueFacts facts = compilation.facts();
    return EachNode.rewrite(
        compilation.model().graph(), node -> node.is("Where") && unify(node, facts));
  }

  private static boolean unify(Node where, ValueFacts facts) {
    Optional<Value> unified = unified(where, facts);
    unified.ifPresent(value -> where.replaceWith(List.of(value)));
    return unified.isPresent();
  }

  /** What a Where is in the form that rules know; empty if it is that already, or no guard. */
  private static Optional<Value> unified(Node where, ValueFacts facts) {
    Value condition = where.requiredInput(0);
    Value other = where.requiredInput(2);
    if (softmaxOf(other, MAX_DEPTH, facts).isPresent()
        && sameShape(where.output(), other, facts)
        && isNeverTrue(condition, MAX_DEPTH, facts)) {
      return Optional.of(other);
    }
    for (boolean gone : new boolean[] {true, false}) {
      Value zeros = where.requiredInput(gone ? 1 : 2);
      Value kept = where.requiredInput(gone ? 2 : 1);
      Optional<Node> softmax = softmaxOf(kept, MAX_DEPTH, facts);
      if (softmax.isPresent()
          && new UniformValues(facts).is(zeros, 0)
          && sameShape(where.output(), kept, facts)
          && new Row(softmax.get(), facts).says(condition, gone, MAX_DEPTH)) {
        Value zero = where.graph().addConstant("zero", zero(facts.elementType(kept)));
        Inserter insert = new Inserter(where);
        return Optional.of(insert.node("Where", insert.node("IsNaN", kept), zero, kept));
      }
    }
    return Optional.empty();
  }

  private static Tensor zero(DataType type) {
    return Tensor.raw(type, new long[0], ByteBuffer.allocate(Math.toIntExact(type.bytes(1))));
  }

  private static boolean sameShape(Value a, Value b, ValueFacts facts) {
    return facts.shape(a).isPresent() && facts.shape(a).equals(facts.shape(b));
  }

  /** The softmax whose probabilities a value is, through casts and guards. */
  private static Optional<Node> softmaxOf(Value value, int depth, ValueFacts facts) {
    Optional<Node> producer = value.producer().filter(node -> node.domain().isEmpty());
    if (producer.isEmpty() || depth == 0) {
      return Optional.empty();
    }
    Node node = producer.get();
    if (node.is("Softmax")) {
      return isOverLastAxis(node, facts) ? producer : Optional.empty();
    }
    if (isNoise(node)) {
      return softmaxOf(node.requiredInput(0), depth - 1, facts);
    }
    return node.is("Where") && isGuard(node, depth, facts)
        ? softmaxOf(node.requiredInput(2), depth - 1, facts)
        : Optional.empty();
  }

  /** Whether a Where changes its third input to zeros at most, or never. */
  private static boolean isGuard(Node where, int depth, ValueFacts facts) {
    return new UniformValues(facts).is(where.requiredInput(1), 0)
        || isNeverTrue(where.requiredInput(0), depth - 1, facts);
  }

  private static boolean isOverLastAxis(Node softmax, ValueFacts facts) {
    long axis = softmax.intAttribute("axis", -1);
    int rank = facts.shape(softmax.output()).map(List<Dim>::size).orElse(0);
    return axis == -1 || (rank > 0 && axis == rank - 1);
  }

  private static boolean isNoise(Node node) {
    return node.is("Cast") || node.is("CastLike") || node.is("Identity");
  }

  /** Whether a condition asks for an infinite probability. */
  private static boolean isNeverTrue(Value condition, int depth, ValueFacts facts) {
    Optional<Node> producer = condition.producer().filter(node -> node.domain().isEmpty());
    if (producer.isEmpty() || depth == 0) {
      return false;
    }
    Node node = producer.get();
    if (node.is("IsInf")) {
      return softmaxOf(node.requiredInput(0), depth - 1, facts).isPresent();
    }
    return (isNoise(node) && isNeverTrue(node.requiredInput(0), depth - 1, facts))
        || (node.is("And")
            && node.presentInputs().stream().anyMatch(i -> isNeverTrue(i, depth - 1, facts)));
  }

  /**
   * Conditions on the rows of a softmax's scores.
   *
   * @param softmax the softmax
   */
  private record Row(Node softmax, ValueFacts facts) {
    /**
     * Whether a condition says that all scores of a row are -inf, or that one is not.
     *
     * @param gone which of both
     */
    boolean says(Value condition, boolean gone, int depth) {
      Optional<Node> producer = condition.producer().filter(node -> node.domain().isEmpty());
      if (producer.isEmpty() || depth == 0) {
        return false;
      }
      Node node = producer.get();
      if (node.is("Not")) {
        return says(node.requiredInput(0), !gone, depth - 1);
      }
      if (isNoise(node)) {
        return says(node.requiredInput(0), gone, depth - 1);
      }
      if (node.is("Greater") && !gone && new UniformValues(facts).is(node.requiredInput(1), 0)) {
        return isAlongRows(node.requiredInput(0), "ReduceSum", false, depth);
      }
      if (node.is("Equal") && gone && new UniformValues(facts).is(node.requiredInput(1), 0)) {
        return isAlongRows(node.requiredInput(0), "ReduceSum", false, depth);
      }
      return gone
          ? isAlongRows(condition, "ReduceMin", true, depth)
          : isAlongRows(condition, "ReduceMax", false, depth)
              || isAlongRows(condition, "ReduceSum", false, depth);
    }

    /** Whether a value is a reduction, along the row, of which scores are -inf, or are not. */
    private boolean isAlongRows(Value value, String reduction, boolean gone, int depth) {
      Optional<Node> node = value.producer().filter(n -> n.is(reduction));
      if (node.isEmpty()) {
        return false;
      }
      OptionalInt axis = RecomposeSoftmax.keptAxis(node.get(), facts);
      int rank = facts.shape(node.get().requiredInput(0)).map(List<Dim>::size).orElse(0);
      return axis.isPresent()
          && axis.getAsInt() == rank - 1
          && isOfScores(node.get().requiredInput(0), gone, depth - 1);
    }

    /** Whether a value says of each score that it is -inf, or that it is not. */
    private boolean isOfScores(Value value, boolean gone, int depth) {
      Optional<Node> producer = value.producer().filter(node -> node.domain().isEmpty());
      if (producer.isEmpty() || depth == 0) {
        return false;
      }
      Node node = producer.get();
      if (node.is("Not")) {
        return isOfScores(node.requiredInput(0), !gone, depth - 1);
      }
      if (isNoise(node)) {
        return isOfScores(node.requiredInput(0), gone, depth - 1);
      }
      if (node.is("IsInf")) {
        return gone
            && node.intAttribute("detect_positive", 1) == 0
            && isScores(node.requiredInput(0));
      }
      if (!node.is(gone ? "Equal" : "Greater")) {
        return false;
      }
      return isScores(node.requiredInput(0))
          && new UniformValues(facts).is(node.requiredInput(1), Double.NEGATIVE_INFINITY);
    }

    private boolean isScores(Value value) {
      return withoutNoise(value) == withoutNoise(softmax.requiredInput(0));
    }

    private static Value withoutNoise(Value value) {
      Value at = value;
      while (at.producer().filter(UnifyRowGuards::isNoise).isPresent()) {
        at = at.producer().orElseThrow().requiredInput(0);
      }
      return at;
    }
  }
}
