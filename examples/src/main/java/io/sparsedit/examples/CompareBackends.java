package io.sparsedit.examples;

import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import io.sparsedit.runtime.Session;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.sampling.SeededInputs;
import io.sparsedit.tensorrt.DeviceMemory;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.Random;

/**
 * Runs a bundle's TensorRT engine beside its portable model in ONNX Runtime, step by step on the
 * same inputs, each with its own state, and compares outputs and state. The steps do everything
 * that a site can do: plan from nothing, plan on, re-use a plan (where the bundle keeps it), dense
 * with and without planning. Without a usable GPU it says so and runs the portable model alone.
 *
 * <p>An error is the largest absolute difference over the larger of 1 and the largest absolute
 * value of the reference.
 */
public final class CompareBackends implements Program {
  private static final String USAGE =
      """
      usage: CompareBackends BUNDLE [options]
        --graphs          record the engine's steps as CUDA graphs
        --rounds N        how often the ten steps are run (default 1); more tell about speed
        --tolerance E     the largest error allowed (default 1e-3, or a relative L1 error of 1e-2
                          in a model of 16-bit floats); exit code 1 above it
        --cycles N        then load, run and close the engine N times and print memory
        --only-engine     run the engine alone, and print times
        --seed N          seed of the inputs (default 0)
        --dim NAME=SIZE   size of a symbolic dimension of the inputs; repeat for more""";

  private static final double COSINE = 0.9999;

  private final Path folder;
  private final Map<String, Long> sizes = new HashMap<>();
  private boolean graphs;
  private boolean onlyEngine;
  private OptionalDouble tolerance = OptionalDouble.empty();
  private int rounds = 1;
  private int cycles;
  private long seed;

