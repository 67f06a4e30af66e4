package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.HalfFloat;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.FusedOperand;
import io.sparsedit.compiler.shape.ValueFacts;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/**
 * Writes the matrix product of ONNX Runtime's optimiser, and Gemm without a third operand, with
 * MatMul.
 *
 * <pre>
 *   before   s = com.microsoft.FusedMatMul(q, k) { transB = 1, alpha = 0.125 }
 *   after    s = Mul(MatMul(q, Transpose(k)), 0.125)
 * </pre>
 *
 * Only where it leads to a softmax or comes from one.
 */
final class SpellOutFusedMatMul implements Pass<Compilation> {
  @Override
  public String name() {
    return "spell out FusedMatMul";
  }

  @Override
  public int run(Compilation compilation) {
    ValueFacts facts = compilation.facts();
    return EachNode.rewrite(compilation.model().graph(), node -> spellOut(node, facts));
  }

  private static boolean spellOut(Node node, ValueFacts facts) {
    return isProduct(node)
        && (Elementwise.leadsToSoftmax(node.output()) || readsProbabilities(node))
        && replace(node, facts);
  }

  private static boolean isProduct(Node node) {
    if (node.is("Gemm")) {
      return node.input(2).isEmpty();
    }
    return node.domain().equals("com.microsoft") && node.opType().equals("FusedMatMul");
  }

  private static Tensor half(float number) {
    ByteBuffer bytes = ByteBuffer.allocate(2).order(ByteOrder.LITTLE_ENDIAN);
    return Tensor.raw(
        DataType.FLOAT16, new long[0], bytes.putShort(HalfFloat.fromFloat(number)).flip());
  }

  private static boolean readsProbabilities(Node node) {
    return node.requiredInput(0).producer().filter(n -> n.is("Softmax")).isPresent();
  }

  private static boolean replace(Node node, ValueFacts facts) {
    Inserter insert = new Inserter(node);
    Value[] operands = new Value[2];
    for (int i = 0; i < 2; i++) {
      Value operand = node.requiredInput(i);
      FusedOperand turn = FusedOperand.of(node, i);
      int rank = facts.shape(operand).map(List<Dim>::size).orElse(0);
      if (turn.turns() && rank < 2) {
        return false;
      }
      operands[i] = turn.turns() ? insert.transpose(operand, turn.permutation(rank)) : operand;
    }
    Value product = insert.node("MatMul", operands);
    float alpha = node.floatAttribute("alpha", 1);
    if (alpha != 1) {
      DataType type = facts.elementType(node.output());
      if (type != DataType.FLOAT && type != DataType.FLOAT16) {
        return false;
      }
      Tensor number = type == DataType.FLOAT ? Tensor.scalar(alpha) : half(alpha);
      Value factor = node.graph().addConstant("alpha", number);
      product = insert.node("Mul", product, factor);
    }
    node.replaceWith(List.of(product));
    return true;
  }
}
