package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.passes.functions.ActionCode;
import io.sparsedit.passes.functions.SparseOps;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** What a compiled model of fixed sizes takes in its first step. */
final class FirstStep {
  private FirstStep() {}

  /** The model's own inputs, a cold plan at every site, and state of zeros. */
  static Map<String, Tensor> of(Model compiled, Map<String, Tensor> inputs) {
    Map<String, Tensor> all = new LinkedHashMap<>(inputs);
    for (Value input : compiled.graph().inputs()) {
      if (input.name().equals(SparseOps.ACTION)) {
        int[] codes = new int[Math.toIntExact(dims(input)[0])];
        Arrays.fill(codes, ActionCode.PLAN_SPARSE.cold());
        all.put(input.name(), Tensor.ofInts(dims(input), codes));
      } else if (input.name().startsWith("state.")) {
        all.put(input.name(), zeros(input));
      }
    }
    return all;
  }

  private static Tensor zeros(Value input) {
    long bytes = type(input).elementType().bytes(Tensor.elementCount(dims(input)));
    return Tensor.raw(
        type(input).elementType(), dims(input), ByteBuffer.allocate(Math.toIntExact(bytes)));
  }

  private static long[] dims(Value input) {
    return type(input).dims().orElseThrow().stream()
        .mapToLong(dim -> ((ValueType.DeclaredDim.Fixed) dim).size())
        .toArray();
  }

  private static ValueType.TensorType type(Value input) {
    return (ValueType.TensorType) input.type().orElseThrow();
  }
}
