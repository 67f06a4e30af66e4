package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Tensor;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * A process that runs BlockSparseAttention at 4 heads x 4,096 tokens x 64 and prints what it took:
 * milliseconds (the best of some runs), and MB of memory that the runs added at their peak, and of
 * the whole process. Its arguments are an action code and how many of 64 key segments each of 16
 * query segments keeps.
 */
final class AttentionCost {
  private static final int HEADS = 4;
  private static final int TOKENS = 4096;
  private static final int SIZE = 64;
  private static final int QUERY_SEGMENTS = 16;
  private static final int KEY_SEGMENTS = 64;

  private AttentionCost() {}

  /** Runs in a process of its own. */
  static ProcessCost measure(ActionCode action, int keptSegments) throws IOException {
    return ProcessCost.measure(
        AttentionCost.class, Integer.toString(action.code()), Integer.toString(keptSegments));
  }

  public static void main(String[] arguments) throws IOException {
    int action = Integer.parseInt(arguments[0]);
    int kept = Integer.parseInt(arguments[1]);
    BlockSparseAttention call = new BlockSparseAttention(0, Layout.BHSD, 0.125f, false, false);
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (String tensor : List.of(SparseOps.Q, SparseOps.K, SparseOps.V)) {
      inputs.put(tensor, TestTensors.random(tensor.hashCode(), 1, HEADS, TOKENS, SIZE));
    }
    inputs.putAll(plan(kept));
    inputs.put(SparseOps.ACTION, TestTensors.action(action));
    ProcessCost.print(call, inputs);
  }

  /** Random orders, even segments, {@code kept} key segments a row. */
  private static Map<String, Tensor> plan(int kept) {
    Random random = new Random(1);
    int[] queryOrder = new int[HEADS * TOKENS];
    int[] keyOrder = new int[HEADS * TOKENS];
    int[] queryOffsets = new int[HEADS * (QUERY_SEGMENTS + 1)];
    int[] keyOffsets = new int[HEADS * (KEY_SEGMENTS + 1)];
    int[] keep = new int[HEADS * QUERY_SEGMENTS * (KEY_SEGMENTS / 32)];
    for (int head = 0; head < HEADS; head++) {
      System.arraycopy(
          TestTensors.permutation(random, TOKENS), 0, queryOrder, head * TOKENS, TOKENS);
      System.arraycopy(TestTensors.permutation(random, TOKENS), 0, keyOrder, head * TOKENS, TOKENS);
      for (int i = 0; i <= QUERY_SEGMENTS; i++) {
        queryOffsets[head * (QUERY_SEGMENTS + 1) + i] = i * TOKENS / QUERY_SEGMENTS;
      }
      for (int i = 0; i <= KEY_SEGMENTS; i++) {
        keyOffsets[head * (KEY_SEGMENTS + 1) + i] = i * TOKENS / KEY_SEGMENTS;
      }
      for (int row = 0; row < QUERY_SEGMENTS; row++) {
        int[] segments = TestTensors.permutation(random, KEY_SEGMENTS);
        for (int i = 0; i < kept; i++) {
          int word = (head * QUERY_SEGMENTS + row) * (KEY_SEGMENTS / 32) + segments[i] / 32;
          keep[word] |= 1 << segments[i] % 32;
        }
      }
    }
    return Map.of(
        SparseOps.QUERY_ORDER, Tensor.ofInts(new long[] {1, HEADS, TOKENS}, queryOrder),
        SparseOps.KEY_ORDER, Tensor.ofInts(new long[] {1, HEADS, TOKENS}, keyOrder),
        SparseOps.QUERY_OFFSETS,
            Tensor.ofInts(new long[] {1, HEADS, QUERY_SEGMENTS + 1}, queryOffsets),
        SparseOps.KEY_OFFSETS, Tensor.ofInts(new long[] {1, HEADS, KEY_SEGMENTS + 1}, keyOffsets),
        SparseOps.KEEP,
            Tensor.ofInts(new long[] {1, HEADS, QUERY_SEGMENTS, KEY_SEGMENTS / 32}, keep));
  }
}
