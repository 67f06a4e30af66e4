package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.List;
import java.util.Optional;

/**
 * Writes powers and reductions with types that TensorRT has them for.
 *
 * <pre>
 *   before   y = Pow(x, 2)            x: i64          m = ReduceMax(b)          b: bool
 *   after    y = Mul(x, x)                            m = Cast(ReduceMax(Cast(b, i32)), bool)
 *
 *   before   y = Pow(x, e)            x: f32, e: i64
 *   after    y = Pow(x, Cast(e, f32))
 * </pre>
 *
 * Other powers of integers are computed in f32, which is exact up to 2^24.
 */
final class PlainIntegers implements Pass<EngineModel> {
  @Override
  public String name() {
    return "write powers of floats and reductions of integers";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      Emit emit = new Emit(node, model.model().opset());
      if (node.is("Pow")) {
        changed += power(node, emit, model.facts()) ? 1 : 0;
      } else if (node.is("ReduceMax") || node.is("ReduceMin")) {
        changed += reduction(node, emit, model.facts()) ? 1 : 0;
      }
    }
    return changed;
  }

  private static boolean power(Node node, Emit emit, ShapeTable facts) {
    Value base = node.requiredInput(0);
    Value exponent = node.requiredInput(1);
    DataType type = facts.elementType(base);
    DataType exponentType = facts.elementType(exponent);
    if (type == DataType.UNDEFINED
        || exponentType == DataType.UNDEFINED
        || (type.isFloating() && exponentType == type)) {
      return false;
    }
    Optional<Tensor> number = facts.constant(exponent);
    boolean square =
        number.isPresent()
            && number.get().elementCount() == 1
            && number.get().rank() == 0
            && number.get().doubles().orElse(new double[] {0})[0] == 2;
    if (square) {
      emit.replace(List.of(emit.node("Mul", base, base)));
      return true;
    }
    DataType computed = type.isFloating() ? type : DataType.FLOAT;
    Value result =
        emit.node(
            "Pow", emit.cast(base, type, computed), emit.cast(exponent, exponentType, computed));
    emit.replace(List.of(emit.cast(result, computed, type)));
    return true;
  }

  private static boolean reduction(Node node, Emit emit, ShapeTable facts) {
    if (facts.elementType(node.requiredInput(0)) != DataType.BOOL) {
      return false;
    }
    Value integers = emit.cast(node.requiredInput(0), DataType.INT32);
    Value reduced =
        node.input(1).isPresent()
            ? emit.node(node.opType(), integers, node.input(1).get())
            : emit.node(node.opType(), integers);
    Node copy = Emit.owner(reduced);
    node.attributes().forEach(copy::setAttribute);
    emit.replace(List.of(emit.cast(reduced, DataType.BOOL)));
    return true;
  }
}
