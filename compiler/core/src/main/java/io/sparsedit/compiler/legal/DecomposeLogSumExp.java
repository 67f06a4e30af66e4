package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.List;
import java.util.Optional;
import java.util.stream.LongStream;

/**
 * Writes the logarithm of a sum of exponentials in steps.
 *
 * <pre>
 *   before   y = ReduceLogSumExp(x, axes)
 *   after    m = ReduceMax(x, axes)
 *            y = Add(Log(ReduceSum(Exp(Sub(x, m)), axes)), m)
 * </pre>
 *
 * TensorRT 10.6 gives other numbers for the operator itself.
 */
final class DecomposeLogSumExp implements Pass<EngineModel> {
  @Override
  public String name() {
    return "decompose ReduceLogSumExp";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      if (node.is("ReduceLogSumExp")
          && model.facts().elementType(node.requiredInput(0)).isFloating()) {
        long[] axes = axes(node, model.facts());
        if (axes.length > 0) {
          rewrite(node, new Emit(node, model.model().opset()), axes);
          changed++;
        }
      }
    }
    return changed;
  }

  private static void rewrite(Node node, Emit emit, long... axes) {
    Value x = node.requiredInput(0);
    Value most = emit.reduce("ReduceMax", x, axes);
    Value sum = emit.reduce("ReduceSum", emit.node("Exp", emit.node("Sub", x, most)), axes);
    Value result = emit.node("Add", emit.node("Log", sum), most);
    boolean kept = node.intAttribute("keepdims", 1) != 0;
    emit.replace(List.of(kept ? result : emit.squeeze(result, axes)));
  }

  /** The axes that are reduced; none where that is not known. */
  private static long[] axes(Node node, ShapeTable facts) {
    Optional<List<Long>> attribute = node.intsAttribute("axes");
    if (attribute.isPresent()) {
      return attribute.get().stream().mapToLong(Long::longValue).toArray();
    }
    if (node.input(1).isPresent()) {
      return facts.constant(node.input(1).get()).flatMap(Tensor::longs).orElse(new long[0]);
    }
    boolean all = node.intAttribute("noop_with_empty_axes", 0) == 0;
    int rank = all ? facts.shape(node.requiredInput(0)).map(List::size).orElse(0) : 0;
    return LongStream.range(0, rank).toArray();
  }
}
