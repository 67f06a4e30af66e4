package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.Tensor;

/**
 * What a plan keeps.
 *
 * @param density kept query-key pairs over all pairs, mean over batch and heads
 * @param minDensity the least dense head's
 * @param maxDensity the densest head's
 * @param recall kept softmax mass over all softmax mass, mean over the rows looked at
 */
record PlanMetrics(double density, double minDensity, double maxDensity, double recall) {
  /** Query rows per head that recall is measured on; evenly spaced ones if there are more. */
  private static final int RECALL_ROWS = 256;

  /**
   * Measures a plan.
   *
   * @param plan the plan
   * @param query [B,H,Sq,D]
   * @param key [B,H,Sk,D]
   * @param scale factor on q·k
   */
  static PlanMetrics of(PlanTensors plan, Tensor query, Tensor key, double scale) {
    long[] dims = query.dims();
    int heads = (int) (dims[0] * dims[1]);
    int queryTokens = (int) dims[2];
    int keyTokens = (int) key.dims()[2];
    int headDim = (int) dims[3];
    double[] q = query.doubles().orElseThrow();
    double[] k = key.doubles().orElseThrow();
    int rows = Math.min(RECALL_ROWS, queryTokens);
    double sum = 0;
    double min = 1;
    double max = 0;
    double recall = 0;
    for (int h = 0; h < heads; h++) {
      PlanTensors.Head head = plan.head(h, queryTokens, keyTokens);
      double density = head.keptPairs() / ((double) queryTokens * keyTokens);
      sum += density;
      min = Math.min(min, density);
      max = Math.max(max, density);
      recall += recall(head, q, k, h, queryTokens, keyTokens, headDim, scale, rows);
    }
    return new PlanMetrics(sum / heads, min, max, recall / heads);
  }

  private static double recall(
      PlanTensors.Head head,
      double[] q,
      double[] k,
      int batchHead,
      int queryTokens,
      int keyTokens,
      int headDim,
      double scale,
      int rows) {
    int[] querySegment = head.querySegmentOfToken();
    int[] keySegment = head.keySegmentOfToken();
    double total = 0;
    double[] scores = new double[keyTokens];
    for (int r = 0; r < rows; r++) {
      int token = (int) ((r + 0.5) * queryTokens / rows);
      int qBase = (batchHead * queryTokens + token) * headDim;
      double max = Double.NEGATIVE_INFINITY;
      for (int j = 0; j < keyTokens; j++) {
        int kBase = (batchHead * keyTokens + j) * headDim;
        double dot = 0;
        for (int d = 0; d < headDim; d++) {
          dot += q[qBase + d] * k[kBase + d];
        }
        scores[j] = dot * scale;
        max = Math.max(max, scores[j]);
      }
      double all = 0;
      double kept = 0;
      for (int j = 0; j < keyTokens; j++) {
        double mass = Math.exp(scores[j] - max);
        all += mass;
        if (head.keeps(querySegment[token], keySegment[j])) {
          kept += mass;
        }
      }
      total += kept / all;
    }
    return total / rows;
  }
}
