package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;

/**
 * Which attention under a mask of keys SparseDiT's kernel computes.
 *
 * @param fewestTokens sites with fewer are TensorRT's
 * @param fast whether only what the kernel has a fast path for: 16-bit floats and heads of 64 or
 *     128
 * @param precision what becomes of the graph's f32 later
 * @param version the version of the plugins
 */
public record MaskedSites(long fewestTokens, boolean fast, Precision precision, int version) {
  private static final int GRANULE = 16;
  private static final int SMALLEST_HEAD = 32;
  private static final int LARGEST_HEAD = 128;

  /** Whether a site of so many tokens, of heads of that size, is one. */
  boolean take(long tokens, long headDim, DataType type) {
    DataType later = type == DataType.FLOAT ? precision.type() : type;
    boolean can =
        headDim >= SMALLEST_HEAD
            && headDim <= LARGEST_HEAD
            && headDim % GRANULE == 0
            && (later == DataType.FLOAT || later == DataType.FLOAT16 || later == DataType.BFLOAT16);
    boolean quick =
        later.bits() == Short.SIZE && (headDim == LARGEST_HEAD || headDim == LARGEST_HEAD / 2);
    return can && tokens >= fewestTokens && (quick || !fast);
  }
}
