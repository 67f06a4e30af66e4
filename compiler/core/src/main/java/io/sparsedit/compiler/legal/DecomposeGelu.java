package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import java.util.List;

/**
 * Writes ONNX Runtime's Gelu, BiasGelu and FastGelu with standard operators.
 *
 * <pre>
 *   before   y = com.microsoft.BiasGelu(x, b)
 *   after    z = Add(x, b)
 *            y = Mul(Mul(z, 0.5), Add(Erf(Mul(z, sqrt(1/2))), 1))
 *
 *   before   y = com.microsoft.FastGelu(x, b)
 *   after    z = Add(x, b)
 *            y = Mul(Mul(z, 0.5), Add(Tanh(Mul(z, Add(Mul(Mul(z, z), 0.0447 c), c))), 1))
 * </pre>
 *
 * with c = sqrt(2/pi): the exact function, and its approximation by a tanh (Hendrycks and Gimpel,
 * arXiv 1606.08415, section 2).
 */
final class DecomposeGelu implements Pass<EngineModel> {
  private static final double CUBIC = 0.044715;

  @Override
  public String name() {
    return "decompose Gelu";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      boolean fast = Microsoft.is(node, "FastGelu");
      boolean gelu = fast || Microsoft.is(node, "Gelu") || Microsoft.is(node, "BiasGelu");
      DataType type = gelu ? model.facts().elementType(node.requiredInput(0)) : DataType.UNDEFINED;
      if (type.isFloating()) {
        rewrite(node, new Emit(node, model.model().opset()), type, fast);
        changed++;
      }
    }
    return changed;
  }

  private static void rewrite(Node node, Emit emit, DataType type, boolean fast) {
    Value x = node.requiredInput(0);
    Value z = node.input(1).map(bias -> emit.node("Add", x, bias)).orElse(x);
    Value bounded;
    if (fast) {
      double root = Math.sqrt(2 / Math.PI);
      Value cubic = emit.real("cubic", CUBIC * root, type);
      Value squares = emit.node("Mul", emit.node("Mul", z, z), cubic);
      Value factor = emit.node("Add", squares, emit.real("root", root, type));
      bounded = emit.node("Tanh", emit.node("Mul", z, factor));
    } else {
      bounded = emit.node("Erf", emit.node("Mul", z, emit.real("root", Math.sqrt(0.5), type)));
    }
    Value half = emit.node("Mul", z, emit.real("half", 0.5, type));
    Value rest = emit.node("Add", bounded, emit.real("one", 1, type));
    emit.replace(List.of(emit.node("Mul", half, rest)));
  }
}
