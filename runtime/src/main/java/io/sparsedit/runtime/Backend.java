package io.sparsedit.runtime;

import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;

/**
 * A loaded model on some engine.
 *
 * <p>{@link Model} and {@link Session} hold what all engines share: the bundle and its checks, the
 * schedule, the order of steps, the checks of inputs and outputs, closing. A back end holds what
 * differs: where weights and state live and how a step is launched. There are three levels, each of
 * which releases its native resources when it is closed:
 *
 * <ul>
 *   <li>the back end itself, one a model: the engine and its weights. Thread-safe;
 *   <li>an {@link Execution}, one a session: what one thread at a time can use, such as an
 *       execution context, a stream and staging buffers;
 *   <li>a {@link Branch}, one a CFG branch of a session: its state, kept where the engine runs, in
 *       two sets that change places after each step. A back end that records launches (CUDA graphs)
 *       keeps its recordings here, one for each of the two directions.
 * </ul>
 *
 * <p>Arguments have been checked against the bundle before they come here.
 */
interface Backend extends AutoCloseable {
  /** The engine and its version, as users know them. */
  String name();

  /**
   * Resources for a session.
   *
   * @throws BackendException if the engine has none left
   */
  Execution newExecution();

  /** Bytes of GPU memory that nobody uses; empty if the engine runs on the CPU. */
  OptionalLong freeGpuMemory();

  /** Called once, after all executions are closed. */
  @Override
  void close();

  /** What a session holds of the engine. Used by one thread at a time. */
  interface Execution extends AutoCloseable {
    /** State for a branch, zeros; it takes no memory before the first run. */
    Branch newBranch();

    /** Whether inputs and outputs may be on the GPU. */
    boolean takesDeviceTensors();

    /** From now on layers are timed, if the engine can do that. */
    void timeLayers();

    /** The layers of the last run, in their order; empty if they were not timed. */
    List<LayerTime> layerTimes();

    /** Called once, after all branches are closed. */
    @Override
    void close();
  }

  /** The state of a CFG branch. Used by one thread at a time. */
  interface Branch extends AutoCloseable {
    /**
     * Runs one step: reads the current state, writes the next, and makes that the current one. If
     * this fails, the current state stays what it was and outputs may be partly written.
     *
     * @return a new tensor for each of {@link Step#allocate}
     * @throws BackendException if the engine reports an error
     */
    Map<String, Tensor> run(Step step);

    /** A copy of a tensor of the current state, after at least one run. */
    Tensor copyState(Bundle.StateTensor tensor);

    /** Makes the current state zeros; the next run may give it other dimensions. */
    void clear();

    @Override
    void close();
  }

  /**
   * A step to run.
   *
   * @param actions one a site
   * @param inputs all of the model's own inputs
   * @param outputs outputs to be written in place
   * @param allocate outputs to be allocated by the engine
   * @param dims the sizes of symbolic dimensions, all of the state's among them
   */
  record Step(
      List<Action> actions,
      Map<String, Tensor> inputs,
      Map<String, Tensor> outputs,
      Set<String> allocate,
      Dims dims) {}
}
