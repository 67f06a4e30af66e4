package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.List;
import java.util.stream.LongStream;

/**
 * Writes the matrix product of ONNX Runtime's optimiser with standard operators.
 *
 * <pre>
 *   before   y = com.microsoft.FusedMatMul(a, b) { transB = 1, alpha = 0.125 }
 *   after    y = Mul(MatMul(a, Transpose(b)), 0.125)
 * </pre>
 *
 * One that also turns batch axes is left.
 */
final class DecomposeFusedMatMul implements Pass<EngineModel> {
  @Override
  public String name() {
    return "decompose FusedMatMul";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      if (Microsoft.is(node, "FusedMatMul")
          && node.intAttribute("transBatchA", 0) == 0
          && node.intAttribute("transBatchB", 0) == 0
          && rewrite(node, new Emit(node, model.model().opset()), model.facts())) {
        changed++;
      }
    }
    return changed;
  }

  private static boolean rewrite(Node node, Emit emit, ShapeTable facts) {
    DataType type = facts.elementType(node.requiredInput(0));
    int left = facts.shape(node.requiredInput(0)).map(List::size).orElse(0);
    int right = facts.shape(node.requiredInput(1)).map(List::size).orElse(0);
    boolean turnLeft = node.intAttribute("transA", 0) != 0;
    boolean turnRight = node.intAttribute("transB", 0) != 0;
    if (!type.isFloating() || (turnLeft && left < 2) || (turnRight && right < 2)) {
      return false;
    }
    Value a = turnLeft ? turned(emit, node.requiredInput(0), left) : node.requiredInput(0);
    Value b = turnRight ? turned(emit, node.requiredInput(1), right) : node.requiredInput(1);
    Value product = emit.node("MatMul", a, b);
    float alpha = node.floatAttribute("alpha", 1);
    emit.replace(
        List.of(alpha == 1 ? product : emit.node("Mul", product, emit.real("alpha", alpha, type))));
    return true;
  }

  private static Value turned(Emit emit, Value value, int rank) {
    long[] perm = LongStream.range(0, rank).toArray();
    perm[rank - 1] = rank - 2L;
    perm[rank - 2] = rank - 1L;
    return emit.transpose(value, perm);
  }
}
