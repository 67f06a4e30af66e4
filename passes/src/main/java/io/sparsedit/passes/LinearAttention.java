package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Linear attention, as Sana has it: keys and values are multiplied first, into a matrix of channels
 * by channels, and no softmax stands between the two products.
 *
 * <pre>
 *   kv  = MatMul(v [B,H,D,S], k [B,H,S,D])      S is summed up
 *   out = MatMul(kv [B,H,D,D], q [B,H,D,S])     and comes back from q
 * </pre>
 *
 * Its cost grows with the tokens and not with their square, so that there is nothing to thin out.
 */
final class LinearAttention {
  /** What leaves the product what it is. */
  private static final Set<String> BETWEEN =
      Set.of("Cast", "Identity", "Transpose", "Mul", "Div", "Add", "Slice", "Reshape");

  /** Chains of plumbing are shorter. */
  private static final int MAX_DEPTH = 6;

  private final DataFlow flow;
  private final ValueFacts facts;

  LinearAttention(DataFlow flow, ValueFacts facts) {
    this.flow = flow;
    this.facts = facts;
  }

  /** Whether a node is the second product of linear attention. */
  boolean is(Node node) {
    if (!node.is("MatMul") || flow.isFixed(node.requiredInput(0))) {
      return false;
    }
    Value left = node.requiredInput(0);
    Value right = node.requiredInput(1);
    return !flow.isFixed(right) && (returns(right, -1, left) || returns(left, -2, right));
  }

  /** Whether the axis of {@code query} that stays is what {@code state} has summed up. */
  private boolean returns(Value query, int axis, Value state) {
    Optional<Dim> tokens = dim(query, axis);
    Optional<Dim> channels = dim(query, axis == -1 ? -2 : -1);
    Optional<Dim> summed = tokens.isEmpty() ? Optional.empty() : summed(state);
    return summed.isPresent()
        && summed.get().equals(tokens.get())
        && channels.isPresent()
        && !channels.get().equals(tokens.get());
  }

  /** The size of the axis that the product upstream sums over, if that is one of activations. */
  private Optional<Dim> summed(Value state) {
    Value value = state;
    for (int depth = 0; depth < MAX_DEPTH; depth++) {
      Optional<Node> producer = value.producer().filter(node -> node.domain().isEmpty());
      if (producer.isEmpty()) {
        return Optional.empty();
      }
      Node node = producer.get();
      if (node.is("MatMul")) {
        boolean weights =
            flow.isFixed(node.requiredInput(0)) || flow.isFixed(node.requiredInput(1));
        return weights ? Optional.empty() : dim(node.requiredInput(0), -1);
      }
      if (!BETWEEN.contains(node.opType())) {
        return Optional.empty();
      }
      value = node.requiredInput(0);
    }
    return Optional.empty();
  }

  private Optional<Dim> dim(Value value, int fromEnd) {
    Optional<List<Dim>> shape = facts.shape(value);
    return shape.filter(dims -> dims.size() >= 3).map(dims -> dims.get(dims.size() + fromEnd));
  }
}
