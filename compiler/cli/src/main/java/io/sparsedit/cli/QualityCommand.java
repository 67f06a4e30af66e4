package io.sparsedit.cli;

import io.sparsedit.cli.quality.Candidate;
import io.sparsedit.cli.quality.QualitySweep;
import io.sparsedit.cli.quality.Setup;
import io.sparsedit.cli.quality.SweepLine;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.engine.BuildTools;
import io.sparsedit.runtime.sampling.Condition;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code sparsify-model quality}. */
@Command(
    name = "quality",
    mixinStandardHelpOptions = true,
    header = "Measures methods and settings on whole denoising runs.",
    description = {
      "",
      "Compiles the model by every setting of a sweep, samples each from the same noise as the"
          + " dense model, and says how near it comes: PSNR, SSIM, relative L1 error, and the"
          + " density and recall of its plans. Beside them: what half precision alone does, and,"
          + " with --method oracle and random, plans of the truly most massive and of random"
          + " blocks.",
      "",
      "It can sample flow-matching models by Euler steps without guidance: one input is denoised"
          + " (the first of the first output's shape, or --latents), that output is the velocity,"
          + " one input takes the noise level (any with 'timestep' in its name, or --timestep)."
          + " Inputs that take conditions get the numbers of --condition, further ones come from"
          + " --inputs; the rest is noise, or 1 where the input is an integer or a mask. Three"
          + " channels are taken for pixels from -1 to 1, anything else for latents, whose own"
          + " range is the peak of PSNR.",
      "",
      "A sweep is lines of NAME: OPTIONS. Options are those of compile (--method and what belongs"
          + " to it, and of the schedule), {a|b} stands for a choice, all combinations are"
          + " measured. A sweep that was stopped goes on where it was; more lines or seeds add to"
          + " it."
    },
    footer = {
      "",
      "Examples:",
      "  sparsify-model quality dit.onnx -o out --condition scene.txt --seeds 0,1",
      "  sparsify-model quality dit.onnx -o out --try 'SVG2: --top-p {.8|.9|.95}'",
      "  sparsify-model quality dit.onnx -o out --show --add out/seed0 --add out/seed1",
      "",
      "Exit codes: 0 ok, 1 failure, 2 usage, 4 nothing to sparsify, 5 --engine where none can be"
          + " built"
    })
final class QualityCommand implements Callable<Integer> {
  private static final String DEFAULT_SWEEP = "quality/default.sweep";

  /** A line with one of these decides on its own which steps are dense. */
  private static final Set<String> SCHEDULES = Set.of("--dense-warmup", "--search-steps");

  @Spec private CommandSpec spec;
  @Mixin private CommonOptions common;

