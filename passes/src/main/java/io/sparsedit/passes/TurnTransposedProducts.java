package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Optional;

/**
 * Writes the second product of an attention with the probabilities on the left.
 *
 * <pre>
 *   before   ot = MatMul(vt, Transpose(p))
 *   after    ot = Transpose(MatMul(p, v))
 * </pre>
 */
final class TurnTransposedProducts implements Pass<Compilation> {
  @Override
  public String name() {
    return "turn transposed products";
  }

  @Override
  public int run(Compilation compilation) {
    ValueFacts facts = compilation.facts();
    return EachNode.rewrite(compilation.model().graph(), node -> turn(node, facts));
  }

  private static boolean turn(Node node, ValueFacts facts) {
    if (!node.is("MatMul")) {
      return false;
    }
    int rank = rank(node.output(), facts);
    Value values = node.requiredInput(0);
    Optional<Value> probabilities = beforeExchange(node.requiredInput(1), rank, facts);
    if (probabilities.isEmpty()
        || rank(values, facts) != rank
        || !Elementwise.comesFromSoftmax(probabilities.get())) {
      return false;
    }
    Inserter insert = new Inserter(node);
    Value product = insert.node("MatMul", probabilities.get(), insert.swapLast(values, rank));
    Node turned = product.producer().orElseThrow();
    turned.setName(node.name());
    turned.metadata().putAll(node.metadata());
    node.replaceWith(List.of(insert.swapLast(product, rank)));
    return true;
  }

  /** What a transposition of the last two of so many axes is applied to. */
  private static Optional<Value> beforeExchange(Value value, int rank, ValueFacts facts) {
    if (rank < 2) {
      return Optional.empty();
    }
    return value
        .producer()
        .filter(
            node ->
                Permutations.of(node, facts)
                    .filter(Permutations.swapLast(rank)::equals)
                    .isPresent())
        .map(node -> node.requiredInput(0));
  }

  private static int rank(Value value, ValueFacts facts) {
    return facts.shape(value).map(List<Dim>::size).orElse(0);
  }
}
