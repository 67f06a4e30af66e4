package io.sparsedit.examples;

import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.ElementType;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.tensorrt.CudaStream;
import io.sparsedit.tensorrt.DeviceMemory;
import io.sparsedit.tensorrt.Engine;
import io.sparsedit.tensorrt.ExecutionContext;
import io.sparsedit.tensorrt.Gpu;
import io.sparsedit.tensorrt.IoTensor;
import io.sparsedit.tensorrt.PluginLibrary;
import io.sparsedit.tensorrt.TensorRt;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

/**
 * Times the layers of a bundle's engine, of fixed shapes, on seeded noise: for each action the
 * whole step and its longest layers, and the GPU memory that engine, context, state and inputs
 * take.
 */
public final class ProfileEngine implements Program {
  private static final String USAGE =
      """
      usage: ProfileEngine BUNDLE [options]
        --layers N      how many layers are listed (default 25)
        --runs N        runs of each action; the last is listed (default 5)
        --matching TEXT list only layers with this in their name; repeat for more""";

  private static final String STATE = "state.";
  private static final String NEXT = "next.";

  private final Path folder;
  private final List<String> matching = new ArrayList<>();
  private int layers = 25;
  private int runs = 5;

  private ProfileEngine(Arguments arguments) {
    this.folder = Path.of(arguments.next("BUNDLE"));
    while (!arguments.isEmpty()) {
      String option = arguments.next("an option");
      switch (option) {
        case "--layers" -> layers = arguments.nextCount(option);
        case "--runs" -> runs = arguments.nextCount(option);
        case "--matching" -> matching.add(arguments.next(option));
        default -> throw new IllegalArgumentException("unknown option " + option);
      }
    }
  }

  /** Runs the program; see {@code docs/tensorrt.md}. */
  public static void main(String... arguments) {
    System.exit(run(List.of(arguments), System.out, System.err));
  }

  /** Runs the program and returns its exit code: 0, 1 for a failure, 2 for wrong usage. */
  static int run(List<String> arguments, PrintStream out, PrintStream err) {
    return Program.run(arguments, USAGE, ProfileEngine::new, out, err);
  }

  @Override
  public boolean run(PrintStream out) throws IOException {
    PluginLibrary plugins = PluginLibrary.load(find("plugins-", ".so"));
    Gpu gpu = plugins.requireGpu();
    TensorRt tensorRt = plugins.openTensorRt();
    out.println("TensorRT " + tensorRt.version() + " on " + gpu);
    long before = DeviceMemory.free();
    try (Engine engine = tensorRt.load(find("engine-", ".plan"))) {
      long loaded = DeviceMemory.free();
      try (ExecutionContext context = engine.newContext();
          CudaStream stream = CudaStream.create()) {
        long ready = DeviceMemory.free();
        Map<String, DeviceMemory> memory = new LinkedHashMap<>();
        try {
          long state = allocate(engine, memory, stream);
          out.printf(
              "memory: engine %.1f MB, context %.1f MB, state %.1f MB a set, all in and out %.1f"
                  + " MB%n",
              (before - loaded) / 1e6,
              (loaded - ready) / 1e6,
              state / 1e6,
              memory.values().stream().mapToLong(DeviceMemory::bytes).sum() / 1e6);
          profile(context, engine, memory, stream, out);
        } finally {
          memory.values().forEach(DeviceMemory::close);
        }
      }
    }
    return true;
  }

