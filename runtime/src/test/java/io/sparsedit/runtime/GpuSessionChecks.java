package io.sparsedit.runtime;

import io.sparsedit.runtime.sampling.SeededInputs;
import io.sparsedit.tensorrt.CudaStream;
import io.sparsedit.tensorrt.DeviceMemory;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

/**
 * A program for a machine with a GPU: runs a bundle's engine in all the ways there are and through
 * what can go wrong, says what it saw, and ends with 1 if something was not as it must be. The last
 * failure is a wild address, after which CUDA is of no use to the process.
 */
final class GpuSessionChecks {
  private static final int STEPS = 6;
  private static final int SESSIONS = 4;
  private static final long HOST_GROWTH = 8_000_000;
  private static final long WILD_ADDRESS = 0x7000_0000_0000L;

  private final Path folder;
  private final Model.Options options =
      Model.Options.defaults().withTarget(Model.Target.TENSORRT).withCheckHash(false);
  private final List<String> wrong = new ArrayList<>();

  private GpuSessionChecks(Path folder) {
    this.folder = folder;
  }

  /** Arguments: a bundle with an engine, and how often it is loaded, run and closed. */
  public static void main(String[] arguments) throws Exception {
    GpuSessionChecks checks = new GpuSessionChecks(Path.of(arguments[0]));
    checks.ways();
    checks.together();
    checks.memory();
    checks.damaged();
    checks.cycles(Integer.parseInt(arguments[1]));
    checks.wildAddress();
    checks.wrong.forEach(problem -> System.out.println("WRONG: " + problem));
    System.out.println(checks.wrong.isEmpty() ? "all as it must be" : "not as it must be");
    Runtime.getRuntime().halt(checks.wrong.isEmpty() ? 0 : 1);
  }

  private void check(boolean holds, String what) {
    System.out.println((holds ? "ok: " : "not: ") + what);
    if (!holds) {
      wrong.add(what);
    }
  }

  private interface Way {
    Map<String, Tensor> run(Session session, int step, Map<String, Tensor> inputs) throws Exception;
  }

  /** What a run gives, waited for or not, on the host or the GPU, recorded or not, is the same. */
  private void ways() throws Exception {
    for (boolean graphs : new boolean[] {false, true}) {
      try (Model model = Model.load(folder, options.withCudaGraphs(graphs));
          CudaStream stream = CudaStream.create()) {
        Map<String, Tensor> inputs = SeededInputs.of(model.bundle(), Map.of(), 0);
        List<float[]> wanted =
            outputs(model, inputs, (session, step, in) -> session.run(step, 0, in));
        String where = graphs ? " with CUDA graphs" : "";
        compare(
            wanted,
            outputs(model, inputs, (session, step, in) -> session.run(step, 0, in)),
            "the same run again" + where);
        Way async =
            (session, step, in) -> {
              Map<String, Tensor> out = session.newOutputs(in);
              session.runAsync(step, 0, in, out).get();
              return out;
            };
        compare(wanted, outputs(model, inputs, async), "runAsync" + where);
        List<DeviceMemory> memory = new ArrayList<>();
        Way device = (session, step, in) -> onDevice(session, step, in, memory, stream);
        compare(wanted, outputs(model, inputs, device), "tensors on the GPU" + where);
        memory.forEach(DeviceMemory::close);
      }
    }
  }

  /** Sessions that run at the same time, beside models that come and go, do what they do alone. */
  private void together() throws Exception {
    for (boolean graphs : new boolean[] {false, true}) {
      ExecutorService threads = Executors.newFixedThreadPool(SESSIONS);
      try (Model model = Model.load(folder, options.withCudaGraphs(graphs))) {
        Way run = (session, step, in) -> session.run(step, 0, in);
        List<List<float[]>> wanted = new ArrayList<>();
        List<Future<List<float[]>>> given = new ArrayList<>();
        for (int seed = 0; seed < SESSIONS; seed++) {
          wanted.add(outputs(model, SeededInputs.of(model.bundle(), Map.of(), seed), run));
        }
        for (int seed = 0; seed < SESSIONS; seed++) {
          Map<String, Tensor> inputs = SeededInputs.of(model.bundle(), Map.of(), seed);
          given.add(threads.submit(() -> outputs(model, inputs, run)));
        }
        Model.load(folder, options).close();
        for (int seed = 0; seed < SESSIONS; seed++) {
          compare(
              wanted.get(seed),
              given.get(seed).get(),
              "session " + seed + " of " + SESSIONS + " at once" + (graphs ? ", CUDA graphs" : ""));
        }
      } finally {
        threads.shutdownNow();
      }
    }
  }

  private static List<float[]> outputs(Model model, Map<String, Tensor> inputs, Way way)
      throws Exception {
    List<float[]> outputs = new ArrayList<>();
    try (Session session = model.newSession(Schedule.steps(STEPS).withDenseWarmup(0))) {
      for (int step = 0; step < STEPS; step++) {
        outputs.add(way.run(session, step, inputs).values().iterator().next().toFloats());
      }
    }
    return outputs;
  }

  /** Inputs and outputs in memory of ours, which is another for every step. */
  private static Map<String, Tensor> onDevice(
      Session session,
      int step,
      Map<String, Tensor> inputs,
      List<DeviceMemory> memory,
      CudaStream stream) {
    Map<String, Tensor> in = new HashMap<>();
    inputs.forEach(
        (name, tensor) -> {
          Tensor place = place(tensor, memory);
          memory
              .get(memory.size() - 1)
              .copyFrom(tensor.bytes(), tensor.bytes().remaining(), stream);
          in.put(name, place);
        });
    stream.synchronize();
    Map<String, Tensor> host = session.newOutputs(inputs);
    Map<String, Tensor> out = new HashMap<>();
    Map<String, DeviceMemory> places = new HashMap<>();
    host.forEach(
        (name, tensor) -> {
          out.put(name, place(tensor, memory));
          places.put(name, memory.get(memory.size() - 1));
        });
    session.run(step, 0, in, out);
    places.forEach(
        (name, place) -> {
          Tensor tensor = Fixture.named(host, name);
          place.copyTo(tensor.bytes(), tensor.bytes().remaining(), stream);
        });
    stream.synchronize();
    return host;
  }

