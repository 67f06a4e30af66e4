package io.sparsedit.compiler.ort;

import java.time.Duration;
import java.util.List;

/**
 * How a model is loaded.
 *
 * @param threads threads of one operator; 0 for one per core
 * @param optimisation how far ONNX Runtime rewrites the graph before it runs it
 * @param deterministic whether to leave out kernels whose results vary from run to run
 * @param fetch values of the main graph that are wanted besides the outputs
 * @param limit how long a run may take before it is stopped: a loop may have no end
 */
public record OrtOptions(
    int threads,
    Optimisation optimisation,
    boolean deterministic,
    List<String> fetch,
    Duration limit) {
  /** How far ONNX Runtime rewrites a graph. */
  public enum Optimisation {
    /** Runs the nodes as they are. */
    NONE,
    /** Folds constants and removes redundant nodes. */
    BASIC,
    /** Fuses nodes and changes layouts too. */
    ALL
  }

  /** One thread per core, all optimisations, deterministic, the model's own outputs, 15 minutes. */
  public static final OrtOptions DEFAULT =
      new OrtOptions(0, Optimisation.ALL, true, List.of(), Duration.ofMinutes(15));

  public OrtOptions {
    fetch = List.copyOf(fetch);
  }

  /** The same with so many threads. */
  public OrtOptions withThreads(int newThreads) {
    return new OrtOptions(newThreads, optimisation, deterministic, fetch, limit);
  }

  /** The same with this level of optimisation. */
  public OrtOptions withOptimisation(Optimisation level) {
    return new OrtOptions(threads, level, deterministic, fetch, limit);
  }

  /** The same with these values besides the outputs. */
  public OrtOptions withFetch(List<String> names) {
    return new OrtOptions(threads, optimisation, deterministic, names, limit);
  }

  /** The same with runs that may take so long. */
  public OrtOptions withLimit(Duration newLimit) {
    return new OrtOptions(threads, optimisation, deterministic, fetch, newLimit);
  }
}
