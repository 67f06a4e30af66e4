package io.sparsedit.passes;

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
    ValueFacts facts = compilation.facts();
    return EachNode.rewrite(compilation.model().graph(), node -> compose(node, facts));
  }

  private static boolean compose(Node node, ValueFacts facts) {
    if (!node.is("Reshape") || !copiesNothing(node, facts)) {
      return false;
    }
    Optional<Node> first = node.requiredInput(0).producer().filter(ComposeReshapes::isReshaping);
    if (first.isEmpty()) {
      return false;
    }
    Value source = first.get().requiredInput(0);
    node.setInput(0, source);
    if (changesNothing(source, node.output(), facts)) {
      node.output().replaceAllUsesWith(source);
    }
    return true;
  }

  private static boolean isReshaping(Node node) {
    return node.is("Reshape") || node.is("Squeeze") || node.is("Unsqueeze") || node.is("Flatten");
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