  private CompareBackends(Arguments arguments) {
    this.folder = Path.of(arguments.next("BUNDLE"));
    while (!arguments.isEmpty()) {
      String option = arguments.next("an option");
      switch (option) {
        case "--graphs" -> graphs = true;
        case "--rounds" -> rounds = arguments.nextCount(option);
        case "--tolerance" -> tolerance = OptionalDouble.of(arguments.nextNumber(option, 0, 1e9));
        case "--cycles" -> cycles = arguments.nextCount(option);
        case "--only-engine" -> onlyEngine = true;
        case "--seed" -> seed = arguments.nextLong(option);
        case "--dim" -> arguments.nextSize(option, sizes);
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
    return Program.run(arguments, USAGE, CompareBackends::new, out, err);
  }

  @Override
  public boolean run(PrintStream out) throws IOException {
    Model.Options options = Model.Options.defaults().withCudaGraphs(graphs);
    boolean good;
    boolean onGpu;
    try (Model engine = Model.load(folder, options)) {
      onGpu = engine.backend().startsWith("TensorRT");
      out.println(engine.bundle() + " on " + engine.backend() + (graphs ? ", CUDA graphs" : ""));
      if (onlyEngine || !onGpu) {
        good = runAlone(engine, out);
      } else {
        try (Model portable = Model.load(folder, options.withTarget(Model.Target.ONNX_RUNTIME))) {
          out.println("beside " + portable.backend());
          good = compare(engine, portable, out);
        }
      }
    }
    for (int cycle = 0; onGpu && cycle < cycles; cycle++) {
      runOnce(options);
      if (cycle % 10 == 9 || cycle == 0) {
        System.gc();
        out.printf(
            "cycle %3d: %,.1f MB resident, %,.1f MB of GPU memory free%n",
            cycle + 1, residentBytes() / 1e6, DeviceMemory.free() / 1e6);
      }
    }
    return good;
  }

  /** What all sites do at each of the steps, some of it re-use where the plan is kept. */
  private static List<Action> actions(Bundle bundle) {
    boolean reuse = bundle.sites().stream().allMatch(site -> bundle.keepsPlan(site.index()));
    Action held = reuse ? Action.REUSE_SPARSE : Action.PLAN_SPARSE;
    return List.of(
        Action.PLAN_SPARSE_COLD,
        Action.PLAN_SPARSE,
        Action.PLAN_SPARSE,
        held,
        Action.DENSE,
        Action.PLAN_DENSE,
        held,
        Action.PLAN_DENSE_COLD,
        Action.PLAN_SPARSE,
        Action.DENSE);
  }

  private boolean compare(Model engine, Model portable, PrintStream out) {
    List<Action> actions = actions(engine.bundle());
    boolean half =
        engine.bundle().inputs().values().stream()
            .anyMatch(type -> type.element().isFloating() && type.element().bytes() == 2);
    double limit = tolerance.orElse(half ? 1e-2 : 1e-3);
    boolean good = true;
    out.printf(
        "%5s %4s  %-16s %9s %11s  %10s %10s %9s  %11s%n",
        "round",
        "step",
        "action",
        "engine ms",
        "portable ms",
        "output err",
        "rel. L1",
        "cosine",
        "state err");
    try (Session left = engine.newSession(Schedule.listed(actions));
        Session right = portable.newSession(Schedule.listed(actions))) {
      for (int round = 0; round < rounds; round++) {
        Map<String, Tensor> inputs = SeededInputs.of(engine.bundle(), sizes, seed + round);
        for (int step = 0; step < actions.size(); step++) {
          disturb(inputs, step);
          long start = System.nanoTime();
          Map<String, Tensor> found = left.run(step, 0, inputs);
          long middle = System.nanoTime();
          Map<String, Tensor> wanted = right.run(step, 0, inputs);
          long end = System.nanoTime();
          double output = 0;
          Similarity similarity = Similarity.EQUAL;
          for (Map.Entry<String, Tensor> tensor : wanted.entrySet()) {
            Tensor other = named(found, tensor.getKey());
            output = Math.max(output, error(other, tensor.getValue()));
            similarity = similarity.worse(Similarity.of(other, tensor.getValue()));
          }
          double state = 0;
          for (Bundle.StateTensor tensor : engine.bundle().state()) {
            state = Math.max(state, error(left.copyState(0, tensor), right.copyState(0, tensor)));
          }
          // "Not at most" counts NaN as a failure.
          good &=
              half
                  ? similarity.relativeL1() <= limit && similarity.cosine() >= COSINE
                  : output <= limit && state <= limit;
          out.printf(
              "%5d %4d  %-16s %9.2f %11.1f  %10.2e %10.2e %9.6f  %11.2e%n",
              round,
              step,
              actions.get(step),
              (middle - start) / 1e6,
              (end - middle) / 1e6,
              output,
              similarity.relativeL1(),
              similarity.cosine(),
              state);
        }
      }
    }
    out.println(good ? "all within " + limit : "ABOVE the tolerance of " + limit);
    return good;
  }

  private boolean runAlone(Model model, PrintStream out) {
    List<Action> actions = actions(model.bundle());
    Map<Action, List<Double>> times = new LinkedHashMap<>();
    boolean good = true;
    try (Session session = model.newSession(Schedule.listed(actions))) {
      Map<String, Tensor> inputs = SeededInputs.of(model.bundle(), sizes, seed);
      Map<String, Tensor> outputs = session.newOutputs(inputs);
      for (int round = 0; round < rounds; round++) {
        for (int step = 0; step < actions.size(); step++) {
          long start = System.nanoTime();
          session.run(step, 0, inputs, outputs);
          double millis = (System.nanoTime() - start) / 1e6;
          times.computeIfAbsent(actions.get(step), any -> new ArrayList<>()).add(millis);
          good &= outputs.values().stream().allMatch(CompareBackends::isFinite);
        }
      }
    }
    out.printf("%-16s %6s %10s %10s%n", "action", "runs", "first ms", "median ms");
    times.forEach(
        (action, list) ->
            out.printf(
                "%-16s %6d %10.2f %10.2f%n", action, list.size(), list.get(0), median(list)));
    if (!good) {
      out.println("an output is not finite");
    }
    return good;
  }

  private void runOnce(Model.Options options) {
    try (Model model = Model.load(folder, options)) {
      List<Action> actions = actions(model.bundle());
      try (Session session = model.newSession(Schedule.listed(actions))) {
        Map<String, Tensor> inputs = SeededInputs.of(model.bundle(), sizes, seed);
        for (int step = 0; step < actions.size(); step++) {
          session.run(step, 0, inputs);
        }
      }
    }
  }

  /** Moves the inputs a little, as a sampler does from step to step. */
  private void disturb(Map<String, Tensor> inputs, int step) {
    Random random = new Random(seed + 1000 + step);
    for (Tensor tensor : inputs.values()) {
      if (tensor.type().isFloating()) {
        for (int i = 0; i < tensor.elementCount(); i++) {
          tensor.set(i, tensor.get(i) + 0.02 * random.nextGaussian());
        }
      }
    }
  }

  /** How alike two tensors are as a whole. */
  private record Similarity(double relativeL1, double cosine) {
    static final Similarity EQUAL = new Similarity(0, 1);

    static Similarity of(Tensor found, Tensor wanted) {
      double difference = 0;
      double magnitude = 0;
      double product = 0;
      double foundSquares = 0;
      double wantedSquares = 0;
      for (int i = 0; i < wanted.elementCount(); i++) {
        double a = found.get(i);
        double b = wanted.get(i);
        difference += Math.abs(a - b);
        magnitude += Math.abs(b);
        product += a * b;
        foundSquares += a * a;
        wantedSquares += b * b;
      }
      if (difference == 0) {
        return EQUAL;
      }
      return new Similarity(
          difference / magnitude, product / Math.sqrt(foundSquares * wantedSquares));
    }

    Similarity worse(Similarity other) {
      return new Similarity(Math.max(relativeL1, other.relativeL1), Math.min(cosine, other.cosine));
    }
  }

  private static Tensor named(Map<String, Tensor> tensors, String name) {
    return Objects.requireNonNull(tensors.get(name), name);
  }

  private static double error(Tensor found, Tensor wanted) {
    double largest = 1;
    double difference = 0;
    for (int i = 0; i < wanted.elementCount(); i++) {
      double value = wanted.get(i);
      largest = Math.max(largest, Math.abs(value));
      double distance = Math.abs(found.get(i) - value);
      if (!(distance <= difference)) {
        difference = distance;
      }
    }
    return difference / largest;
  }

  private static boolean isFinite(Tensor tensor) {
    for (int i = 0; i < tensor.elementCount(); i++) {
      if (!Double.isFinite(tensor.get(i))) {
        return false;
      }
    }
    return true;
  }

  private static double median(List<Double> values) {
    List<Double> sorted = values.stream().sorted().toList();
    return sorted.get(sorted.size() / 2);
  }

  private static long residentBytes() throws IOException {
    String[] pages = Files.readString(Path.of("/proc/self/statm")).split(" ");
    return Long.parseLong(pages[1]) * 4096;
  }
}
