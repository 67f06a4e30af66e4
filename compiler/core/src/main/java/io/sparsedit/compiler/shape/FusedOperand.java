package io.sparsedit.compiler.shape;

import io.sparsedit.compiler.ir.Node;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * How ONNX Runtime's {@code FusedMatMul} turns the axes of an operand before it multiplies.
 *
 * @param batchesMoved whether the first axis goes behind the batch axes: [M, batch..., K] becomes
 *     [batch..., M, K] ({@code transBatchA}, {@code transBatchB})
 * @param swapped whether the last two axes are exchanged then ({@code transA}, {@code transB})
 */
public record FusedOperand(boolean batchesMoved, boolean swapped) {
  /** Of the first operand of a FusedMatMul or Gemm, or of the second. */
  public static FusedOperand of(Node node, int operand) {
    String letter = operand == 0 ? "A" : "B";
    return new FusedOperand(
        node.intAttribute("transBatch" + letter, 0) != 0,
        node.intAttribute("trans" + letter, 0) != 0);
  }

  /** Whether anything is turned. */
  public boolean turns() {
    return batchesMoved || swapped;
  }

  /**
   * The permutation as Transpose has it: axis i of what is multiplied is axis perm[i] of the
   * operand.
   *
   * @param rank of the operand, 2 at least
   */
  public List<Integer> permutation(int rank) {
    List<Integer> axes = new ArrayList<>();
    for (int i = 0; i < rank; i++) {
      axes.add(i);
    }
    if (batchesMoved) {
      axes.add(rank - 2, axes.remove(0));
    }
    if (swapped) {
      Collections.swap(axes, rank - 2, rank - 1);
    }
    return axes;
  }
}
