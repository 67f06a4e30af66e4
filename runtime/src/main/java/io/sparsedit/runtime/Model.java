package io.sparsedit.runtime;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;

/**
 * A compiled bundle, loaded and ready to run.
 *
 * <pre>{@code
 * try (Model model = Model.load(Path.of("wan.sparse"));
 *     Session session = model.newSession(Schedule.steps(50))) {
 *   Map<String, Tensor> inputs = ...; // by the names of model.bundle().inputs()
 *   Map<String, Tensor> outputs = session.newOutputs(inputs);
 *   for (int step = 0; step < 50; step++) {
 *     session.run(step, 0, inputs, outputs);
 *   }
 * }
 * }</pre>
 *
 * <p>Thread-safe: any number of threads may open sessions, each for one denoising request. Weights
 * are loaded once and shared by all of them.
 */
public final class Model implements AutoCloseable {
  private static final Logger LOG = System.getLogger("io.sparsedit.runtime");

  /** What runs a model. */
  public enum Target {
    /**
     * TensorRT where the bundle has an engine and the machine a GPU, else ONNX Runtime. An engine
     * that does not fit the GPU that is there is an error, not a reason to run on the CPU.
     */
    AUTO,
    /**
     * TensorRT on the GPU, or an error that says why not. The portable model and its weights need
     * not be there.
     */
    TENSORRT,
    /** The portable model in ONNX Runtime on the CPU. */
    ONNX_RUNTIME
  }

  /**
   * How a model is loaded.
   *
   * @param target what runs it
   * @param threads threads that compute one step in ONNX Runtime, or empty for as many as the
   *     machine has cores
   * @param checkHash whether the files that are loaded, which are the portable model or engine and
   *     plugin library, are compared with their SHA-256 in the description; it costs one reading of
   *     them, not of the weights beside the portable model
   * @param maxBranches how many CFG branches a session may have. Each has its own state, and a
   *     branch above it is taken for a mistake
   * @param cudaGraphs whether TensorRT's steps are recorded as CUDA graphs, which start faster
   * @param dense whether TensorRT runs the bundle's dense engine: the model as it was, for
   *     comparison. It knows no actions and has no state
   */
  public record Options(
      Target target,
      OptionalInt threads,
      boolean checkHash,
      int maxBranches,
      boolean cudaGraphs,
      boolean dense) {
    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if a number is below 1
     */
    public Options {
      if (threads.orElse(1) < 1 || maxBranches < 1) {
        throw new IllegalArgumentException("threads and maxBranches must be at least 1");
      }
    }

    /** What fits the machine, all cores, the hash checked, at most 4 branches, no CUDA graphs. */
    public static Options defaults() {
      return new Options(Target.AUTO, OptionalInt.empty(), true, 4, false, false);
    }

    /** The same options with another target. */
    public Options withTarget(Target newTarget) {
      return new Options(newTarget, threads, checkHash, maxBranches, cudaGraphs, dense);
    }

    /** The same options with another number of threads. */
    public Options withThreads(int newThreads) {
      return new Options(
          target, OptionalInt.of(newThreads), checkHash, maxBranches, cudaGraphs, dense);
    }

    /** The same options, with or without the check of hashes. */
    public Options withCheckHash(boolean newCheckHash) {
      return new Options(target, threads, newCheckHash, maxBranches, cudaGraphs, dense);
    }

    /** The same options with another limit of branches. */
    public Options withMaxBranches(int newMaxBranches) {
      return new Options(target, threads, checkHash, newMaxBranches, cudaGraphs, dense);
    }

    /** The same options, with or without CUDA graphs. */
    public Options withCudaGraphs(boolean newCudaGraphs) {
      return new Options(target, threads, checkHash, maxBranches, newCudaGraphs, dense);
    }

    /** The same options, with or without the dense engine in place of the sparse one. */
    public Options withDense(boolean newDense) {
      return new Options(target, threads, checkHash, maxBranches, cudaGraphs, newDense);
    }
  }

  private final Bundle bundle;
  private final Options options;
  private final Backend backend;
  private final Set<Session> sessions = new HashSet<>();
  private boolean closed;

  private Model(Bundle bundle, Options options, Backend backend) {
    this.bundle = bundle;
    this.options = options;
    this.backend = backend;
  }

  /**
   * Loads a bundle with {@link Options#defaults()}.
   *
   * @see #load(Path, Options)
   */
  public static Model load(Path folder) {
    return load(folder, Options.defaults());
  }

