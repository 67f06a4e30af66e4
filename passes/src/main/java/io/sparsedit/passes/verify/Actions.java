package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** Inputs that a compiled model has besides the original's. */
final class Actions {
  private Actions() {}

  /** The {@code action} input with the same code for every site. */
  static Tensor all(int sites, int code) {
    int[] codes = new int[sites];
    Arrays.fill(codes, code);
    return Tensor.ofInts(new long[] {sites}, codes);
  }

  /** A tensor of zeros: state for a step that ignores it. */
  static Tensor zeros(DataType type, long[] dims) {
    long bytes = type.bytes(Tensor.elementCount(dims));
    return Tensor.raw(type, dims, ByteBuffer.allocateDirect(Math.toIntExact(bytes)));
  }
}
