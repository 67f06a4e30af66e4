package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
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
    return turn(compilation.model().graph(), compilation.facts());
  }

  private static int turn(Graph graph, ValueFacts facts) {
    int changed = 0;
    for (Node node : graph.nodeList()) {
      for (Graph subgraph : node.subgraphs()) {
        changed += turn(subgraph, facts);
      }
      if (!node.is("Softmax")) {
        continue;
      }
      int rank = facts.shape(node.output()).map(List<Dim>::size).orElse(0);
      if (rank < 2 || Math.floorMod(node.intAttribute("axis", -1), rank) != rank - 2) {
        continue;
      }
      Optional<Value> scores = turned(new Inserter(node), node.requiredInput(0), rank, 0, facts);
      if (scores.isPresent()) {
        Inserter insert = new Inserter(node);
        Value softmax = insert.node("Softmax", scores.get());
        Node turned = softmax.producer().orElseThrow();
        turned.setAttribute("axis", -1);
        turned.metadata().putAll(node.metadata());
        node.output().replaceAllUsesWith(insert.swapLast(softmax, rank));
        changed++;
      }
    }
    if (changed > 0) {
      graph.removeDeadNodes();
    }
    return changed;
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
