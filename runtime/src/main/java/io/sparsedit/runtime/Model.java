package io.sparsedit.runtime;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.OptionalInt;
import java.util.Set;

/**
 * A compiled bundle, loaded and ready to run.
 *
 * <pre>{@code
 * try (Model model = Model.load(Path.of("wan.sparse"));
 *     Session session = model.newSession(Schedule.steps(50))) {
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

  /**
   * How a model is loaded.
   *
   * @param threads threads that compute one step, or empty for as many as the machine has cores
   * @param checkHash whether the model file is compared with the SHA-256 that the compiler noted;
   *     it costs one reading of that file, not of the weights beside it
   * @param maxBranches how many CFG branches a session may have. Each has its own state, and a
   *     branch above it is taken for a mistake
   */
  public record Options(OptionalInt threads, boolean checkHash, int maxBranches) {
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

    /** All cores, the hash checked, at most 4 branches. */
    public static Options defaults() {
      return new Options(OptionalInt.empty(), true, 4);
    }

    /** The same options with another number of threads. */
    public Options withThreads(int newThreads) {
      return new Options(OptionalInt.of(newThreads), checkHash, maxBranches);
    }

    /** The same options, with or without the check of the model's hash. */
    public Options withCheckHash(boolean newCheckHash) {
      return new Options(threads, newCheckHash, maxBranches);
    }

    /** The same options with another limit of branches. */
    public Options withMaxBranches(int newMaxBranches) {
      return new Options(threads, checkHash, newMaxBranches);
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
   * @throws BackendException if ONNX Runtime is missing or does not take the model
   */
  public static Model load(Path folder, Options options) {
    Bundle bundle = Bundle.open(folder);
    if (options.checkHash()) {
      bundle.checkModelHash();
    }
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
    try {
      return OrtBackend.load(bundle, options);
    } catch (LinkageError e) {
      throw new BackendException(
          BackendException.Reason.UNAVAILABLE,
          "ONNX Runtime is not usable here ("
              + e
              + "); put com.microsoft.onnxruntime:onnxruntime on the class path",
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
