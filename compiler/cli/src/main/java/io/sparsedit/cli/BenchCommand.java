package io.sparsedit.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.cli.bench.BenchJson;
import io.sparsedit.cli.bench.BenchReport;
import io.sparsedit.cli.bench.BenchSetup;
import io.sparsedit.cli.bench.BenchText;
import io.sparsedit.cli.bench.Benchmark;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.bundle.BundleFolder;
import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Model;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code sparsify-model bench}. */
@Command(
    name = "bench",
    mixinStandardHelpOptions = true,
    header = "Times a bundle's steps and the layers in them against dense steps.",
    description = {
      "",
      "Runs the bundle on its TensorRT engine, or without a GPU in ONNX Runtime, on seeded noise:"
          + " each action (PLAN_SPARSE, REUSE_SPARSE, PLAN_DENSE, DENSE, and plans from nothing) in"
          + " two passes, medians with the 10 %% and 90 %% quantiles. Three speed-ups are told"
          + " apart: of attention alone, of a sparse step, of a whole schedule with its dense"
          + " warm-up.",
      "",
      "Dense steps are those of the bundle's dense engine (build --dense), TensorRT's own fused"
          + " attention in the original graph, in the same process. Without one they are this"
          + " model's own with action DENSE, and the report says so.",
      "",
      "Schedules are computed of the steps' medians: the bundle's own, and each of"
          + " --dense-warmups with each of --replan-intervals. --whole also runs the bundle's own"
          + " from first step to last.",
      "",
      "Density is measured on the plans in the state, which a bundle keeps if its schedule re-uses"
          + " plans (compile --replan-interval 2). Weights of noise have flat attention: compile"
          + " with --density to bench such a model at a density of your choice."
    },
    footer = {
      "",
      "Examples:",
      "  sparsify-model bench wan.sparse",
      "  sparsify-model bench wan.sparse --replan-intervals 1,2,5 --dense-warmups .1,.3",
      "      what a schedule would gain, computed of the steps",
      "  sparsify-model bench wan.sparse --actions PLAN_SPARSE --repeat 30 --layers 20",
      "      one action, with its 20 longest layers",
      "  sparsify-model bench wan.sparse --whole --steps 50 --json > bench.json",
      "",
      "Exit codes: 0 ok, 1 failure, 2 usage, 5 no usable GPU (with --target tensorrt)"
    })
