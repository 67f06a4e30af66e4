package io.sparsedit.runtime;

import io.sparsedit.runtime.sampling.SeededInputs;
import io.sparsedit.tensorrt.DeviceMemory;
import java.io.IOException;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A program for a machine with a GPU: loads a bundle's engine, uses it and closes it, again and
 * again, and prints where the process's memory is. What grows with the cycles is a leak; what grows
 * for a while is the JVM warming up, above all its heap, whose pages count from when they are first
 * written to.
 */
final class SessionMemory {
  private static final int LINES = 12;
  private static final int STEPS = 6;
  private static final int MEGABYTE = 1 << 20;

  /** What a cycle does. */
  enum Way {
    /** Load and close. */
    LOAD,
    /** A session, too. */
    SESSION,
    /** Six steps, too. */
    STEPS,
    /** Recorded as CUDA graphs. */
    GRAPHS,
    /** Not waited for by the caller's thread. */
    ASYNC
  }

  private SessionMemory() {}

  /** Arguments: a bundle with an engine, how many cycles, a way, and whether to touch the heap. */
  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    int cycles = Integer.parseInt(arguments[1]);
    Way way = Way.valueOf(arguments[2].toUpperCase(Locale.ROOT));
    if (Boolean.parseBoolean(arguments[3])) {
      touchHeap();
    }
    for (int cycle = 1; cycle <= cycles; cycle++) {
      run(folder, way);
      if (cycle == 1 || cycle % Math.max(1, cycles / LINES) == 0) {
        System.gc();
        System.out.println(way + " cycle " + cycle + ": " + describe());
      }
    }
  }

  /** Writes once to the pages that objects go through, so that they count from now on. */
  static void touchHeap() {
    long bytes = 2 * Runtime.getRuntime().totalMemory();
    long sum = 0;
    for (long done = 0; done < bytes; done += MEGABYTE) {
      sum += new byte[MEGABYTE].length;
    }
    System.gc();
    if (sum < bytes) {
      throw new IllegalStateException("not all was written to");
    }
  }

  /** One cycle. */
  static void run(Path folder, Way way) throws ExecutionException, InterruptedException {
    Model.Options options =
        Model.Options.defaults()
            .withTarget(Model.Target.TENSORRT)
            .withCheckHash(false)
            .withCudaGraphs(way == Way.GRAPHS);
    try (Model model = Model.load(folder, options)) {
      if (way == Way.LOAD) {
        return;
      }
      try (Session session = model.newSession(Schedule.steps(STEPS).withDenseWarmup(0))) {
        Map<String, Tensor> inputs = SeededInputs.of(model.bundle(), Map.of(), 0);
        Map<String, Tensor> outputs = session.newOutputs(inputs);
        for (int step = 0; way != Way.SESSION && step < STEPS; step++) {
          if (way == Way.ASYNC) {
            session.runAsync(step, 0, inputs, outputs).get();
          } else {
            session.run(step, 0, inputs, outputs);
          }
        }
      }
    }
  }

  /** Bytes of this process in memory, but for files that are mapped. */
  static long anonymousBytes() throws IOException {
    Matcher line =
        Pattern.compile("RssAnon:\\s+(\\d+) kB")
            .matcher(Files.readString(Path.of("/proc/self/status")));
    return line.find() ? Long.parseLong(line.group(1)) * 1024 : 0;
  }

  private static String describe() throws IOException {
    Runtime java = Runtime.getRuntime();
    long direct =
        ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class).stream()
            .mapToLong(BufferPoolMXBean::getMemoryUsed)
            .sum();
    return String.format(
        Locale.ROOT,
        "%.2f MB anonymous; heap %.2f of %.0f, outside %.2f, buffers %.2f MB; %d threads, %d classes;"
            + " %.1f MB of GPU memory free",
        anonymousBytes() / 1e6,
        (java.totalMemory() - java.freeMemory()) / 1e6,
        java.totalMemory() / 1e6,
        ManagementFactory.getMemoryMXBean().getNonHeapMemoryUsage().getCommitted() / 1e6,
        direct / 1e6,
        Thread.activeCount(),
        ManagementFactory.getClassLoadingMXBean().getLoadedClassCount(),
        DeviceMemory.free() / 1e6);
  }
}
