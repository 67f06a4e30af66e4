package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Optional;

/**
 * Multiplies the queries instead of the scores by a factor that is not one known number: a
 * temperature for each head, or one that the model computes.
 *
 * <pre>
 *   before   p = Softmax(Mul(MatMul(q, kt), temperature [H,1,1]))
 *   after    p = Softmax(MatMul(Mul(q, temperature), kt))
 * </pre>
 *
 * The factor must not vary over queries or keys.
 */
final class MoveScaleToQueries implements Pass<Compilation> {
  @Override
  public String name() {
    return "move scale to queries";
  }

  @Override
  public int run(Compilation compilation) {
    ValueFacts facts = compilation.facts();
    return EachNode.rewrite(compilation.model().graph(), node -> move(node, facts));
  }

  private static boolean move(Node node, ValueFacts facts) {
    if (!(node.is("Mul") || node.is("Div")) || !Elementwise.leadsToSoftmax(node.output())) {
      return false;
    }
    return move(node, 0, facts) || (node.is("Mul") && move(node, 1, facts));
  }

  private static boolean move(Node node, int place, ValueFacts facts) {
    Optional<Node> product = node.requiredInput(place).producer().filter(n -> n.is("MatMul"));
    Value factor = node.requiredInput(1 - place);
    if (product.isEmpty() || product.get().output().uses().size() != 1) {
      return false;
    }
    Value queries = product.get().requiredInput(0);
    Optional<List<Dim>> shape = facts.shape(factor);
    int rank = facts.shape(queries).map(List<Dim>::size).orElse(0);
    boolean sameType =
        facts.elementType(queries) == facts.elementType(factor)
            && facts.elementType(factor).isFloating();
    if (shape.isEmpty() || shape.get().size() > rank || rank < 3 || !sameType) {
      return false;
    }
    List<Dim> dims = shape.get();
    for (int i = Math.max(0, dims.size() - 2); i < dims.size(); i++) {
      if (!dims.get(i).is(1)) {
        return false;
      }
    }
    // The rules take one known number wherever it stands.
    if (facts.constant(factor).filter(tensor -> tensor.elementCount() == 1).isPresent()) {
      return false;
    }
    Inserter insert = new Inserter(node);
    Value scaled = insert.node(node.opType(), queries, factor);
    Value scores = insert.node("MatMul", scaled, product.get().requiredInput(1));
    node.replaceWith(List.of(scores));
    return true;
  }
}
