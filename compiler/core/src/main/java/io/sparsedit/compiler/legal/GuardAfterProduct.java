package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.List;
import java.util.Optional;

/**
 * Makes rows of NaN zero behind attention's second product instead of before it.
 *
 * <pre>
 *   before   p = Softmax(s)                      s: [B,H,Sq,Sk]
 *            o = MatMul(Where(IsNaN(p), 0, p), v)
 *   after    o1 = MatMul(Softmax(s), v)
 *            o = Where(IsNaN(o1), 0, o1)         o1: [B,H,Sq,D]
 * </pre>
 *
 * PyTorch exports attention with a mask like that: a query without any key attends to nothing. A
 * row of a softmax is NaN as a whole, and then so is its product; numbers are the same as long as
 * values are finite. TensorRT makes one kernel of the product, the softmax and the product only
 * where nothing stands between them; else it keeps the scores, which at video sizes no GPU has room
 * for.
 */
final class GuardAfterProduct implements Pass<EngineModel> {
  @Override
  public String name() {
    return "guard after the product";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      if (node.is("MatMul")) {
        Optional<Node> guard = node.requiredInput(0).producer().filter(where -> where.is("Where"));
        if (guard.isPresent() && isGuard(guard.get(), model)) {
          rewrite(node, guard.get(), new Emit(node, model.model().opset()));
          changed++;
        }
      }
    }
    return changed;
  }

  /** Whether a node replaces the NaN of a softmax by zero, for one reader alone. */
  static boolean isGuard(Node where, EngineModel model) {
    Value weights = where.requiredInput(2);
    Optional<Node> test = where.requiredInput(0).producer().filter(node -> node.is("IsNaN"));
    return test.filter(node -> node.requiredInput(0) == weights).isPresent()
        && weights.producer().filter(node -> isSoftmax(node, model)).isPresent()
        && isZero(where.requiredInput(1), model.facts())
        && where.output().uses().size() == 1
        && !where.output().isGraphOutput();
  }

  /** Whether a node is a softmax over the last axis. */
  static boolean isSoftmax(Node node, EngineModel model) {
    if (!node.is("Softmax")) {
      return false;
    }
    long axis = node.intAttribute("axis", model.model().opset() < 13 ? 1 : -1);
    int rank = model.facts().shape(node.output()).map(List::size).orElse(0);
    return axis == -1 || axis == rank - 1L;
  }

  private static boolean isZero(Value value, ShapeTable facts) {
    return facts
        .constant(value)
        .filter(tensor -> tensor.elementCount() == 1)
        .flatMap(Tensor::doubles)
        .filter(elements -> elements[0] == 0)
        .isPresent();
  }

  private static void rewrite(Node product, Node guard, Emit emit) {
    Value weights = guard.requiredInput(2);
    Value result = emit.node("MatMul", weights, product.requiredInput(1));
    Emit.owner(result).setName(product.name() + "." + product.opType());
    Value zero = guard.requiredInput(1);
    emit.replace(List.of(emit.node("Where", emit.node("IsNaN", result), zero, result)));
  }
}
