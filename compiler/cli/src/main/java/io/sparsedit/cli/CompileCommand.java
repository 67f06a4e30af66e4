package io.sparsedit.cli;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.engine.BuildTools;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.passes.CompileOptions;
import io.sparsedit.passes.CompileResult;
import io.sparsedit.passes.Pipeline;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.Spec;

/** {@code sparsify-model compile}. */
@Command(
    name = "compile",
    mixinStandardHelpOptions = true,
    header = "Makes a model's self-attention sparse, verifies that, and writes a bundle.",
    description = {
      "",
      "The bundle holds the portable model (runs in ONNX Runtime anywhere), the weights,"
          + " bundle.json and a report to look at. An earlier bundle in the output folder is"
          + " replaced; anything else there is an error."
    },
    footer = {
      "",
      "Examples:",
      "  sparsify-model compile wan.onnx -o wan.sparse",
      "  sparsify-model compile wan.onnx -o wan.sparse --top-p 0.8 --clusters 300,1000",
      "      keep less, with the clusters that the paper has for 720p",
      "  sparsify-model compile wan.onnx -o out --inputs captured/ --max-error 0.05",
      "      verify on inputs of your own; fail if an output differs by over 5 %%",
      "  sparsify-model inspect wan.onnx --plan plan.json",
      "  sparsify-model compile wan.onnx -o wan.sparse --plan plan.json",
      "      decide site by site: the first writes what you edit before the second",
      "",
      "Exit codes: 0 ok, 1 failure (a bad model or rule file, a disk that is full), 2 usage (an"
          + " option or a plan that makes no sense), 3 verification out of tolerance, 4 nothing to"
          + " sparsify. Unless it is 0 no bundle is written. With --target tensorrt also 5, no usable"
          + " GPU; a bundle whose engine cannot be built stays, without one."
    })
final class CompileCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private CommonOptions common;
  @Mixin private MethodOptions method;
  @Mixin private VerifyOptions verify;

  @Parameters(paramLabel = "MODEL.onnx", description = "The exported model.")
  private Path model;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "DIR",
      required = true,
      description = "Folder for the bundle.")
  private Path output;

  @Option(
      names = "--weights",
      paramLabel = "HOW",
      defaultValue = "link",
      description = {
        "How external weights get into the bundle. Default: ${DEFAULT-VALUE}.",
        "link: hard links, which take no space; copies across file systems.",
        "copy: copies. Python's onnx package refuses to load hard-linked weights, the original's"
            + " too once they are linked: choose copy if you use it on either."
      })
  private WeightFiles.Mode weights = WeightFiles.Mode.LINK;

  @Option(
      names = "--plan",
      paramLabel = "FILE",
      description =
          "Do with each site what the plan says; 'inspect --plan' writes one. Sites that it does not"
              + " name are decided as without it.")
  private @Nullable Path plan;

  @Option(
      names = "--target",
      paramLabel = "TARGET",
      defaultValue = "portable",
      description = {
        "portable: the model for ONNX Runtime (default).",
        "tensorrt: also build an engine for this machine's GPU, as sparsify-model build does."
      })
  private Target target = Target.PORTABLE;

  @ArgGroup(exclusive = false, heading = "%nWith --target tensorrt:%n")
  private EngineArguments engine = new EngineArguments();

  /** What a bundle is made for. */
  private enum Target {
    PORTABLE,
    TENSORRT
  }

  @Override
  public Integer call() {
    requireEngineOptionsFit();
    // What an engine needs is looked for first: compiling takes long.
    Optional<BuildTools> tools =
        target == Target.TENSORRT ? Optional.of(engine.tools()) : Optional.empty();
    CompileOptions options =
        plan == null ? method.toOptions(common) : method.toOptions(common, plan, spec);
    CompileResult result;
    try (ConsoleProgress progress = common.progress(spec.commandLine().getErr())) {
      result =
          Pipeline.compile(
              model,
              output,
              options,
              verify.toRequest(),
              weights,
              VersionProvider.version(),
              progress);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (!common.quiet()) {
      ConsoleTables.inspection(out, result.inspection());
      result.verification().ifPresent(report -> ConsoleTables.verification(out, report));
      ConsoleTables.notes(out, result.notes());
    }
    if (!result.failures().isEmpty()) {
      throw new SparsifyException(
          SparsifyException.Kind.OUT_OF_TOLERANCE,
          "verification failed, no bundle written: " + String.join("; ", result.failures()));
    }
    if (!common.quiet()) {
      out.println();
      out.println("Bundle " + output + ": " + String.join(", ", result.files()));
      if (result.linkedWeights()) {
        out.println(
            "The weights are hard links to the original's. Python's onnx package refuses such"
                + " files; if you use it, compile with --weights copy.");
      }
    }
    out.flush();
    tools.ifPresent(this::build);
    return 0;
  }

  /** What says how an engine is built says nothing where none is. */
  private void requireEngineOptionsFit() {
    if (target == Target.TENSORRT) {
      return;
    }
    ParseResult parsed = spec.commandLine().getParseResult();
    for (OptionSpec option : CommandSpec.forAnnotatedObject(new EngineArguments()).options()) {
      if (parsed.hasMatchedOption(option.longestName())) {
        throw SparsifyException.usage(
            option.longestName()
                + " is for engines: add --target tensorrt, or give it to sparsify-model build");
      }
    }
  }

  private void build(BuildTools tools) {
    PrintWriter out = spec.commandLine().getOut();
    try (ConsoleProgress progress = common.progress(spec.commandLine().getErr())) {
      engine.build(output, tools, progress, common.quiet() ? BuildCommand.silent() : out);
    }
    out.flush();
  }
}