  private Path find(String prefix, String suffix) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .filter(file -> file.getFileName().toString().startsWith(prefix))
          .filter(file -> file.getFileName().toString().endsWith(suffix))
          .findFirst()
          .orElseThrow(
              () ->
                  new IOException(
                      folder + " has no engine; build one: sparsify-model build " + folder));
    }
  }

  /** Memory for all inputs and outputs, inputs filled; the bytes of one set of state. */
  private static long allocate(Engine engine, Map<String, DeviceMemory> memory, CudaStream stream) {
    Random random = new Random(0);
    long state = 0;
    for (IoTensor tensor : engine.tensors()) {
      long[] dims = tensor.dims().stream().mapToLong(Long::longValue).toArray();
      ElementType type =
          ElementType.ofShortName(tensor.type())
              .orElseThrow(() -> new IllegalStateException(tensor.toString()));
      long bytes = Arrays.stream(dims).reduce(type.bytes(), Math::multiplyExact);
      DeviceMemory place = DeviceMemory.allocate(bytes);
      memory.put(tensor.name(), place);
      if (tensor.name().startsWith(STATE) || !tensor.input()) {
        place.clear(stream);
        state += tensor.name().startsWith(STATE) ? bytes : 0;
      } else {
        Tensor content = Tensor.allocate(type, dims);
        for (int i = 0; i < content.elementCount(); i++) {
          content.set(i, type.isFloating() ? random.nextGaussian() : 1);
        }
        place.copyFrom(content.bytes(), bytes, stream);
        stream.synchronize();
      }
    }
    stream.synchronize();
    return state;
  }

  private void profile(
      ExecutionContext context,
      Engine engine,
      Map<String, DeviceMemory> memory,
      CudaStream stream,
      PrintStream out) {
    boolean swapped = false;
    List<Action> actions =
        List.of(Action.PLAN_SPARSE_COLD, Action.PLAN_SPARSE, Action.REUSE_SPARSE, Action.DENSE);
    for (boolean timed : new boolean[] {false, true}) {
      if (timed) {
        context.timeLayers();
      }
      for (Action action : actions) {
        List<Double> times = new ArrayList<>();
        List<String> last = List.of();
        for (int run = 0; run < runs; run++) {
          bind(context, engine, memory, swapped);
          swapped = !swapped;
          setAction(memory, action, stream);
          long start = System.nanoTime();
          context.enqueue(stream);
          stream.synchronize();
          times.add((System.nanoTime() - start) / 1e6);
          last = context.takeLayerTimes();
        }
        if (timed) {
          list(action, last, out);
        } else {
          times.sort(Comparator.naturalOrder());
          out.printf("%-16s %9.3f ms, median of %d%n", action, times.get(times.size() / 2), runs);
        }
      }
    }
  }

  /** State goes from one set to the other and back. */
  private static void bind(
      ExecutionContext context, Engine engine, Map<String, DeviceMemory> memory, boolean swapped) {
    for (IoTensor tensor : engine.tensors()) {
      String name = tensor.name();
      String from = name;
      if (swapped && name.startsWith(STATE)) {
        from = NEXT + name.substring(STATE.length());
      } else if (swapped && name.startsWith(NEXT)) {
        from = STATE + name.substring(NEXT.length());
      }
      DeviceMemory place = memory.get(from);
      if (place != null) {
        context.setMemory(name, place);
      }
    }
  }

  private static void setAction(
      Map<String, DeviceMemory> memory, Action action, CudaStream stream) {
    DeviceMemory place = memory.get("action");
    if (place == null) {
      return;
    }
    int sites = (int) (place.bytes() / ElementType.I32.bytes());
    int[] codes = new int[sites];
    Arrays.fill(codes, action.code());
    Tensor tensor = Tensor.ofInts(new long[] {sites}, codes);
    place.copyFrom(tensor.bytes(), place.bytes(), stream);
    stream.synchronize();
  }

  /** A layer's time. */
  private record Layer(double milliseconds, String name) {}

  private void list(Action action, List<String> lines, PrintStream out) {
    List<Layer> all =
        lines.stream()
            .map(line -> line.split("\t", 2))
            .map(parts -> new Layer(Double.parseDouble(parts[0]), parts[1]))
            .toList();
    out.printf(
        "%n%s: %d layers, %.3f ms together%n",
        action, all.size(), all.stream().mapToDouble(Layer::milliseconds).sum());
    all.stream()
        .filter(
            layer ->
                matching.isEmpty()
                    || matching.stream().anyMatch(text -> layer.name().contains(text)))
        .sorted(Comparator.comparingDouble(Layer::milliseconds).reversed())
        .limit(layers)
        .forEach(layer -> out.printf("%10.4f  %s%n", layer.milliseconds(), layer.name()));
  }
}
