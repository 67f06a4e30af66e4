package io.sparsedit.runtime;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * A program that loads, runs and closes the fixture time and again and prints how its resident
 * memory grew. It runs in a JVM of its own, with a heap of fixed size, so that what grows is native
 * memory.
 */
final class MemoryCycles {
  private static final int BATCH = 40_000;

  private MemoryCycles() {}

  /** Arguments: cycles to warm up, cycles to measure. Prints bytes. */
  public static void main(String[] arguments) throws IOException {
    Map<String, Tensor> inputs = Fixture.inputs(1, 0, BATCH);
    Map<String, Tensor> outputs = Map.of("y", Tensor.allocate(ElementType.F32, BATCH, 4));
    run(Integer.parseInt(arguments[0]), inputs, outputs);
    long start = residentBytes();
    run(Integer.parseInt(arguments[1]), inputs, outputs);
    System.out.println(residentBytes() - start);
  }

  /** The state of a cycle is 3 MB, twice that while it runs. */
  private static void run(int cycles, Map<String, Tensor> inputs, Map<String, Tensor> outputs) {
    Model.Options options = Model.Options.defaults().withThreads(1);
    for (int i = 0; i < cycles; i++) {
      try (Model model = Model.load(Fixture.folder(), options);
          Session session = model.newSession()) {
        for (int step = 0; step < 4; step++) {
          session.run(step, 0, inputs, outputs);
          session.run(step, 1, inputs, outputs);
        }
      }
    }
  }

  private static long residentBytes() throws IOException {
    System.gc();
    String[] pages = Files.readString(Path.of("/proc/self/statm")).split(" ");
    return Long.parseLong(pages[1]) * 4096;
  }
}