  @Parameters(paramLabel = "MODEL.onnx", description = "The exported model.")
  private Path model;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "DIR",
      required = true,
      description =
          "Folder for quality.json, quality.svg (four plots), psnr.svg (one), quality.html.")
  private Path output;

  @Option(
      names = "--sweep",
      paramLabel = "FILE",
      description = "Lines of NAME: OPTIONS. Default: a sweep over all methods.")
  private @Nullable Path sweep;

  @Option(
      names = "--try",
      paramLabel = "LINE",
      description = "One such line, instead of a file; repeat for more.")
  private List<String> lines = new ArrayList<>();

  @Option(
      names = "--steps",
      paramLabel = "N",
      defaultValue = "20",
      description = "Denoising steps. Default: ${DEFAULT-VALUE}.")
  private int steps;

  @Option(
      names = "--dense-warmup",
      paramLabel = "F",
      defaultValue = "0.3",
      description = "Fraction of the steps that runs dense first. Default: ${DEFAULT-VALUE}.")
  private double denseWarmup;

  @Option(
      names = "--shift",
      paramLabel = "S",
      defaultValue = "3",
      description =
          "Shift of the noise levels s/(1+(S-1)s); 1 spaces them equally. Default:"
              + " ${DEFAULT-VALUE}.")
  private double shift;

  @Option(
      names = "--seeds",
      paramLabel = "N",
      split = ",",
      defaultValue = "0",
      description = "Seeds of the noise. Default: ${DEFAULT-VALUE}.")
  private List<Long> seeds;

  @Option(
      names = "--condition",
      paramLabel = "FILE",
      description =
          "Numbers for the condition input, with # comments; repeat for more. Every seed samples"
              + " every condition. Default: noise.")
  private List<Path> conditions = new ArrayList<>();

  @Option(
      names = "--condition-input",
      paramLabel = "NAME",
      defaultValue = Condition.INPUT,
      description = "The input that takes conditions. Default: ${DEFAULT-VALUE}.")
  private String conditionInput;

  @Option(names = "--latents", paramLabel = "NAME", description = "The input that is denoised.")
  private @Nullable String latents;

  @Option(names = "--timestep", paramLabel = "NAME", description = "The input for noise levels.")
  private @Nullable String timestep;

  @Option(names = "--velocity", paramLabel = "NAME", description = "The output to move by.")
  private @Nullable String velocity;

  @Option(
      names = "--timestep-scale",
      paramLabel = "F",
      defaultValue = "1000",
      description = "The timestep at noise level 1. Default: ${DEFAULT-VALUE}.")
  private double timestepScale;

  @Option(
      names = "--inputs",
      paramLabel = "DIR",
      description = "Further inputs: NAME.pb (ONNX TensorProto).")
  private @Nullable Path inputs;

  @Option(
      names = "--dim",
      paramLabel = "NAME=SIZE",
      description = "Size of a symbolic dimension of the inputs; repeat for more.")
  private Map<String, Long> sizes = new TreeMap<>();

  @Option(names = "--threads", paramLabel = "N", description = "Threads. Default: all cores.")
  private @Nullable Integer threads;

  @Option(
      names = "--engine",
      description =
          "Run each setting, and the dense run, on a TensorRT engine that is built for it as"
              + " 'build' builds one. Density and recall are not measured then, nor what half"
              + " precision does.")
  private boolean engine;

  @Option(
      names = "--no-floor",
      description = "Leave out the run with activations rounded to half precision.")
  private boolean noFloor;

  @Option(
      names = "--add",
      paramLabel = "DIR",
      description =
          "Take over what another sweep of this model with these options measured into DIR, such as"
              + " other samples or lines on another machine; repeat for more.")
  private List<Path> added = new ArrayList<>();

  @Option(
      names = "--show",
      description =
          "Measure nothing: tables and plots of what is in the folder and added, of the lines given"
              + " or of all.")
  private boolean show;

  @Option(names = "--fresh", description = "Forget what an earlier sweep left in the folder.")
  private boolean fresh;

  @Override
  public Integer call() {
    List<Candidate> candidates = candidates();
    QualitySweep.Scope scope = new QualitySweep.Scope(!noFloor && !engine, fresh, added);
    QualitySweep.Report report;
    try (ConsoleProgress progress = common.progress(spec.commandLine().getErr())) {
      QualitySweep measurements =
          new QualitySweep(
              setup(),
              candidates.get(0).options(),
              engine && !show ? Optional.of(engineBuilder()) : Optional.empty(),
              VersionProvider.version(),
              output,
              progress);
      report =
          show
              ? measurements.show(sweep == null && lines.isEmpty() ? List.of() : candidates, scope)
              : measurements.run(candidates, scope);
    }
    if (!common.quiet()) {
      PrintWriter out = spec.commandLine().getOut();
      ConsoleTables.table(out, report.rows());
      out.println();
      report.notes().forEach(out::println);
      out.println("quality.json, quality.svg, psnr.svg, quality.html are in " + output);
      out.flush();
    }
    return 0;
  }

  /** Makes engines with the options that {@code build} has by default, but for its comparison. */
  private static Consumer<Path> engineBuilder() {
    EngineArguments arguments = new EngineArguments();
    new CommandLine(CommandSpec.forAnnotatedObject(arguments))
        .setCaseInsensitiveEnumValuesAllowed(true)
        .parseArgs("--check", "none");
    BuildTools tools = arguments.tools();
    return bundle -> arguments.build(bundle, tools, Progress.SILENT, BuildCommand.silent());
  }

  private Setup setup() {
    if (!(shift > 0)) {
      throw SparsifyException.usage("--shift must be above 0, not " + shift);
    }
    if (threads != null) {
      Threads.require(threads);
    }
    if (inputs != null && !Files.isDirectory(inputs)) {
      throw SparsifyException.failure(
          "cannot read the inputs in " + inputs + ": it must be a folder of NAME.pb files");
    }
    return new Setup(
        model,
        steps,
        denseWarmup,
        shift,
        new Setup.Names(
            Optional.ofNullable(latents),
            Optional.ofNullable(timestep),
            Optional.ofNullable(velocity),
            conditionInput,
            timestepScale),
        Optional.ofNullable(inputs),
        sizes,
        threads == null ? OptionalInt.empty() : OptionalInt.of(threads),
        engine,
        samples());
  }

  private List<Setup.Sample> samples() {
    List<Setup.Sample> samples = new ArrayList<>();
    for (long seed : seeds) {
      if (conditions.isEmpty()) {
        samples.add(new Setup.Sample(seed, Optional.empty()));
      }
      for (Path file : conditions) {
        try {
          samples.add(new Setup.Sample(seed, Optional.of(Condition.read(file))));
        } catch (FileNotFoundException | IllegalArgumentException e) {
          throw new SparsifyException(
              SparsifyException.Kind.USAGE, String.valueOf(e.getMessage()), e);
        } catch (IOException e) {
          throw new SparsifyException(
              SparsifyException.Kind.FAILURE,
              "cannot read the condition " + file + ": " + AtomicFile.reason(e),
              e);
        }
      }
    }
    return samples;
  }

  private List<Candidate> candidates() {
    List<SweepLine> all = lines.stream().map(SweepLine::parse).toList();
    if (sweep != null) {
      List<SweepLine> both = new ArrayList<>(SweepLine.parseAll(sweep.toString(), read(sweep)));
      both.addAll(all);
      all = both;
    } else if (all.isEmpty()) {
      all = SweepLine.parseAll(DEFAULT_SWEEP, defaultSweep());
    }
    List<Candidate> candidates = new ArrayList<>();
    for (SweepLine line : all) {
      for (List<String> arguments : line.settings()) {
        candidates.add(candidate(line.name(), arguments));
      }
    }
    if (candidates.isEmpty()) {
      throw SparsifyException.usage("the sweep has no line");
    }
    return candidates;
  }

  /** The options of a line behind the sweep's own, which hold where the line has none. */
  private Candidate candidate(String series, List<String> arguments) {
    List<String> all = new ArrayList<>(List.of("--steps", Integer.toString(steps)));
    if (arguments.stream().noneMatch(SCHEDULES::contains)) {
      all.addAll(List.of("--dense-warmup", Double.toString(denseWarmup)));
    }
    all.addAll(arguments);
    MethodOptions method = new MethodOptions();
    try {
      new CommandLine(CommandSpec.forAnnotatedObject(method))
          .setCaseInsensitiveEnumValuesAllowed(true)
          .parseArgs(all.toArray(String[]::new));
      return new Candidate(series, arguments, method.toOptions(common));
    } catch (CommandLine.ParameterException e) {
      throw misspelt(SparsifyException.Kind.USAGE, series, e);
    } catch (SparsifyException e) {
      throw misspelt(e.kind(), series, e);
    }
  }

  private static SparsifyException misspelt(
      SparsifyException.Kind kind, String series, RuntimeException e) {
    return new SparsifyException(kind, "in the sweep's line " + series + ": " + e.getMessage(), e);
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          "cannot read the sweep " + file + ": " + AtomicFile.reason(e),
          e);
    }
  }

  private static String defaultSweep() {
    try (InputStream in = QualityCommand.class.getResourceAsStream(DEFAULT_SWEEP)) {
      if (in == null) {
        throw new IllegalStateException("no resource " + DEFAULT_SWEEP);
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