  /**
   * Loads a bundle.
   *
   * @param folder the folder that {@code sparsify-model compile} wrote
   * @throws BundleException if it is not a bundle, not complete or not what the compiler wrote
   * @throws BackendException if what is to run it is missing, does not fit the machine or does not
   *     take the model
   */
  public static Model load(Path folder, Options options) {
    boolean engineAlone = options.dense() || options.target() == Target.TENSORRT;
    Bundle bundle = engineAlone ? Bundle.describe(folder) : Bundle.open(folder);
    long start = System.nanoTime();
    Backend backend = load(bundle, options);
    LOG.log(
        Level.DEBUG,
        () ->
            String.format(
                "loaded %s on %s in %d ms",
                bundle, backend.name(), (System.nanoTime() - start) / 1_000_000));
    return new Model(bundle, options, backend);
  }

  private static Backend load(Bundle bundle, Options options) {
    if (options.dense()) {
      return TensorRtBackend.load(bundle, options);
    }
    return switch (options.target()) {
      case TENSORRT -> TensorRtBackend.load(bundle, options);
      case ONNX_RUNTIME -> loadPortable(bundle, options);
      case AUTO -> loadFitting(bundle, options);
    };
  }

  /** The engine, unless there is none or no GPU to run it on. */
  private static Backend loadFitting(Bundle bundle, Options options) {
    if (bundle.engines().isEmpty()) {
      return loadPortable(bundle, options);
    }
    try {
      return TensorRtBackend.load(bundle, options);
    } catch (BackendException e) {
      if (e.reason() != BackendException.Reason.NO_GPU) {
        throw e;
      }
      LOG.log(
          Level.WARNING,
          () ->
              bundle.folder()
                  + ": its TensorRT engine is not used, for "
                  + e.getMessage()
                  + "; the portable model runs in ONNX Runtime on the CPU");
      return loadPortable(bundle, options);
    }
  }

  private static Backend loadPortable(Bundle bundle, Options options) {
    if (options.checkHash()) {
      bundle.checkModelHash();
    }
    try {
      return OrtBackend.load(bundle, options);
    } catch (LinkageError e) {
      throw new BackendException(
          BackendException.Reason.UNAVAILABLE,
          e.getCause() instanceof ClassNotFoundException
              ? "ONNX Runtime is not usable here ("
                  + e
                  + "); put com.microsoft.onnxruntime:onnxruntime on the class path"
              : "ONNX Runtime cannot be loaded ("
                  + (e.getCause() == null ? e : e.getCause())
                  + "); it unpacks its library into the temporary folder "
                  + System.getProperty("java.io.tmpdir")
                  + ": free some space there, or name another one with -Djava.io.tmpdir=DIR",
          e);
    }
  }

  /** What was loaded. */
  public Bundle bundle() {
    return bundle;
  }

  /** The engine that runs it and its version. */
  public String backend() {
    return backend.name();
  }

  /**
   * Bytes of GPU memory that no process uses; empty if the model runs on the CPU.
   *
   * @throws BackendException if the GPU does not answer any more
   */
  public OptionalLong freeGpuMemory() {
    return backend.freeGpuMemory();
  }

  /**
   * Opens a session with the bundle's own schedule.
   *
   * @throws SessionException if the model is closed
   */
  public Session newSession() {
    return newSession(Schedule.of(bundle));
  }

  /**
   * Opens a session: one denoising request.
   *
   * @throws ScheduleException if the schedule makes no sense for this bundle
   * @throws SessionException if the model is closed
   * @throws BackendException if the engine has no room for another session
   */
  public Session newSession(Schedule schedule) {
    Timetable timetable = schedule.resolve(bundle);
    synchronized (sessions) {
      if (closed) {
        throw new SessionException(SessionException.Reason.CLOSED, "the model is closed");
      }
      Session session =
          new Session(
              bundle, timetable, options.maxBranches(), backend.newExecution(), this::forget);
      sessions.add(session);
      return session;
    }
  }

  private void forget(Session session) {
    synchronized (sessions) {
      sessions.remove(session);
    }
  }

  /**
   * Closes all sessions and releases the model. A step that is running in another thread ends
   * first; what is called on a session afterwards throws {@link SessionException}.
   */
  @Override
  public void close() {
    ArrayList<Session> open;
    synchronized (sessions) {
      if (closed) {
        return;
      }
      closed = true;
      open = new ArrayList<>(sessions);
    }
    open.forEach(Session::close);
    backend.close();
  }
}
