package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What verifying a whole model would take, estimated from its shapes.
 *
 * @param seconds time, at a cautious rate for two cores
 * @param bytes memory
 */
record VerificationCost(double seconds, double bytes) {
  private static final double MAX_SECONDS = 120;
  private static final double MAX_BYTES = 4e9;

  /** Floating-point operations a second that two cores of a small server reach at least. */
  private static final double RATE = 30e9;

  /** Runs of a whole model: the original, everything kept, as chosen. */
  private static final int RUNS = 3;

  /** An exponential and what belongs to it. */
  private static final double OPERATIONS_PER_SCORE = 20;

  private static final double SCORE_BYTES = 4;

  /** Large tensors that are alive at the same time around an attention. */
  private static final int ALIVE = 4;

  /**
   * The estimate.
   *
   * @param original the dense model
   * @param facts its shapes
   * @param sizes sizes of symbolic dimensions
   */
  static VerificationCost of(Model original, ValueFacts facts, Map<String, Long> sizes) {
    double operations = 0;
    double largest = 0;
    double weights = 0;
    for (Value value : original.graph().initializers()) {
      weights += bytes(value, facts, sizes);
    }
    for (Node node : original.graph().nodes()) {
      for (Value output : node.outputs()) {
        largest = Math.max(largest, bytes(output, facts, sizes));
      }
      largest = Math.max(largest, SCORE_BYTES * scores(node, facts, sizes));
      operations += operations(node, facts, sizes);
    }
    return new VerificationCost(RUNS * operations / RATE, 2 * weights + ALIVE * largest);
  }

  private static double bytes(Value value, ValueFacts facts, Map<String, Long> sizes) {
    return elements(value, facts, sizes) * facts.elementType(value).bits() / 8;
  }

  private static double elements(Value value, ValueFacts facts, Map<String, Long> sizes) {
    Optional<List<Dim>> shape = facts.shape(value);
    if (shape.isEmpty()) {
      return 0;
    }
    double elements = 1;
    for (Dim dim : shape.get()) {
      OptionalLong size = dim.evaluate(sizes);
      elements *= size.orElse(1);
    }
    return elements;
  }

  private static double operations(Node node, ValueFacts facts, Map<String, Long> sizes) {
    if (node.is("MatMul") || node.is("Gemm")) {
      Optional<List<Dim>> left = facts.shape(node.requiredInput(0));
      if (left.isEmpty() || left.get().isEmpty()) {
        return 0;
      }
      int axis = node.is("Gemm") && node.intAttribute("transA", 0) != 0 ? 0 : left.get().size() - 1;
      return 2
          * elements(node.output(), facts, sizes)
          * left.get().get(axis).evaluate(sizes).orElse(1);
    }
    if (node.is("Conv")) {
      Value weight = node.requiredInput(1);
      double rows = facts.shape(weight).map(s -> s.get(0).evaluate(sizes).orElse(1)).orElse(1L);
      return 2 * elements(node.output(), facts, sizes) * elements(weight, facts, sizes) / rows;
    }
    if (node.is("Attention")) {
      Optional<List<Dim>> query = facts.shape(node.requiredInput(0));
      double headDim = query.map(q -> q.get(q.size() - 1).evaluate(sizes).orElse(1)).orElse(1L);
      return (4 * headDim + OPERATIONS_PER_SCORE) * scores(node, facts, sizes);
    }
    if (node.is("Softmax")) {
      return OPERATIONS_PER_SCORE * elements(node.output(), facts, sizes);
    }
    return elements(node.output(), facts, sizes);
  }

  /** Scores that the operator Attention computes inside, [B,H,Sq,Sk]; 0 for any other. */
  private static double scores(Node node, ValueFacts facts, Map<String, Long> sizes) {
    if (!node.is("Attention")) {
      return 0;
    }
    Optional<List<Dim>> query = facts.shape(node.requiredInput(0));
    Optional<List<Dim>> key = facts.shape(node.requiredInput(1));
    if (query.isEmpty() || key.isEmpty() || query.get().size() != 4 || key.get().size() != 4) {
      return 0;
    }
    double headDim = query.get().get(3).evaluate(sizes).orElse(1);
    return elements(node.requiredInput(0), facts, sizes)
        / headDim
        * key.get().get(2).evaluate(sizes).orElse(1);
  }

  /** Whether it is more than a verification may take without being asked for. */
  boolean isTooMuch() {
    return seconds > MAX_SECONDS || bytes > MAX_BYTES;
  }

  @Override
  public String toString() {
    return String.format(Locale.ROOT, "about %.0f s and %.1f GB", seconds, bytes / 1e9);
  }
}
