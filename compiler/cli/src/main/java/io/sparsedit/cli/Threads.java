package io.sparsedit.cli;

import io.sparsedit.compiler.SparsifyException;

/** The number of threads that a user asks of ONNX Runtime. */
final class Threads {
  /** So many anybody may have. */
  private static final int ALLOWED = 64;

  private static final int MOST_PER_PROCESSOR = 4;

  private Threads() {}

  /**
   * Refuses numbers that would bring the machine to a stand: threads of ONNX Runtime spin while
   * they wait.
   *
   * @throws SparsifyException if it is below 1, or above 64 and four for each processor
   */
  static void require(int threads) {
    int processors = Runtime.getRuntime().availableProcessors();
    int most = Math.max(ALLOWED, MOST_PER_PROCESSOR * processors);
    if (threads < 1) {
      throw SparsifyException.usage("--threads must be at least 1, not " + threads);
    }
    if (threads > most) {
      throw SparsifyException.usage(
          "--threads must be at most "
              + most
              + " on this machine of "
              + processors
              + " processors, not "
              + threads);
    }
  }
}
