package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.Arrays;
import java.util.List;

/**
 * What the result of a norm is multiplied with, a product.
 *
 * @param factors {@code [N]}, {@code [H,N]}, {@code [H,1,N]} or one number
 * @param gain a further factor
 * @param size N, how many elements are normalised together
 */
record NormWeight(List<Value> factors, double gain, long size) {
  NormWeight {
    factors = List.copyOf(factors);
  }

  /** Whether this is 1. */
  boolean isNone() {
    return factors.isEmpty() && gain == 1;
  }

  /** How many numbers there are. */
  Dim lanes(ValueFacts facts) {
    Dim most = Dim.of(size);
    for (Value factor : factors) {
      Dim lanes =
          facts.shape(factor).orElse(List.of()).stream().reduce(Dim.ONE, (a, b) -> a.times(b));
      most = most.isAtLeast(lanes) ? most : lanes;
    }
    return most;
  }

  /** The product as a vector. */
  Value vector(Inserter inserter, ValueFacts facts) {
    if (factors.size() == 1 && gain == 1 && !isOne(factors.get(0), facts)) {
      Value only = factors.get(0);
      boolean vector = facts.shape(only).map(List::size).orElse(0) == 1;
      return vector ? only : inserter.reshape(only, -1);
    }
    // Weights of f16 are products in f32: the operator takes either.
    float[] gains = new float[Math.toIntExact(size)];
    Arrays.fill(gains, (float) gain);
    Value product = inserter.floats("gain", gains);
    for (Value factor : factors) {
      Value wide =
          facts.elementType(factor) == DataType.FLOAT
              ? factor
              : inserter.cast(factor, DataType.FLOAT);
      product = inserter.op("Mul", wide, product);
    }
    return inserter.reshape(product, -1);
  }

  private static boolean isOne(Value factor, ValueFacts facts) {
    return facts.shape(factor).orElse(List.of()).stream().allMatch(dim -> dim.is(1));
  }
}