  private static Tensor place(Tensor like, List<DeviceMemory> memory) {
    DeviceMemory place = DeviceMemory.allocate(like.bytes().remaining());
    memory.add(place);
    return Tensor.onDevice(like.type(), place.address(), like.dims());
  }

  private void compare(List<float[]> wanted, List<float[]> given, String what) {
    double worst = 0;
    for (int step = 0; step < wanted.size(); step++) {
      for (int i = 0; i < wanted.get(step).length; i++) {
        worst = Math.max(worst, Math.abs(wanted.get(step)[i] - given.get(step)[i]));
      }
    }
    check(worst <= 1e-5, what + ": " + STEPS + " steps, largest difference " + worst);
  }

  /** Without memory a session is refused, and possible again when there is some. */
  private void memory() throws Exception {
    try (Model model = Model.load(folder, options)) {
      List<DeviceMemory> taken = new ArrayList<>();
      for (long bytes = 1L << 36; bytes >= 1 << 16; ) {
        try {
          taken.add(DeviceMemory.allocate(bytes));
        } catch (RuntimeException e) {
          bytes /= 2;
        }
      }
      Map<String, Tensor> inputs = SeededInputs.of(model.bundle(), Map.of(), 0);
      expect(
          BackendException.Reason.OUT_OF_MEMORY,
          "a session on a full GPU",
          () -> {
            try (Session session = model.newSession()) {
              session.run(0, 0, inputs);
            }
          },
          "MB of GPU memory or somewhat more; ");
      taken.forEach(DeviceMemory::close);
      try (Session session = model.newSession()) {
        session.run(0, 0, inputs);
        check(true, "a session after that");
      }
    }
  }

  /** An engine that is not whole, or not what it was, is told of and not run. */
  private void damaged() throws IOException {
    try {
      Model.load(copy(plan -> plan.setLength(plan.length() / 2)), options).close();
      check(false, "half an engine");
    } catch (BundleException e) {
      check(e.reason() == BundleException.Reason.FILE_CHANGED, "half an engine: " + e.getMessage());
    }
    Path changed = copy(plan -> plan.write(new byte[4096]));
    expect(
        BackendException.Reason.LOAD_FAILED,
        "an engine that was overwritten, not checked",
        () -> Model.load(changed, options).close());
    try {
      Model.load(changed, options.withCheckHash(true)).close();
      check(false, "an engine that was overwritten");
    } catch (BundleException e) {
      check(e.reason() == BundleException.Reason.FILE_CHANGED, "the same: " + e.getMessage());
    }
  }

  private interface Damage {
    void to(RandomAccessFile plan) throws IOException;
  }

  private Path copy(Damage damage) throws IOException {
    Path copy = Files.createTempDirectory("damaged");
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Path name = file.getFileName();
        if (name != null && Files.isRegularFile(file)) {
          Files.copy(file, copy.resolve(name));
          if (name.toString().endsWith(".plan")) {
            try (RandomAccessFile plan = new RandomAccessFile(copy.resolve(name).toFile(), "rw")) {
              damage.to(plan);
            }
          }
        }
      }
    }
    return copy;
  }

  /** The first quarter of the cycles warms up; then memory stays. */
  private void cycles(int count) throws Exception {
    SessionMemory.touchHeap();
    long firstResident = 0;
    long firstFree = 0;
    for (int cycle = 1; cycle <= count; cycle++) {
      SessionMemory.run(folder, SessionMemory.Way.STEPS);
      if (cycle == count / 4 || cycle == count) {
        System.gc();
        long resident = SessionMemory.anonymousBytes();
        long free = DeviceMemory.free();
        System.out.printf(
            "cycle %d: %.1f MB of memory that no file backs, %.1f MB of GPU memory free%n",
            cycle, resident / 1e6, free / 1e6);
        if (cycle == count) {
          check(resident - firstResident < HOST_GROWTH, "host memory stays, but for 8 MB");
          check(firstFree - free <= 2 << 20, "GPU memory stays, but for 2 MB");
        }
        firstResident = resident;
        firstFree = free;
      }
    }
  }

  /** What the GPU cannot reach fails the step, and whatever comes after, but not the process. */
  private void wildAddress() {
    Model model = Model.load(folder, options);
    Session session = model.newSession();
    Map<String, Tensor> inputs = new HashMap<>(SeededInputs.of(model.bundle(), Map.of(), 0));
    String name = inputs.keySet().iterator().next();
    Tensor there = Fixture.named(inputs, name);
    inputs.put(name, Tensor.onDevice(there.type(), WILD_ADDRESS, there.dims()));
    for (int repeat = 0; repeat < 2; repeat++) {
      expect(
          BackendException.Reason.RUN_FAILED,
          "an input at an address that is none",
          () -> session.run(0, 0, inputs));
    }
    model.close();
    check(true, "closing after that");
  }

  private void expect(BackendException.Reason reason, String what, Runnable call, String... words) {
    try {
      call.run();
      check(false, what + " goes through");
    } catch (BackendException e) {
      String message = String.valueOf(e.getMessage());
      check(
          e.reason() == reason && Arrays.stream(words).allMatch(message::contains),
          what + ": " + e.reason() + ", " + message);
    }
  }
}