final class BenchCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private CommonOptions common;

  @Parameters(paramLabel = "BUNDLE", description = "The bundle's folder.")
  private Path bundle;

  @Option(
      names = "--against",
      paramLabel = "BUNDLE",
      description =
          "Compare with the dense engine (build --dense) of another bundle of the same model, such"
              + " as one compiled with --no-fuse-qk-norm-rope. Default: its own.")
  private @Nullable Path against;

  @Option(
      names = "--actions",
      paramLabel = "ACTION",
      split = ",",
      description =
          "Actions to time: DENSE, PLAN_DENSE, PLAN_SPARSE, REUSE_SPARSE, PLAN_DENSE_COLD,"
              + " PLAN_SPARSE_COLD. Default: all; DENSE and those of the schedules are timed in any"
              + " case.")
  private List<Action> actions = new ArrayList<>();

  @Option(
      names = "--repeat",
      paramLabel = "N",
      defaultValue = "10",
      description = "Timed steps of each action, in two passes. Default: ${DEFAULT-VALUE}.")
  private int repeat;

  @Option(
      names = "--warm-up",
      paramLabel = "N",
      defaultValue = "2",
      description = "Steps before them in each pass, not timed. Default: ${DEFAULT-VALUE}.")
  private int warmUp;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "Steps of the schedules. Default: as many as the bundle was compiled for.")
  private @Nullable Integer steps;

  @Option(
      names = "--dense-warmups",
      paramLabel = "F",
      split = ",",
      description = "Fractions of the steps that run dense first. Default: the bundle's own.")
  private List<Double> denseWarmups = new ArrayList<>();

  @Option(
      names = "--replan-intervals",
      paramLabel = "N",
      split = ",",
      description = "How many sparse steps share a plan. Default: the bundle's own.")
  private List<Integer> replanIntervals = new ArrayList<>();

  @Option(names = "--whole", description = "Also run the bundle's schedule, and a dense one.")
  private boolean whole;

  @Option(
      names = "--layers",
      paramLabel = "N",
      defaultValue = "0",
      description = "How many layers of each action are listed. Default: ${DEFAULT-VALUE}.")
  private int layers;

  @Option(
      names = "--no-layers",
      description = "Do not time layers, which are timed in engines alone.")
  private boolean noLayers;

  @Option(
      names = "--target",
      paramLabel = "WHAT",
      defaultValue = "auto",
      description =
          "auto, tensorrt or onnx_runtime. Default: ${DEFAULT-VALUE}, the engine where there is one"
              + " and a GPU.")
  private Model.Target target;

  @Option(names = "--cuda-graphs", description = "Run TensorRT's steps as CUDA graphs.")
  private boolean cudaGraphs;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads of ONNX Runtime. Default: all cores.")
  private @Nullable Integer threads;

  @Option(
      names = "--dim",
      paramLabel = "NAME=SIZE",
      description = "Size of a symbolic dimension of the inputs; repeat for more.")
  private Map<String, Long> sizes = new TreeMap<>();

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of the inputs' noise. Default: ${DEFAULT-VALUE}.")
  private long seed;

  @Option(names = "--json", description = "Print JSON: every time and every layer.")
  private boolean json;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE",
      description = "Write that JSON to a file, too.")
  private @Nullable Path output;

  @Override
  public Integer call() throws JsonProcessingException {
    if (output != null) {
      BundleFolder.requireOutside(bundle, output);
      AtomicFile.requireWritable(output);
    }
    BenchReport report;
    try (ConsoleProgress progress = common.progress(spec.commandLine().getErr())) {
      report = new Benchmark(setup(), progress).run();
    }
    PrintWriter out = spec.commandLine().getOut();
    String text =
        new ObjectMapper()
            .writerWithDefaultPrettyPrinter()
            .writeValueAsString(BenchJson.of(report));
    if (output != null) {
      byte[] bytes = (text + "\n").getBytes(StandardCharsets.UTF_8);
      AtomicFile.write(output, file -> file.write(bytes));
    }
    if (json) {
      out.println(text);
    } else if (!common.quiet()) {
      print(out, new BenchText(report, layers));
    }
    out.flush();
    return 0;
  }

  private static void print(PrintWriter out, BenchText text) {
    out.println(text.title());
    for (BenchText.Part part : text.parts()) {
      out.println();
      out.println(part.title());
      ConsoleTables.table(out, part.rows());
    }
    if (!text.notes().isEmpty()) {
      out.println();
      text.notes().forEach(note -> out.println("Note: " + note + "."));
    }
  }

  private BenchSetup setup() {
    atLeast("--repeat", repeat, 2);
    atLeast("--warm-up", warmUp, 0);
    atLeast("--layers", layers, 0);
    Model.Options options = Model.Options.defaults().withTarget(target).withCudaGraphs(cudaGraphs);
    if (threads != null) {
      Threads.require(threads);
      options = options.withThreads(threads);
    }
    if (steps != null) {
      atLeast("--steps", steps, 1);
    }
    for (double fraction : denseWarmups) {
      if (!(fraction >= 0 && fraction <= 1)) {
        throw SparsifyException.usage("--dense-warmups must be from 0 to 1, not " + fraction);
      }
    }
    for (int interval : replanIntervals) {
      atLeast("--replan-intervals", interval, 1);
    }
    Set<Action> chosen = actions.isEmpty() ? EnumSet.noneOf(Action.class) : EnumSet.copyOf(actions);
    return new BenchSetup(
        bundle,
        against == null ? bundle : against,
        options,
        chosen,
        warmUp,
        repeat,
        steps == null ? OptionalInt.empty() : OptionalInt.of(steps),
        denseWarmups,
        replanIntervals,
        whole,
        !noLayers,
        sizes,
        seed);
  }

  private static void atLeast(String option, int value, int least) {
    if (value < least) {
      throw SparsifyException.usage(option + " must be at least " + least + ", not " + value);
    }
  }
}
