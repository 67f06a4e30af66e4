package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Takes the softmax of scores as they are instead of that of a matrix of all rows.
 *
 * <pre>
 *   before   p = Softmax(Reshape(s, [9216, 192])) { axis = 1 }     s [2, 24, 192, 192]
 *   after    p = Reshape(Softmax(s) { axis = -1 }, [9216, 192])
 * </pre>
 *
 * Converters from before opset 13, where a softmax goes over all axes behind one, write that. Only
 * where the last axis, which the softmax goes over, stays as it is.
 */
final class UnflattenSoftmax implements Pass<Compilation> {
  private static final Set<String> RESHAPING = Set.of("Reshape", "Flatten", "Squeeze", "Unsqueeze");

  @Override
  public String name() {
    return "unflatten softmax";
  }

  @Override
  public int run(Compilation compilation) {
    ValueFacts facts = compilation.facts();
    return EachNode.rewrite(
        compilation.model().graph(), node -> node.is("Softmax") && unflatten(node, facts));
  }

  private static boolean unflatten(Node softmax, ValueFacts facts) {
    Value rows = softmax.requiredInput(0);
    Optional<Node> reshape = rows.producer().filter(UnflattenSoftmax::isReshaping);
    Optional<List<Dim>> flat = facts.shape(rows);
    if (reshape.isEmpty() || flat.isEmpty() || rows.uses().size() != 1) {
      return false;
    }
    Value scores = reshape.get().requiredInput(0);
    Optional<List<Dim>> dims = facts.shape(scores);
    int last = flat.get().size() - 1;
    long axis = softmax.intAttribute("axis", -1);
    if (dims.isEmpty()
        || dims.get().isEmpty()
        || (axis != -1 && axis != last)
        || !dims.get().get(dims.get().size() - 1).equals(flat.get().get(last))) {
      return false;
    }
    // The reshape moves behind the softmax, whatever gives its shape.
    Inserter insert = new Inserter(softmax);
    Value probabilities = insert.node("Softmax", scores);
    probabilities.producer().orElseThrow().setAttribute("axis", -1);
    Value[] inputs = reshape.get().presentInputs().toArray(new Value[0]);
    inputs[0] = probabilities;
    Value flattened = insert.node(reshape.get().opType(), inputs);
    reshape.get().attributes().forEach(flattened.producer().orElseThrow()::setAttribute);
    softmax.replaceWith(List.of(flattened));
    return true;
  }

  private static boolean isReshaping(Node node) {
    return node.domain().isEmpty() && RESHAPING.contains(node.opType());
  }
}
