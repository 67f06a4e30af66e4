package io.sparsedit.runtime;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * One denoising request on a {@link Model}: a schedule, and the state that its sparse attention
 * carries from step to step.
 *
 * <p>Under classifier-free guidance the conditional and the unconditional pass are two
 * <em>branches</em>, each with its own state; without guidance, or where both passes share a batch,
 * there is only branch 0. A branch takes memory from its first step on.
 *
 * <p>The steps of a branch come in order from 0. Step 0 may come again at any time and starts the
 * branch anew, so that a session can serve one request after another; each evaluation of the model
 * counts as a step, also where a sampler evaluates it twice. A step that fails can be run again.
 *
 * <p>A session serves one thread at a time, and runs one step at a time ({@link #runAsync}
 * included); sessions of one model do not affect each other.
 */
public final class Session implements AutoCloseable {
  private final Bundle bundle;
  private final Timetable timetable;
  private final int maxBranches;
  private final Backend.Execution execution;
  private final Consumer<Session> onClose;
  private final Map<Integer, BranchState> branches = new TreeMap<>();
  private final Semaphore lock = new Semaphore(1);

  private Optional<ExecutorService> worker = Optional.empty();

  /** Set before the lock is taken, so that a thread that runs step after step lets go. */
  private volatile boolean closed;

  private boolean released;

  /** A branch: its state in the engine, and where it stands in the schedule. */
  private static final class BranchState {
    final Backend.Branch branch;
    int next;
    Map<String, long[]> stateDims = Map.of();

    BranchState(Backend.Branch branch) {
      this.branch = branch;
    }
  }

  Session(
      Bundle bundle,
      Timetable timetable,
      int maxBranches,
      Backend.Execution execution,
      Consumer<Session> onClose) {
    this.bundle = bundle;
    this.timetable = timetable;
    this.maxBranches = maxBranches;
    this.execution = execution;
    this.onClose = onClose;
  }

  /** What each site does at each step. */
  public Timetable timetable() {
    return timetable;
  }

  /**
   * Runs one step and writes the outputs in place.
   *
   * @param step the branch's next step, or 0 to start the branch anew
   * @param branch the CFG branch, from 0
   * @param inputs all of {@link Bundle#inputs()} by name, of their types
   * @param outputs those of {@link Bundle#outputs()} that are wanted, of their types; {@link
   *     #newOutputs} makes them. They must not share memory with the inputs
   * @throws SessionException if the call does not fit: nothing was run, and {@link
   *     SessionException#reason()} says why
   * @throws BackendException if the engine fails: outputs may be partly written, the state is what
   *     it was before the step, and the step can be run again
   */
  public void run(int step, int branch, Map<String, Tensor> inputs, Map<String, Tensor> outputs) {
    run(step, branch, inputs, outputs, Set.of());
  }

  /**
   * Runs one step and returns all outputs in new tensors.
   *
   * @param step the branch's next step, or 0 to start the branch anew
   * @param branch the CFG branch, from 0
   * @param inputs all of {@link Bundle#inputs()} by name, of their types
   * @return all of {@link Bundle#outputs()} by name
   * @throws SessionException if the call does not fit: nothing was run
   * @throws BackendException if the engine fails: the step can be run again
   */
  public Map<String, Tensor> run(int step, int branch, Map<String, Tensor> inputs) {
    return run(step, branch, inputs, Map.of(), bundle.outputs().keySet());
  }

  /**
   * Starts one step and returns at once; the outputs are written in place.
   *
   * <p>Until the future is done the session is busy, and inputs and outputs must stay as they are.
   * The next step can be started when it is done. Cancelling it does not stop the step.
   *
   * @param step the branch's next step, or 0 to start the branch anew
   * @param branch the CFG branch, from 0
   * @param inputs all of {@link Bundle#inputs()} by name, of their types
   * @param outputs those of {@link Bundle#outputs()} that are wanted, as for {@link #run(int, int,
   *     Map, Map)}
   * @return done when the outputs are there; failed with a {@link BackendException} if the engine
   *     fails
   * @throws SessionException if the call does not fit: nothing is run
   */
  public CompletableFuture<Void> runAsync(
      int step, int branch, Map<String, Tensor> inputs, Map<String, Tensor> outputs) {
    Map<String, Tensor> givenInputs = Map.copyOf(inputs);
    Map<String, Tensor> givenOutputs = Map.copyOf(outputs);
    CompletableFuture<Void> done = new CompletableFuture<>();
    enter();
    try {
      Prepared prepared = prepare(step, branch, givenInputs, givenOutputs, Set.of());
      worker.orElseGet(this::newWorker).execute(() -> finish(prepared, done));
    } catch (RuntimeException | Error e) {
      lock.release(); // also where the system gives no thread
      throw e;
    }
    return done;
  }

  /** Executes a step and lets the session go, so that whoever waits may start the next one. */
  private void finish(Prepared prepared, CompletableFuture<Void> done) {
    try {
      execute(prepared);
    } catch (Throwable e) {
      lock.release();
      done.completeExceptionally(e);
      return;
    }
    lock.release();
    done.complete(null);
  }

  /** A thread for steps that nobody waits for; it does not keep the process alive. */
  private ExecutorService newWorker() {
    ExecutorService made =
        Executors.newSingleThreadExecutor(
            task -> {
              Thread thread = new Thread(task, "sparsedit-session");
              thread.setDaemon(true);
              return thread;
            });
    worker = Optional.of(made);
    return made;
  }

  private Map<String, Tensor> run(
      int step,
      int branch,
      Map<String, Tensor> inputs,
      Map<String, Tensor> outputs,
      Set<String> allocate) {
    enter();
    try {
      return execute(prepare(step, branch, inputs, outputs, allocate));
    } finally {
      lock.release();
    }
  }

  /** A step that fits. */
  private record Prepared(BranchState state, int step, Backend.Step run) {}

  private Prepared prepare(
      int step,
      int branch,
      Map<String, Tensor> inputs,
      Map<String, Tensor> outputs,
      Set<String> allocate) {
    BranchState state = branch(step, branch);
    Dims dims = bind(inputs);
    checkOutputs(outputs, dims);
    Map<String, long[]> stateDims = stateDims(dims);
    if (step == 0) {
      state.branch.clear();
      state.next = 0;
      state.stateDims = stateDims;
    } else {
      checkSameShape(state.stateDims, stateDims);
    }
    return new Prepared(
        state, step, new Backend.Step(timetable.actions(step), inputs, outputs, allocate, dims));
  }

  private static Map<String, Tensor> execute(Prepared prepared) {
    Map<String, Tensor> allocated = prepared.state().branch.run(prepared.run());
    prepared.state().next = prepared.step() + 1;
    return allocated;
  }

  private BranchState branch(int step, int branch) {
    if (branch < 0 || branch >= maxBranches) {
      throw new SessionException(
          SessionException.Reason.BRANCH,
          "branch " + branch + " is not among 0 to " + (maxBranches - 1));
    }
    if (step < 0 || step >= timetable.steps()) {
      throw new SessionException(
          SessionException.Reason.STEP_ORDER,
          "step " + step + " is not among the schedule's 0 to " + (timetable.steps() - 1));
    }
    BranchState known = branches.get(branch);
    int next = known == null ? 0 : known.next;
    if (step != 0 && step != next) {
      String expected = next == 0 || next == timetable.steps() ? "" : "step " + next + ", or ";
      throw new SessionException(
          SessionException.Reason.STEP_ORDER,
          "step "
              + step
              + " of branch "
              + branch
              + " is out of order: expected "
              + expected
              + "step 0");
    }
    return branches.computeIfAbsent(branch, any -> new BranchState(execution.newBranch()));
  }

  private Dims bind(Map<String, Tensor> inputs) {
    Dims dims = new Dims();
    bundle
        .inputs()
        .forEach(
            (name, type) -> {
              Tensor tensor = inputs.get(name);
              if (tensor == null) {
                throw input(name, "is missing, must be " + type);
              }
              Optional<String> misfit = dims.bind(type, tensor);
              if (misfit.isPresent()) {
                throw input(name, misfit.get());
              }
              requireReach(tensor, problem -> input(name, problem));
            });
    for (String name : inputs.keySet()) {
      if (!bundle.inputs().containsKey(name)) {
        throw input(name, "is unknown; the model has " + bundle.inputs().keySet());
      }
    }
    return dims;
  }

  private void requireReach(Tensor tensor, Function<String, SessionException> problem) {
    if (tensor.isOnDevice() && !execution.takesDeviceTensors()) {
      throw problem.apply("is on the GPU, but the model runs on the CPU");
    }
  }

  private static SessionException input(String name, String problem) {
    return new SessionException(SessionException.Reason.INPUT, "input " + name + " " + problem);
  }

  private void checkOutputs(Map<String, Tensor> outputs, Dims dims) {
    outputs.forEach(
        (name, tensor) -> {
          TensorType type = bundle.outputs().get(name);
          Optional<String> misfit =
              type == null
                  ? Optional.of("is unknown; the model has " + bundle.outputs().keySet())
                  : dims.misfit(type, tensor);
          if (misfit.isPresent()) {
            throw output(name, misfit.get());
          }
          requireReach(tensor, problem -> output(name, problem));
        });
  }

  private static SessionException output(String name, String problem) {
    return new SessionException(SessionException.Reason.OUTPUT, "output " + name + " " + problem);
  }

  private Map<String, long[]> stateDims(Dims dims) {
    Map<String, long[]> out = new LinkedHashMap<>();
    for (Bundle.StateTensor tensor : bundle.state()) {
      long[] shape =
          dims.resolve(tensor.type())
              .orElseThrow(
                  () ->
                      new SessionException(
                          SessionException.Reason.INPUT,
                          "the inputs' shapes give no size to the state " + tensor.type()));
      out.put(tensor.input(), shape);
    }
    return out;
  }

  private static void checkSameShape(Map<String, long[]> before, Map<String, long[]> now) {
    before.forEach(
        (name, dims) -> {
          if (!Arrays.equals(dims, now.get(name))) {
            throw new SessionException(
                SessionException.Reason.SHAPE_CHANGED,
                "the inputs' shapes change the state "
                    + name
                    + " from "
                    + Arrays.toString(dims)
                    + " to "
                    + Arrays.toString(now.get(name))
                    + "; start again at step 0");
          }
        });
  }

  /**
   * New outputs of the types that these inputs lead to, for {@link #run(int, int, Map, Map)}.
   *
   * @param inputs all of {@link Bundle#inputs()} by name; only their types matter
   * @throws SessionException if the inputs do not fit, or do not determine an output's dimensions
   *     (then {@link #run(int, int, Map)} still gives it)
   */
  public Map<String, Tensor> newOutputs(Map<String, Tensor> inputs) {
    Dims dims = bind(inputs);
    Map<String, Tensor> out = new LinkedHashMap<>();
    bundle
        .outputs()
        .forEach(
            (name, type) ->
                out.put(
                    name,
                    Tensor.allocate(
                        type.element(),
                        dims.resolve(type)
                            .orElseThrow(
                                () ->
                                    output(
                                        name,
                                        "is "
                                            + type
                                            + ", which the inputs' shapes do not determine")))));
    return out;
  }

  /**
   * A copy of a tensor of a branch's state, as its last step left it: for tests and diagnosis.
   *
   * @param branch the CFG branch
   * @param tensor one of {@link Bundle#state()}
   * @throws SessionException if the branch has not run a step, or the session is closed or busy
   * @throws IllegalArgumentException if the bundle has no such tensor
   */
  public Tensor copyState(int branch, Bundle.StateTensor tensor) {
    if (!bundle.state().contains(tensor)) {
      throw new IllegalArgumentException(tensor.input() + " is no state of " + bundle);
    }
    enter();
    try {
      BranchState state = branches.get(branch);
      if (state == null || state.next == 0) {
        throw new SessionException(
            SessionException.Reason.STEP_ORDER, "branch " + branch + " has no state yet");
      }
      return state.branch.copyState(tensor);
    } finally {
      lock.release();
    }
  }

  /**
   * From now on the layers of each step are timed: for diagnosis, since it makes steps slower and
   * goes without CUDA graphs. ONNX Runtime does not tell.
   *
   * @throws SessionException if the session is closed or busy
   * @throws BackendException if the engine fails
   */
  public void timeLayers() {
    enter();
    try {
      execution.timeLayers();
    } finally {
      lock.release();
    }
  }

  /**
   * The layers of the last step, in the order in which they ran; empty if they were not timed.
   *
   * @throws SessionException if the session is closed or busy
   */
  public List<LayerTime> layerTimes() {
    enter();
    try {
      return execution.layerTimes();
    } finally {
      lock.release();
    }
  }

  /**
   * Forgets all branches and releases their state; the next step is step 0.
   *
   * @throws SessionException if the session is closed or busy
   */
  public void reset() {
    enter();
    try {
      releaseBranches();
    } finally {
      lock.release();
    }
  }

  private void enter() {
    if (closed) {
      throw closedException();
    }
    if (!lock.tryAcquire()) {
      throw new SessionException(
          SessionException.Reason.BUSY,
          "another thread is using this session, or a step of it is running; open one session a"
              + " thread");
    }
    if (closed) {
      lock.release();
      throw closedException();
    }
  }

  private static SessionException closedException() {
    return new SessionException(SessionException.Reason.CLOSED, "the session is closed");
  }

  private void releaseBranches() {
    branches.values().forEach(state -> state.branch.close());
    branches.clear();
  }

  /** Releases the state. A step that is running in another thread ends first. */
  @Override
  public void close() {
    closed = true;
    lock.acquireUninterruptibly();
    try {
      if (released) {
        return;
      }
      released = true;
      worker.ifPresent(ExecutorService::shutdown);
      releaseBranches();
      execution.close();
    } finally {
      lock.release();
    }
    onClose.accept(this);
  }
}
