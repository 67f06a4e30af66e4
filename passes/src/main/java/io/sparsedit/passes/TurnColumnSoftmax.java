package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Writes attention whose queries are the columns with queries as the rows.
 *
 * <pre>
 *   before   p = Softmax(MatMul(k, qt)) { axis = -2 }
 *   after    p = Transpose(Softmax(MatMul(q, kt)) { axis = -1 })
 * </pre>
 */
final class TurnColumnSoftmax implements Pass<Compilation> {
  /** Operators between the product and the softmax. */
  private static final int MAX_DEPTH = 16;

  @Override
  public String name() {
    return "turn column softmax";
  }

  @Override
  public int run(Compilation compilation) {
    ValueFacts facts = compilation.facts();
    return EachNode.rewrite(compilation.model().graph(), node -> turn(node, facts));
  }

  private static boolean turn(Node node, ValueFacts facts) {
    if (!node.is("Softmax")) {
      return false;
    }
    int rank = facts.shape(node.output()).map(List<Dim>::size).orElse(0);
    if (rank < 2 || Math.floorMod(node.intAttribute("axis", -1), rank) != rank - 2) {
      return false;
    }
    Inserter insert = new Inserter(node);
    Optional<Value> scores = turned(insert, node.requiredInput(0), rank, 0, facts);
    if (scores.isEmpty()) {
      return false;
    }
    Value softmax = insert.node("Softmax", scores.get());
    Node turned = softmax.producer().orElseThrow();
    turned.setAttribute("axis", -1);
    turned.metadata().putAll(node.metadata());
    node.output().replaceAllUsesWith(insert.swapLast(softmax, rank));
    return true;
  }

  /** The value with its last two axes exchanged; empty unless a product is reached. */
  private static Optional<Value> turned(
      Inserter insert, Value value, int rank, int depth, ValueFacts facts) {
    Optional<Node> producer = value.producer();
    if (producer.isEmpty() || depth > MAX_DEPTH) {
      return Optional.empty();
    }
    Node node = producer.get();
    if (node.is("MatMul")) {
      Value left = node.requiredInput(0);
      Value right = node.requiredInput(1);
      return rank(left, facts) == rank && rank(right, facts) == rank
          ? Optional.of(
              insert.node("MatMul", insert.swapLast(right, rank), insert.swapLast(left, rank)))
          : Optional.empty();
    }
    if (!Elementwise.is(node)) {
      return Optional.empty();
    }
    boolean reached = false;
    List<Value> operands = new ArrayList<>();
    for (Value input : node.presentInputs()) {
      Optional<Value> operand = turned(insert, input, rank, depth + 1, facts);
      reached |= operand.isPresent();
      operand =
          operand.or(() -> Elementwise.permuted(insert, input, Permutations.swapLast(rank), facts));
      if (operand.isEmpty()) {
        return Optional.empty();
      }
      operands.add(operand.get());
    }
    if (!reached) {
      return Optional.empty();
    }
    Value result = insert.node(node.opType(), operands.toArray(Value[]::new));
    node.attributes().forEach(result.producer().orElseThrow()::setAttribute);
    return Optional.of(result);
  }

  private static int rank(Value value, ValueFacts facts) {
    return facts.shape(value).map(List<Dim>::size).orElse(0);
  }
}
