package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;

/**
 * Which attention that is left dense SparseDiT's kernel computes.
 *
 * @param fewestProducts sites with fewer multiplications of queries by keys are TensorRT's
 * @param fast whether only what the kernel has a fast path for: 16-bit floats and heads of 64 or
 *     128
 * @param precision what becomes of the graph's f32 later
 * @param version the version of the plugins
 */
public record DenseSites(long fewestProducts, boolean fast, Precision precision, int version) {
  private static final int GRANULE = 16;
  private static final int SMALLEST_HEAD = 32;
  private static final int LARGEST_HEAD = 128;

  /** What the kernel takes at most, of tokens and of batch times heads. */
  private static final long MOST_TOKENS = 1L << 24;

  private static final long MOST_HEADS = 65_535;

  /** Whether a site is one. */
  boolean take(DenseSite site) {
    return take(
        site.batch() * site.heads(), site.tokens(), site.keyTokens(), site.headDim(), site.type());
  }

  /** Whether a site with so many heads, of all the batch, is one. */
  boolean take(long heads, long tokens, long keyTokens, long headDim, DataType type) {
    DataType later = type == DataType.FLOAT ? precision.type() : type;
    boolean can =
        headDim >= SMALLEST_HEAD
            && headDim <= LARGEST_HEAD
            && headDim % GRANULE == 0
            && heads <= MOST_HEADS
            && Math.max(tokens, keyTokens) <= MOST_TOKENS
            && (later == DataType.FLOAT || later == DataType.FLOAT16 || later == DataType.BFLOAT16);
    boolean quick =
        later.bits() == Short.SIZE && (headDim == LARGEST_HEAD || headDim == LARGEST_HEAD / 2);
    return can
        && (quick || !fast)
        && (double) heads * tokens * keyTokens * headDim >= fewestProducts;
  }
}
