package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
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
    return turn(compilation.model().graph(), compilation.facts());
  }

  private static int turn(Graph graph, ValueFacts facts) {
    int changed = 0;
    for (Node node : graph.nodeList()) {
      for (Graph subgraph : node.subgraphs()) {
        changed += turn(subgraph, facts);
      }
      if (!node.is("MatMul")) {
        continue;
      }
      int rank = rank(node.output(), facts);
      Value values = node.requiredInput(0);
      Optional<Value> probabilities = beforeExchange(node.requiredInput(1), rank, facts);
      if (probabilities.isEmpty()
          || rank(values, facts) != rank
          || !Elementwise.comesFromSoftmax(probabilities.get())) {
        continue;
      }
      Inserter insert = new Inserter(node);
      Value product = insert.node("MatMul", probabilities.get(), insert.swapLast(values, rank));
      Node turned = product.producer().orElseThrow();
      turned.setName(node.name());
      turned.metadata().putAll(node.metadata());
      Inlined.replace(node, List.of(insert.swapLast(product, rank)));
      changed++;
    }
    if (changed > 0) {
      graph.removeDeadNodes();
    }
    return changed;
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
