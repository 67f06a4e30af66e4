package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.List;
import java.util.stream.LongStream;

/**
 * Writes group normalisation with weights for each channel (operator set 21) as means.
 *
 * <pre>
 *   before   y = GroupNormalization(x, scale, bias) { num_groups = G }        x: [N,C,H,W]
 *   after    g = Reshape(x, [0, G, -1])
 *            n = Reshape((g - mean(g)) / sqrt(var(g) + epsilon), shape of x)
 *            y = Add(Mul(n, scale as [C,1,1]), bias as [C,1,1])
 * </pre>
 *
 * Earlier sets have weights for each group, and TensorRT takes them.
 */
final class DecomposeGroupNormalization implements Pass<EngineModel> {
  private static final long WEIGHTS_OF_CHANNELS = 21;
  private static final float EPSILON = 1e-5f;

  @Override
  public String name() {
    return "decompose GroupNormalization";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      if (node.is("GroupNormalization")
          && model.model().opset() >= WEIGHTS_OF_CHANNELS
          && rewrite(node, new Emit(node, model.model().opset()), model.facts())) {
        changed++;
      }
    }
    return changed;
  }

  private static boolean rewrite(Node node, Emit emit, ShapeTable facts) {
    Value x = node.requiredInput(0);
    DataType type = facts.elementType(x);
    int rank = facts.shape(x).map(List::size).orElse(0);
    if (!type.isFloating() || rank < 3) {
      return false;
    }
    Value groups = emit.reshape(x, 0, node.intAttribute("num_groups", 1), -1);
    Value normalised = Norms.layer(emit, groups, type, node.floatAttribute("epsilon", EPSILON));
    Value shaped = emit.node("Reshape", normalised, emit.node("Shape", x));
    long[] spatial = LongStream.range(1, rank - 1L).toArray();
    Value scaled = emit.node("Mul", shaped, emit.unsqueeze(node.requiredInput(1), spatial));
    Value bias = emit.unsqueeze(node.requiredInput(2), spatial);
    emit.replace(List.of(emit.node("Add", scaled, bias)));
    return true;
  }
}
