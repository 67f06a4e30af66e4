package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Removes nodes that pass their input on as it is.
 *
 * <pre>
 *   before   y = Add(x, Mul(ConstantOfShape(Shape(x)), 0))     z = Cast(y) to the type of y
 *   after    z = x
 * </pre>
 *
 * Identity, Dropout, casts to the same type, x + 0, x - 0, x * 1, x / 1, and reshapes, expansions,
 * repetitions and transpositions that change nothing. Some exporters add a mask of zeros where
 * there is no mask, and models with as many key heads as query heads repeat each key head once.
 */
final class RemoveNeutralNodes implements Pass<Compilation> {
  @Override
  public String name() {
    return "remove neutral nodes";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.CONSTANTS_FOLDED);
  }

  @Override
  public int run(Compilation compilation) {
    Graph graph = compilation.model().graph();
    ValueFacts facts = compilation.facts();
    UniformValues uniform = new UniformValues(facts);
    int removed = 0;
    for (Node node : graph.nodeList()) {
      boolean oneResult = node.outputs().stream().skip(1).allMatch(Value::isUnused);
      if (node.outputs().isEmpty() || !oneResult || node.output().isGraphOutput()) {
        continue;
      }
      Optional<Value> same = passedOn(node, facts, uniform);
      if (same.isPresent()) {
        node.output().replaceAllUsesWith(same.get());
        removed++;
      }
    }
    if (removed > 0) {
      graph.removeDeadNodes();
    }
    return removed;
  }

  /** The input that the node's output always equals, in type, shape and elements. */
  private static Optional<Value> passedOn(Node node, ValueFacts facts, UniformValues uniform) {
    if (!node.domain().isEmpty() || node.inputCount() == 0 || node.input(0).isEmpty()) {
      return Optional.empty();
    }
    Value first = node.requiredInput(0);
    boolean passes =
        switch (node.opType()) {
          case "Identity" -> true;
          case "Cast", "CastLike" -> sameType(first, node.output(), facts);
          case "Reshape", "Expand", "Tile" -> sameShape(first, node.output(), facts);
          case "Transpose" -> isOrdered(node);
          case "Dropout" -> isInference(node, uniform) && keeps(first, node, facts);
          case "Sub" -> uniform.is(node.requiredInput(1), 0) && keeps(first, node, facts);
          case "Div" -> uniform.is(node.requiredInput(1), 1) && keeps(first, node, facts);
          default -> false;
        };
    if (passes) {
      return Optional.of(first);
    }
    if (node.is("Add") || node.is("Mul")) {
      double neutral = node.is("Add") ? 0 : 1;
      for (int i = 0; i < 2; i++) {
        Value kept = node.requiredInput(i);
        if (uniform.is(node.requiredInput(1 - i), neutral) && keeps(kept, node, facts)) {
          return Optional.of(kept);
        }
      }
    }
    return Optional.empty();
  }

  /** A Dropout that lets everything through; since opset 12 an input may switch training on. */
  private static boolean isInference(Node node, UniformValues uniform) {
    return node.input(2).isEmpty() || uniform.is(node.requiredInput(2), 0);
  }

  private static boolean keeps(Value kept, Node node, ValueFacts facts) {
    return sameType(kept, node.output(), facts) && sameShape(kept, node.output(), facts);
  }

  private static boolean sameType(Value a, Value b, ValueFacts facts) {
    return facts.elementType(a) != DataType.UNDEFINED
        && facts.elementType(a) == facts.elementType(b);
  }

  private static boolean sameShape(Value a, Value b, ValueFacts facts) {
    Optional<List<Dim>> shape = facts.shape(a);
    return shape.isPresent() && shape.equals(facts.shape(b));
  }

  private static boolean isOrdered(Node node) {
    Optional<List<Long>> perm = node.intsAttribute("perm");
    if (perm.isEmpty()) {
      return false;
    }
    for (int i = 0; i < perm.get().size(); i++) {
      if (perm.get().get(i) != i) {
        return false;
      }
    }
    return true;
  }
}
