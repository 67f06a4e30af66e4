package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import java.util.List;

/**
 * Writes Swish (operator set 24) and ONNX Runtime's QuickGelu as a product with a sigmoid.
 *
 * <pre>
 *   before   y = Swish(x) { alpha = a }          y = com.microsoft.QuickGelu(x) { alpha = a }
 *   after    y = Mul(x, Sigmoid(Mul(x, a)))
 * </pre>
 */
final class DecomposeSwish implements Pass<EngineModel> {
  private static final float QUICK_GELU = 1.702f;

  @Override
  public String name() {
    return "decompose Swish";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      boolean quick = Microsoft.is(node, "QuickGelu");
      DataType type =
          quick || node.is("Swish")
              ? model.facts().elementType(node.requiredInput(0))
              : DataType.UNDEFINED;
      if (type.isFloating()) {
        float alpha = node.floatAttribute("alpha", quick ? QUICK_GELU : 1);
        Emit emit = new Emit(node, model.model().opset());
        Value x = node.requiredInput(0);
        Value inner = alpha == 1 ? x : emit.node("Mul", x, emit.real("alpha", alpha, type));
        emit.replace(List.of(emit.node("Mul", x, emit.node("Sigmoid", inner))));
        changed++;
      }
    }
    return changed;
  }
}
