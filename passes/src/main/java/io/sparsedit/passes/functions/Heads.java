package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Value;

/** Takes tensors {@code [B,H,...]} apart by head, and puts them together again. */
final class Heads {
  private final Value batchAndHeads;
  private final Value count;
  private final Value heads;

  /** The heads of a tensor {@code [B,H,...]}. */
  Heads(Ops ops, Value bhsd) {
    batchAndHeads = ops.named("batch_and_heads", ops.shape(bhsd, 0, 2));
    heads = ops.dim(bhsd, 1);
    count = ops.named("head_count", ops.mul(ops.dim(bhsd, 0), heads));
  }

  /** {@code [B,H,S,D]} of a tensor in the given layout, or the inverse. */
  static Value bhsd(Ops ops, Layout layout, Value x) {
    return switch (layout) {
      case BHSD -> x;
      case BSHD -> ops.transpose(x, 0, 2, 1, 3);
    };
  }

  /** B H. */
  Value count() {
    return count;
  }

  /** Which element of the batch a head belongs to. */
  Value batchOf(Ops ops, Value head) {
    return ops.div(head, heads);
  }

  /** {@code [B H, ...]} of {@code [B,H,...]}; the rest may be empty. */
  Value split(Ops ops, Value x) {
    return ops.reshape(x, ops.concat(0, ops.asVector(count), ops.shapeFrom(x, 2)));
  }

  /** {@code [B,H,...]} of {@code [B H, ...]}. */
  Value join(Ops ops, Value x) {
    return ops.reshape(x, ops.concat(0, batchAndHeads, ops.shapeFrom(x, 1)));
  }

  /** {@code [B,H,...]} with the same tensor for all heads. */
  Value repeat(Ops ops, Value x) {
    return ops.expand(x, ops.concat(0, batchAndHeads, ops.shape(x)));
  }
}
