package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Optional;

/**
 * Makes one transposition of two, or none.
 *
 * <pre>
 *   before   y = Transpose(Transpose(x) { perm = [0, 2, 1, 3] }) { perm = [0, 1, 3, 2] }
 *   after    y = Transpose(x) { perm = [0, 2, 3, 1] }
 * </pre>
 */
final class ComposeTransposes implements Pass<Compilation> {
  @Override
  public String name() {
    return "compose transpositions";
  }

  @Override
  public int run(Compilation compilation) {
    return compose(compilation.model().graph(), compilation.facts());
  }

  private static int compose(Graph graph, ValueFacts facts) {
    int changed = 0;
    for (Node node : graph.nodeList()) {
      for (Graph subgraph : node.subgraphs()) {
        changed += compose(subgraph, facts);
      }
      Optional<List<Integer>> outer = Permutations.of(node, facts);
      Optional<Node> first =
          outer.isPresent() ? node.requiredInput(0).producer() : Optional.empty();
      Optional<List<Integer>> inner = first.flatMap(before -> Permutations.of(before, facts));
      if (inner.isPresent()) {
        Value data = first.orElseThrow().requiredInput(0);
        List<Integer> perm = Permutations.compose(inner.get(), outer.orElseThrow());
        Inlined.replace(node, List.of(new Inserter(node).transpose(data, perm)));
        changed++;
      }
    }
    if (changed > 0) {
      graph.removeDeadNodes();
    }
    return changed;
  }
}
