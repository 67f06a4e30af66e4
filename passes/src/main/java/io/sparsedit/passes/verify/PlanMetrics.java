package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.passes.functions.TextPosition;
import java.util.Arrays;
import java.util.Optional;

/**
 * What a plan keeps.
 *
 * @param density kept query-key pairs over all pairs, both of video tokens and the keys not masked
 *     out; mean over batch and heads
 * @param minDensity the least dense head's
 * @param maxDensity the densest head's
 * @param recall kept softmax mass over all softmax mass, mean over the rows looked at
 */
record PlanMetrics(double density, double minDensity, double maxDensity, double recall) {
  /** Query rows per head that recall is measured on; evenly spaced ones if there are more. */
  private static final int RECALL_ROWS = 256;

  /** A key whose bias is this or lower is masked out. */
  private static final double MASKED = -10_000;

  /**
   * The tokens of a site.
   *
   * @param textPosition where text stands
   * @param video how many tokens are video
   * @param keyBias [B,1,1,S], or empty where no key is masked
   */
  record Tokens(TextPosition textPosition, int video, Optional<Tensor> keyBias) {
    /** All are video tokens, and none is masked. */
    static Tokens allVideo(Tensor query) {
      return new Tokens(TextPosition.NONE, (int) query.dims()[2], Optional.empty());
    }

    private boolean[] videoOf(int tokens) {
      boolean[] isVideo = new boolean[tokens];
      int start = textPosition == TextPosition.FIRST ? tokens - video : 0;
      Arrays.fill(isVideo, start, start + video, true);
      return isVideo;
    }

    /** The bias of each key of an element of the batch. */
    private double[] biasOf(int batch, int tokens) {
      return keyBias
          .map(bias -> bias.doubles().orElseThrow())
          .map(all -> Arrays.copyOfRange(all, batch * tokens, (batch + 1) * tokens))
          .orElseGet(() -> new double[tokens]);
    }
  }

  /**
   * Measures a plan.
   *
   * @param plan the plan
   * @param query [B,H,S,D]
   * @param key [B,H,S,D]
   * @param scale factor on q·k
   * @param tokens what the tokens are
   */
  static PlanMetrics of(PlanTensors plan, Tensor query, Tensor key, double scale, Tokens tokens) {
    long[] dims = query.dims();
    int heads = (int) (dims[0] * dims[1]);
    int length = (int) dims[2];
    int headDim = (int) dims[3];
    double[] q = query.doubles().orElseThrow();
    double[] k = key.doubles().orElseThrow();
    boolean[] queries = tokens.videoOf(length);
    double sum = 0;
    double min = 1;
    double max = 0;
    double recall = 0;
    for (int h = 0; h < heads; h++) {
      PlanTensors.Head head = plan.head(h, length, length);
      double[] bias = tokens.biasOf(h / (int) dims[1], length);
      boolean[] keys = tokens.videoOf(length);
      int visible = 0;
      for (int j = 0; j < length; j++) {
        keys[j] &= bias[j] > MASKED;
        visible += keys[j] ? 1 : 0;
      }
      double pairs = (double) tokens.video() * visible;
      double density = pairs == 0 ? 0 : head.keptPairs(queries, keys) / pairs;
      sum += density;
      min = Math.min(min, density);
      max = Math.max(max, density);
      recall += recall(head, new Scores(q, k, bias, h, length, headDim, scale));
    }
    return new PlanMetrics(sum / heads, min, max, recall / heads);
  }

  /** The scores of one head. */
  private static final class Scores {
    private final double[] q;
    private final double[] k;
    private final double[] bias;
    private final int head;
    private final int tokens;
    private final int headDim;
    private final double scale;

    Scores(double[] q, double[] k, double[] bias, int head, int tokens, int headDim, double scale) {
      this.q = q;
      this.k = k;
      this.bias = bias;
      this.head = head;
      this.tokens = tokens;
      this.headDim = headDim;
      this.scale = scale;
    }

    double of(int query, int key) {
      int qBase = (head * tokens + query) * headDim;
      int kBase = (head * tokens + key) * headDim;
      double dot = 0;
      for (int d = 0; d < headDim; d++) {
        dot += q[qBase + d] * k[kBase + d];
      }
      return dot * scale + bias[key];
    }
  }

  private static double recall(PlanTensors.Head head, Scores scores) {
    int[] querySegment = head.querySegmentOfToken();
    int[] keySegment = head.keySegmentOfToken();
    int rows = Math.min(RECALL_ROWS, scores.tokens);
    double total = 0;
    double[] row = new double[scores.tokens];
    for (int r = 0; r < rows; r++) {
      int token = (int) ((r + 0.5) * scores.tokens / rows);
      double max = Double.NEGATIVE_INFINITY;
      for (int j = 0; j < row.length; j++) {
        row[j] = scores.of(token, j);
        max = Math.max(max, row[j]);
      }
      double all = 0;
      double kept = 0;
      for (int j = 0; j < row.length; j++) {
        double mass = max == Double.NEGATIVE_INFINITY ? 0 : Math.exp(row[j] - max);
        all += mass;
        if (head.keeps(querySegment[token], keySegment[j])) {
          kept += mass;
        }
      }
      total += all == 0 ? 1 : kept / all;
    }
    return total / rows;
  }
}
