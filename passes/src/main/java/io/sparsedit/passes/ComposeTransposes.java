package io.sparsedit.passes;

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
    ValueFacts facts = compilation.facts();
    return EachNode.rewrite(compilation.model().graph(), node -> compose(node, facts));
  }

  private static boolean compose(Node node, ValueFacts facts) {
    Optional<List<Integer>> outer = Permutations.of(node, facts);
    Optional<Node> first = outer.isPresent() ? node.requiredInput(0).producer() : Optional.empty();
    Optional<List<Integer>> inner = first.flatMap(before -> Permutations.of(before, facts));
    if (inner.isEmpty()) {
      return false;
    }
    Value data = first.orElseThrow().requiredInput(0);
    List<Integer> perm = Permutations.compose(inner.get(), outer.orElseThrow());
    node.replaceWith(List.of(new Inserter(node).transpose(data, perm)));
    return true;
  }
}
