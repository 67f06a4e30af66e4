package io.sparsedit.examples;

import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import io.sparsedit.runtime.Session;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.compare.BackendComparison;
import io.sparsedit.runtime.compare.ComparedStep;
import io.sparsedit.runtime.compare.TensorError;
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
import java.util.OptionalDouble;

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
        --reference DIR   run the portable model of this bundle beside the engine: the same graph
                          in another float type, as where ONNX Runtime has no bf16
        --seed N          seed of the inputs (default 0)
        --dim NAME=SIZE   size of a symbolic dimension of the inputs; repeat for more""";

  private static final double COSINE = 0.9999;

  private final Path folder;
  private Path reference;
  private final Map<String, Long> sizes = new HashMap<>();
  private boolean graphs;
  private boolean onlyEngine;
  private OptionalDouble tolerance = OptionalDouble.empty();
  private int rounds = 1;
  private int cycles;
  private long seed;

  private CompareBackends(Arguments arguments) {
    this.folder = Path.of(arguments.next("BUNDLE"));
    this.reference = folder;
    while (!arguments.isEmpty()) {
      String option = arguments.next("an option");
      switch (option) {
        case "--graphs" -> graphs = true;
        case "--rounds" -> rounds = arguments.nextCount(option);
        case "--tolerance" -> tolerance = OptionalDouble.of(arguments.nextNumber(option, 0, 1e9));
        case "--cycles" -> cycles = arguments.nextCount(option);
        case "--only-engine" -> onlyEngine = true;
        case "--reference" -> reference = Path.of(arguments.next(option));
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
        try (Model portable =
            Model.load(reference, options.withTarget(Model.Target.ONNX_RUNTIME))) {
          out.println(
              "beside "
                  + portable.backend()
                  + (reference.equals(folder) ? "" : " of " + reference));
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

  private boolean compare(Model engine, Model portable, PrintStream out) {
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
    for (ComparedStep step :
        BackendComparison.run(
            engine, portable, sizes, seed, rounds, compared -> print(compared, out))) {
      TensorError output = step.output();
      // "Not at most" counts NaN as a failure.
      good &=
          half
              ? output.relativeL1() <= limit && output.cosine() >= COSINE
              : output.maximum() <= limit && step.worstState().maximum() <= limit;
    }
    out.println(good ? "all within " + limit : "ABOVE the tolerance of " + limit);
    return good;
  }

  private static void print(ComparedStep step, PrintStream out) {
    out.printf(
        "%5d %4d  %-16s %9.2f %11.1f  %10.2e %10.2e %9.6f  %11.2e%n",
        step.round(),
        step.step(),
        step.action(),
        step.foundMillis(),
        step.wantedMillis(),
        step.output().maximum(),
        step.output().relativeL1(),
        step.output().cosine(),
        step.worstState().maximum());
  }

  private boolean runAlone(Model model, PrintStream out) {
    List<Action> actions = BackendComparison.actions(model.bundle());
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
      List<Action> actions = BackendComparison.actions(model.bundle());
      try (Session session = model.newSession(Schedule.listed(actions))) {
        Map<String, Tensor> inputs = SeededInputs.of(model.bundle(), sizes, seed);
        for (int step = 0; step < actions.size(); step++) {
          session.run(step, 0, inputs);
        }
      }
    }
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
