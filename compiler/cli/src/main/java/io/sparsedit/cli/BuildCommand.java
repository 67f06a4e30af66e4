package io.sparsedit.cli;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.engine.BuildTools;
import io.sparsedit.compiler.engine.BuiltEngine;
import io.sparsedit.compiler.engine.EngineGraph;
import io.sparsedit.compiler.engine.TritonRepository;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code sparsify-model build}. */
@Command(
    name = "build",
    mixinStandardHelpOptions = true,
    header = "Builds a TensorRT engine of a bundle's model for this machine's GPU.",
    description = {
      "",
      "Needs the kind of GPU that the engine is to run on, TensorRT 10 (on LD_LIBRARY_PATH, or in the"
          + " folder that SPARSEDIT_TENSORRT names) and the plugin library. The engine and the plugin"
          + " library go into the bundle; an engine for the same GPU and TensorRT is replaced. See"
          + " docs/tensorrt.md."
    },
    footer = {
      "",
      "Examples:",
      "  sparsify-model build wan.sparse",
      "  sparsify-model build wan.sparse --dense",
      "  sparsify-model build wan.sparse --min-shapes latents:1x16x21x90x160 \\",
      "      --opt-shapes latents:2x16x21x90x160 --max-shapes latents:2x16x21x90x160",
      "  sparsify-model build wan.sparse --precision bf16",
      "  sparsify-model build wan.sparse --onnx wan.trt.onnx",
      "",
      "Exit codes: 0 ok, 1 failure, 2 usage, 3 the engine does not compute what the portable model"
          + " does (and is taken out again), 5 no usable GPU, driver, TensorRT or plugin library"
          + " (nothing is changed), 130 or 143 stopped by Ctrl-C or SIGTERM (nothing is changed if the"
          + " engine was not built yet)"
    })
final class BuildCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private CommonOptions common;
  @Mixin private EngineArguments engine;

  @Parameters(paramLabel = "BUNDLE", description = "The bundle's folder.")
  private Path bundle;

  @Option(
      names = "--dense",
      description =
          "Build an engine in which no site is sparse, beside the other: what bench compares it"
              + " with.")
  private boolean dense;

  @Option(
      names = "--onnx",
      paramLabel = "FILE",
      description =
          "Build nothing: write the ONNX model that TensorRT's parser would get, for trtexec"
              + " --dynamicPlugins and other programs. Needs no GPU. Weights are linked beside it.")
  private @Nullable Path onnx;

  @Option(
      names = "--triton",
      paramLabel = "DIR",
      description =
          "Also write the engine as a model of a Triton model repository, and print how the server"
              + " gets the plugins (docs/tensorrt.md).")
  private @Nullable Path triton;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    if (dense && triton != null) {
      throw SparsifyException.usage(
          "--triton serves the engine with sparse sites; leave --dense out");
    }
    if (onnx != null && triton != null) {
      throw SparsifyException.usage(
          "--onnx builds no engine that --triton could serve; leave one of the two out");
    }
    if (onnx != null) {
      writeOnnx(onnx, common.quiet() ? silent() : out);
      return 0;
    }
    if (triton != null) {
      // Not only after a build that takes minutes.
      if (Files.exists(triton) && !Files.isDirectory(triton)) {
        throw SparsifyException.usage("--triton " + triton + " is no folder; name one");
      }
      TritonRepository.check(bundle);
    }
    try (ConsoleProgress progress = common.progress(spec.commandLine().getErr())) {
      PrintWriter told = common.quiet() ? silent() : out;
      if (dense) {
        engine.buildDense(bundle, engine.tools(bundle), progress, told);
      } else {
        BuildTools tools = engine.tools(bundle);
        BuiltEngine built = engine.build(bundle, tools, progress, told);
        if (triton != null) {
          told.println("Triton model " + TritonRepository.write(triton, bundle, built.file()));
          TritonRepository.howToServe(triton, tools.plugins().file()).forEach(told::println);
        }
      }
    }
    out.flush();
    return 0;
  }

  private void writeOnnx(Path file, PrintWriter out) {
    EngineGraph.Export export;
    try (ConsoleProgress progress = common.progress(spec.commandLine().getErr())) {
      export =
          EngineGraph.write(
              bundle,
              dense,
              engine.precision(),
              engine.attention(),
              engine.range(),
              file,
              progress);
    }
    out.println("Wrote " + String.join(", ", export.files()));
    EngineArguments.printSome(out, EngineArguments.DENSE, export.dense());
    if (!export.shapes().isEmpty()) {
      out.println("Shapes for trtexec, which does not derive the state's:");
      export.trtexecOptions().forEach(option -> out.println("  " + option));
    }
    if (!export.open().isEmpty()) {
      out.println(
          "Of dynamic shape: "
              + String.join(", ", export.open())
              + ". With --min-shapes, --opt-shapes and --max-shapes for the model's inputs this"
              + " command prints trtexec's options, the state's shapes included; without shapes"
              + " trtexec takes 1 for every dynamic dimension.");
    }
    out.flush();
  }

  /** Prints to nowhere. */
  static PrintWriter silent() {
    return new PrintWriter(Writer.nullWriter());
  }
}
