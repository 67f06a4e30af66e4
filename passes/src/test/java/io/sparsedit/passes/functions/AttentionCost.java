package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Tensor;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
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
  private static final int RUNS = 4;

  private AttentionCost() {}

  /**
   * What a process printed.
   *
   * @param milliseconds of the best run
   * @param addedMb memory that the runs added at their peak
   * @param totalMb the process's peak
   */
  record Cost(double milliseconds, double addedMb, double totalMb) {}

  /** Runs in a process of its own. */
  static Cost measure(ActionCode action, int keptSegments) throws IOException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx96m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                AttentionCost.class.getName(),
                Integer.toString(action.code()),
                Integer.toString(keptSegments))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    String[] printed =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.US_ASCII)
            .strip()
            .split(" ");
    return new Cost(
        Double.parseDouble(printed[0]),
        Double.parseDouble(printed[1]),
        Double.parseDouble(printed[2]));
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
    try (OneOp op = OneOp.load(call)) {
      long before = statusKb("VmRSS");
      // Later runs leave buffers to the garbage collector: the peak is the first run's.
      op.run(inputs);
      long peak = statusKb("VmHWM");
      double best = Double.POSITIVE_INFINITY;
      for (int run = 0; run < RUNS; run++) {
        long start = System.nanoTime();
        op.run(inputs);
        best = Math.min(best, (System.nanoTime() - start) / 1e6);
      }
      System.out.printf("%.1f %.1f %.1f%n", best, (peak - before) / 1e3, peak / 1e3);
    }
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

  private static long statusKb(String field) throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith(field + ":"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")))
        .findFirst()
        .orElseThrow();
  }
}
