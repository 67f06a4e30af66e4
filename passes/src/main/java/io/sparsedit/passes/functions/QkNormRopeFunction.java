package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Value;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/** Body of {@link QkNormRope}. */
final class QkNormRopeFunction {
  private static final String DOCUMENTATION =
      "Norm and rotary position embedding of Q and K, computed in f32 and rounded once. Per token:"
          + " y = norm(x) over the lanes of each head or over all heads; then pairs of lanes of the"
          + " rotated tokens are turned: z = y cos + turn(y) sin.";

  private final Ops ops;
  private final QkNormRope call;
  private final int tokenAxis;
  private final int headAxis;

  private QkNormRopeFunction(Ops ops, QkNormRope call) {
    this.ops = ops;
    this.call = call;
    this.tokenAxis = call.layout() == Layout.BSHD ? 1 : 2;
    this.headAxis = 3 - tokenAxis;
  }

  static Function build(QkNormRope call, long opset) {
    return Ops.function(
        call,
        opset,
        DOCUMENTATION,
        (ops, inputs) -> new QkNormRopeFunction(ops, call).write(inputs));
  }

  private Map<String, Value> write(Map<String, Value> inputs) {
    Map<String, Value> outputs = new HashMap<>();
    for (String tensor : call.tensors()) {
      boolean query = tensor.equals(SparseOps.Q);
      Value in = Ops.lookup(inputs, tensor);
      Value x = ops.named(tensor + "_wide", ops.f32(in));
      Optional<Value> weight =
          Optional.ofNullable(inputs.get(query ? QkNormRope.Q_WEIGHT : QkNormRope.K_WEIGHT));
      Optional<Value> bias =
          Optional.ofNullable(inputs.get(query ? QkNormRope.Q_BIAS : QkNormRope.K_BIAS));
      if (call.norm().isPresent()) {
        x = ops.named(tensor + "_normed", normed(x, call.norm().get(), weight, bias));
      }
      if (call.rope().isPresent()) {
        Value cos = table(Ops.lookup(inputs, QkNormRope.COS));
        Value sin = table(Ops.lookup(inputs, QkNormRope.SIN));
        x = ops.named(tensor + "_rotated", rotated(x, call.rope().get(), cos, sin));
      }
      if (call.layout() != call.outputLayout()) {
        x = ops.transpose(x, 0, 2, 1, 3);
      }
      outputs.put(query ? QkNormRope.Q_OUT : QkNormRope.K_OUT, ops.castLike(x, in));
    }
    return outputs;
  }

  // ---- norm -------------------------------------------------------------------------------------

  private Value normed(
      Value x, QkNormRope.Norm norm, Optional<Value> weight, Optional<Value> bias) {
    Value centred = norm.kind() == NormKind.LAYER ? ops.sub(x, mean(x, norm)) : x;
    Value square = mean(ops.mul(centred, centred), norm);
    Value epsilon = ops.floatAttribute(QkNormRope.EPSILON);
    Value root = ops.op("Sqrt", ops.add(square, epsilon));
    if (norm.guard().guardsRoot()) {
      Value moved = ops.add(root, ops.floatAttribute(QkNormRope.ROOT_EPSILON));
      root = ops.max(moved, ops.floatAttribute(QkNormRope.ROOT_FLOOR));
    }
    Value y = ops.div(centred, root);
    if (weight.isPresent()) {
      y = ops.mul(y, perLane(weight.get(), x));
    }
    return bias.isPresent() ? ops.add(y, perLane(bias.get(), x)) : y;
  }

  private Value mean(Value x, QkNormRope.Norm norm) {
    return norm.scope() == NormScope.HEAD ? ops.mean(x, 3) : ops.mean(x, headAxis, 3);
  }

  /** {@code [D]} or {@code [H*D]} as a factor of x. */
  private Value perLane(Value vector, Value x) {
    Value heads = ops.reshape(ops.f32(vector), ops.vector(ops.i64(-1), ops.dim(x, 3)));
    return headAxis == 2 ? heads : ops.unsqueeze(heads, 1);
  }

  // ---- rope -------------------------------------------------------------------------------------

  /** {@code [Bt,T,Ht,R]} in the layout of x. */
  private Value table(Value table) {
    return call.layout() == Layout.BSHD ? table : ops.transpose(table, 0, 2, 1, 3);
  }

  private Value rotated(Value x, QkNormRope.Rotary rope, Value cos, Value sin) {
    Value tokens = ops.dim(x, tokenAxis);
    Value rows = ops.dim(cos, tokenAxis);
    return switch (rope.tokens()) {
      case ALL -> lanes(x, rope, cos, sin);
      case FIRST ->
          ops.concat(
              tokenAxis,
              lanes(ops.slice(x, tokenAxis, ops.i64(0), rows), rope, cos, sin),
              ops.slice(x, tokenAxis, rows, tokens));
      case LAST -> {
        Value first = ops.sub(tokens, rows);
        yield ops.concat(
            tokenAxis,
            ops.slice(x, tokenAxis, ops.i64(0), first),
            lanes(ops.slice(x, tokenAxis, first, tokens), rope, cos, sin));
      }
    };
  }

  /** Turns the rotated lanes; the others stay. */
  private Value lanes(Value x, QkNormRope.Rotary rope, Value cos, Value sin) {
    Value start = ops.intAttribute(QkNormRope.ROTARY_START);
    Value end = ops.add(start, ops.dim(cos, 3));
    Value turning = ops.slice(x, 3, start, end);
    Value turned = ops.add(ops.mul(turning, cos), ops.mul(quarterTurn(turning, rope.form()), sin));
    return ops.concat(
        3, ops.slice(x, 3, ops.i64(0), start), turned, ops.slice(x, 3, end, ops.dim(x, 3)));
  }

  /** The second of each pair, negated, in place of the first; the first in place of the second. */
  private Value quarterTurn(Value x, RopeForm form) {
    Value lanes = ops.dim(x, 3);
    if (form == RopeForm.HALF) {
      Value half = ops.div(lanes, ops.i64(2));
      Value first = ops.slice(x, 3, ops.i64(0), half);
      return ops.concat(3, ops.op("Neg", ops.slice(x, 3, half, lanes)), first);
    }
    Value count = ops.vector(ops.div(lanes, ops.i64(2)), ops.i64(2));
    Value pairs = ops.reshape(x, ops.concat(0, ops.shape(x, 0, 3), count));
    Value first = ops.slice(pairs, 4, ops.i64(0), ops.i64(1));
    Value second = ops.slice(pairs, 4, ops.i64(1), ops.i64(2));
    return ops.reshape(ops.concat(4, ops.op("Neg", second), first), ops.shape(x));
  }
}
