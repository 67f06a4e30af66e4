package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Value;
import java.util.stream.LongStream;

/** Normalisations without their weights, as means. */
final class Norms {
  private Norms() {}

  /** The axes from a negative one to the last. */
  static long[] from(long axis) {
    return LongStream.range(axis, 0).toArray();
  }

  /**
   * {@code x / sqrt(mean(x^2) + epsilon)} in x's type.
   *
   * @param type x's type
   * @param stash the type that it is computed in
   * @param axes what the mean is over
   */
  static Value rms(
      Emit emit, Value x, DataType type, DataType stash, double epsilon, long... axes) {
    return emit.cast(exactRms(emit, emit.cast(x, type, stash), stash, epsilon, axes), stash, type);
  }

  /** The same for an x of the type that it is computed in. */
  static Value exactRms(Emit emit, Value x, DataType type, double epsilon, long... axes) {
    Value mean = emit.reduce("ReduceMean", emit.node("Mul", x, x), axes);
    Value root = emit.node("Sqrt", emit.node("Add", mean, emit.real("epsilon", epsilon, type)));
    return emit.node("Div", x, root);
  }

  /** {@code (x - mean(x)) / sqrt(var(x) + epsilon)} over the last axis, computed in f32. */
  static Value layer(Emit emit, Value x, DataType type, double epsilon) {
    Value exact = emit.cast(x, type, DataType.FLOAT);
    Value centred = emit.node("Sub", exact, emit.reduce("ReduceMean", exact, -1));
    return emit.cast(exactRms(emit, centred, DataType.FLOAT, epsilon, -1), DataType.FLOAT, type);
  }
}
