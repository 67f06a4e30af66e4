package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.Tensor;

/**
 * A plan as the planner gives it, for reading.
 *
 * @param queryOrder [B,H,S] or [B,H,0] for natural order
 * @param keyOrder [B,H,S] or [B,H,0] for natural order
 * @param queryOffsets [B,H,Nq+1]
 * @param keyOffsets [B,H,Nk+1]
 * @param keep [B,H,Nq,ceil(Nk/32)]
 */
record PlanTensors(
    Tensor queryOrder, Tensor keyOrder, Tensor queryOffsets, Tensor keyOffsets, Tensor keep) {

  /** The plan of one batch element and head. */
  Head head(int batchHead, int queryTokens, int keyTokens) {
    int nq = (int) queryOffsets.dims()[2] - 1;
    int nk = (int) keyOffsets.dims()[2] - 1;
    int words = (int) keep.dims()[3];
    return new Head(
        order(queryOrder, batchHead, queryTokens),
        order(keyOrder, batchHead, keyTokens),
        slice(queryOffsets, batchHead, nq + 1),
        slice(keyOffsets, batchHead, nk + 1),
        slice(keep, batchHead, nq * words),
        words);
  }

  private static int[] order(Tensor order, int batchHead, int tokens) {
    if (order.dims()[2] != 0) {
      return slice(order, batchHead, tokens);
    }
    int[] natural = new int[tokens];
    for (int i = 0; i < tokens; i++) {
      natural[i] = i;
    }
    return natural;
  }

  private static int[] slice(Tensor tensor, int index, int length) {
    int[] out = new int[length];
    tensor.bytes().orElseThrow().asIntBuffer().position(index * length).get(out);
    return out;
  }

  /** One head's plan. */
  static final class Head {
    private final int[] queryOrder;
    private final int[] keyOrder;
    private final int[] queryOffsets;
    private final int[] keyOffsets;
    private final int[] keep;
    private final int words;

    private Head(
        int[] queryOrder,
        int[] keyOrder,
        int[] queryOffsets,
        int[] keyOffsets,
        int[] keep,
        int words) {
      this.queryOrder = queryOrder;
      this.keyOrder = keyOrder;
      this.queryOffsets = queryOffsets;
      this.keyOffsets = keyOffsets;
      this.keep = keep;
      this.words = words;
    }

    /** The segment of each query token. */
    int[] querySegmentOfToken() {
      return segmentOfToken(queryOrder, queryOffsets);
    }

    /** The segment of each key token. */
    int[] keySegmentOfToken() {
      return segmentOfToken(keyOrder, keyOffsets);
    }

    private static int[] segmentOfToken(int[] order, int[] offsets) {
      int[] segment = new int[order.length];
      for (int i = 0; i + 1 < offsets.length; i++) {
        for (int position = offsets[i]; position < offsets[i + 1]; position++) {
          segment[order[position]] = i;
        }
      }
      return segment;
    }

    /** Whether the query segment visits the key segment. */
    boolean keeps(int querySegment, int keySegment) {
      return (keep[querySegment * words + (keySegment >> 5)] >>> (keySegment & 31) & 1) != 0;
    }

    /**
     * Kept query-key pairs.
     *
     * @param queries which query tokens count
     * @param keys which key tokens count
     */
    long keptPairs(boolean[] queries, boolean[] keys) {
      long[] queriesOf = counts(querySegmentOfToken(), queries, queryOffsets.length - 1);
      long[] keysOf = counts(keySegmentOfToken(), keys, keyOffsets.length - 1);
      long kept = 0;
      for (int i = 0; i < queriesOf.length; i++) {
        long visited = 0;
        for (int j = 0; j < keysOf.length; j++) {
          if (keeps(i, j)) {
            visited += keysOf[j];
          }
        }
        kept += visited * queriesOf[i];
      }
      return kept;
    }

    private static long[] counts(int[] segmentOfToken, boolean[] tokens, int segments) {
      long[] counts = new long[segments];
      for (int token = 0; token < segmentOfToken.length; token++) {
        if (tokens[token]) {
          counts[segmentOfToken[token]]++;
        }
      }
      return counts;
    }
  }
}
