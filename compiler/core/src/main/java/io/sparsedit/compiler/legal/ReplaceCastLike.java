package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.pass.Pass;
import java.util.List;

/**
 * Names the type that a conversion takes from another value.
 *
 * <pre>
 *   before   y = CastLike(x, other)        other: f16
 *   after    y = Cast(x) { to = f16 }
 * </pre>
 */
final class ReplaceCastLike implements Pass<EngineModel> {
  @Override
  public String name() {
    return "replace CastLike";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      DataType type =
          node.is("CastLike")
              ? model.facts().elementType(node.requiredInput(1))
              : DataType.UNDEFINED;
      if (type != DataType.UNDEFINED) {
        Emit emit = new Emit(node, model.model().opset());
        emit.replace(List.of(emit.cast(node.requiredInput(0), type)));
        changed++;
      }
    }
    return changed;
  }
}
