package io.sparsedit.cli;

import io.sparsedit.compiler.engine.BuildEngine;
import io.sparsedit.compiler.engine.BuildTools;
import io.sparsedit.compiler.engine.BuiltEngine;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
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
      "  sparsify-model build wan.sparse --min-shapes latents:1x16x21x90x160 \\",
      "      --opt-shapes latents:2x16x21x90x160 --max-shapes latents:2x16x21x90x160",
      "",
      "Exit codes: 0 ok, 1 failure, 2 usage, 5 no usable GPU, driver, TensorRT or plugin library"
          + " (nothing is changed)"
    })
final class BuildCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private CommonOptions common;
  @Mixin private EngineArguments engine;

  @Parameters(paramLabel = "BUNDLE", description = "The bundle's folder.")
  private Path bundle;

  @Override
  public Integer call() {
    BuiltEngine built;
    try (ConsoleProgress progress = common.progress(spec.commandLine().getErr())) {
      BuildTools tools = engine.tools();
      built =
          BuildEngine.run(
              bundle, tools, engine.toOptions(tools), VersionProvider.version(), progress);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (!common.quiet()) {
      EngineArguments.print(out, bundle, built);
    }
    out.flush();
    return 0;
  }
}
