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
 * Makes one reshape of two.
 *
 * <pre>
 *   before   y = Reshape(Reshape(x, [2, 192, 64]), [384, 2, 32])
 *   after    y = Reshape(x, [384, 2, 32])
 * </pre>
 *
 * None where the second undoes the first. Not where the second copies a size of the first, which a
 * 0 in its shape means.
 */
final class ComposeReshapes implements Pass<Compilation> {
  @Override
  public String name() {
    return "compose reshapes";
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
      if (!node.is("Reshape")) {
        continue;
      }
      Optional<Node> first = node.requiredInput(0).producer();
      boolean composes =
          first.isPresent()
              && (first.get().is("Reshape")
                  || first.get().is("Squeeze")
                  || first.get().is("Unsqueeze")
                  || first.get().is("Flatten"))
              && copiesNothing(node, facts);
      if (composes) {
        Value source = first.get().requiredInput(0);
        node.setInput(0, source);
        if (changesNothing(source, node.output(), facts)) {
          node.output().replaceAllUsesWith(source);
        }
        changed++;
      }
    }
    if (changed > 0) {
      graph.removeDeadNodes();
    }
    return changed;
  }

  private static boolean changesNothing(Value before, Value after, ValueFacts facts) {
    Optional<List<Dim>> shape = facts.shape(before);
    return !after.isGraphOutput() && shape.isPresent() && shape.equals(facts.shape(after));
  }

  private static boolean copiesNothing(Node node, ValueFacts facts) {
    Value shape = node.requiredInput(1);
    Optional<List<Dim>> sizes = facts.elements(shape);
    return sizes.isPresent()
        && sizes.get().stream().allMatch(size -> size.is(-1) || size.isAtLeast(Dim.ONE));
  }
}
