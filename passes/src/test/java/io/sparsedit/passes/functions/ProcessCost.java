package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Tensor;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What running one operator costs a process that does nothing else.
 *
 * @param milliseconds of the best run
 * @param addedMb memory that the runs added at their peak
 * @param totalMb the process's peak
 */
record ProcessCost(double milliseconds, double addedMb, double totalMb) {
  private static final int RUNS = 4;

  /** Runs a class in a process of its own; it calls {@link #print}. */
  static ProcessCost measure(Class<?> main, String... arguments) throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx96m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                main.getName()));
    command.addAll(List.of(arguments));
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    String[] printed =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.US_ASCII)
            .strip()
            .split(" ");
    return new ProcessCost(
        Double.parseDouble(printed[0]),
        Double.parseDouble(printed[1]),
        Double.parseDouble(printed[2]));
  }

  /** Runs a call some times and prints what it took. */
  static void print(SparseOp call, Map<String, Tensor> inputs) throws IOException {
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

  private static long statusKb(String field) throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith(field + ":"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")))
        .findFirst()
        .orElseThrow();
  }
}
