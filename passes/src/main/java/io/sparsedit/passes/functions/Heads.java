package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Value;

/** Takes Q, K and V apart by head, whatever their layout. */
final class Heads {
  private Heads() {}

  /** {@code [B,H,S,D]} of a tensor in the given layout. */
  static Value toBhsd(Ops ops, Layout layout, Value x) {
    return switch (layout) {
      case BHSD -> x;
      case BSHD -> ops.transpose(x, 0, 2, 1, 3);
    };
  }

  /** The inverse of {@link #toBhsd}. */
  static Value fromBhsd(Ops ops, Layout layout, Value x) {
    return switch (layout) {
      case BHSD -> x;
      case BSHD -> ops.transpose(x, 0, 2, 1, 3);
    };
  }

  /** How many heads the batch has: B H of {@code [B,H,...]}. */
  static Value count(Ops ops, Value bhsd) {
    return ops.mul(ops.dim(bhsd, 0), ops.dim(bhsd, 1));
  }

  /** {@code [B H, rows, columns]} of {@code [B,H,rows,columns]}. */
  static Value matrices(Ops ops, Value x) {
    return ops.reshape(x, ops.vector(count(ops, x), ops.dim(x, 2), ops.dim(x, 3)));
  }

  /** {@code [B H, length]} of {@code [B,H,length]}; the length may be 0. */
  static Value vectors(Ops ops, Value x) {
    return ops.reshape(x, ops.vector(count(ops, x), ops.dim(x, 2)));
  }

  /** {@code [B,H,rows,columns]} of {@code [B H, rows, columns]}. */
  static Value joinMatrices(Ops ops, Value x, Value batch, Value heads) {
    return ops.reshape(x, ops.vector(batch, heads, ops.dim(x, 1), ops.dim(x, 2)));
  }

  /** {@code [B,H,length]} of {@code [B H, length]}. */
  static Value joinVectors(Ops ops, Value x, Value batch, Value heads) {
    return ops.reshape(x, ops.vector(batch, heads, ops.dim(x, 1)));
  }
}
