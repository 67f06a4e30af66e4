package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.List;
import java.util.Optional;

/**
 * Writes RMS normalisation (operator set 23) as a mean of squares.
 *
 * <pre>
 *   before   y = RMSNormalization(x, scale) { axis = -1, epsilon = e, stash_type = 1 }
 *   after    f = Cast(x, f32)
 *            r = Sqrt(Add(ReduceMean(Mul(f, f), axes = -1), e))
 *            y = Mul(Cast(Div(f, r), type of x), scale)
 * </pre>
 *
 * The statistics are taken in the type that {@code stash_type} names, f32 unless the model says
 * otherwise.
 */
final class DecomposeRmsNormalization implements Pass<EngineModel> {
  private static final float EPSILON = 1e-5f;

  @Override
  public String name() {
    return "decompose RMSNormalization";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      if (node.is("RMSNormalization")
          && rewrite(new Emit(node, model.model().opset()), node, model.facts())) {
        changed++;
      }
    }
    return changed;
  }

  private static boolean rewrite(Emit emit, Node node, ShapeTable facts) {
    Value x = node.requiredInput(0);
    Value scale = node.requiredInput(1);
    DataType type = facts.elementType(x);
    long[] axes = axes(node.intAttribute("axis", -1), facts.shape(x));
    if (type == DataType.UNDEFINED || axes.length == 0) {
      return false;
    }
    DataType stash = DataType.ofCode((int) node.intAttribute("stash_type", DataType.FLOAT.code()));
    Value exact =
        Norms.exactRms(
            emit, emit.cast(x, type, stash), stash, node.floatAttribute("epsilon", EPSILON), axes);
    Value normalised = emit.cast(exact, stash, facts.elementType(scale));
    emit.replace(List.of(emit.node("Mul", normalised, scale)));
    return true;
  }

  /** From {@code axis} to the last; negative ones where that needs no rank. */
  private static long[] axes(long axis, Optional<List<Dim>> shape) {
    if (axis < 0) {
      return Norms.from(axis);
    }
    return shape.isEmpty() ? new long[0] : Norms.from(axis - shape.get().size());
  }
}
