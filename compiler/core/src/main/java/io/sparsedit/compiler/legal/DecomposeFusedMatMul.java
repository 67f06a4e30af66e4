package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.FusedOperand;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.List;

/**
 * Writes the matrix product of ONNX Runtime's optimiser with standard operators.
 *
 * <pre>
 *   before   y = com.microsoft.FusedMatMul(a, b) { transB = 1, alpha = 0.125 }
 *   after    y = Mul(MatMul(a, Transpose(b)), 0.125)
 * </pre>
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
          && rewrite(node, new Emit(node, model.model().opset()), model.facts())) {
        changed++;
      }
    }
    return changed;
  }

  private static boolean rewrite(Node node, Emit emit, ShapeTable facts) {
    DataType type = facts.elementType(node.requiredInput(0));
    if (!type.isFloating()) {
      return false;
    }
    Value[] operands = new Value[2];
    for (int i = 0; i < 2; i++) {
      Value operand = node.requiredInput(i);
      FusedOperand turn = FusedOperand.of(node, i);
      int rank = facts.shape(operand).map(List::size).orElse(0);
      if (turn.turns() && rank < 2) {
        return false;
      }
      operands[i] =
          turn.turns()
              ? emit.transpose(
                  operand, turn.permutation(rank).stream().mapToLong(Integer::longValue).toArray())
              : operand;
    }
    Value product = emit.node("MatMul", operands);
    float alpha = node.floatAttribute("alpha", 1);
    emit.replace(
        List.of(alpha == 1 ? product : emit.node("Mul", product, emit.real("alpha", alpha, type))));
    return true;
  }
}
