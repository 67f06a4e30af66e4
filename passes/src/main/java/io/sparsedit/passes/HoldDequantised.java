package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.MemoisedTest;
import io.sparsedit.compiler.ir.MovingOperators;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.passes.functions.SparseOps;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * Puts an operator that changes nothing between DequantizeLinear and sparse operators.
 *
 * <pre>
 *   before   k = Transpose(DequantizeLinear(x, scale, zero))
 *            o = sparsedit.BlockSparseAttention(q, k, v, ...)
 *   after    k = Transpose(DequantizeLinear(x, scale, zero))
 *            o = sparsedit.BlockSparseAttention(q, Max(k), v, ...)
 * </pre>
 *
 * ONNX Runtime moves DequantizeLinear forward over what only moves elements, and doubles it for
 * each reader. Versions 1.29 and 1.30 end the process where a reader is the body of a loop, which
 * the operators' functions have. It removes an Identity before that, but not a Max of one operand.
 */
final class HoldDequantised implements Pass<Compilation> {
  @Override
  public String name() {
    return "hold dequantised tensors";
  }

  @Override
  public int run(Compilation compilation) {
    Graph graph = compilation.model().graph();
    Map<Value, Value> held = new HashMap<>();
    MemoisedTest isDequantised = new MemoisedTest(HoldDequantised::isDequantised);
    for (Node node : graph.nodeList()) {
      if (!node.domain().equals(SparseOps.DOMAIN)) {
        continue;
      }
      for (int i = 0; i < node.inputCount(); i++) {
        Optional<Value> input = node.input(i).filter(isDequantised);
        if (input.isPresent()) {
          Value value = input.get();
          node.setInput(
              i,
              held.computeIfAbsent(
                  value,
                  v -> {
                    Value same = graph.insertBefore(node, "Max", v);
                    v.type().ifPresent(same::setType);
                    return same;
                  }));
        }
      }
    }
    return held.size();
  }

  private static boolean isDequantised(Value value, Predicate<Value> test) {
    Optional<Node> node = value.producer().filter(n -> n.domain().isEmpty());
    if (node.isEmpty()) {
      return false;
    }
    return node.get().is("DequantizeLinear")
        || (MovingOperators.include(node.get())
            && node.get().presentInputs().stream().anyMatch(test));
  }
}
