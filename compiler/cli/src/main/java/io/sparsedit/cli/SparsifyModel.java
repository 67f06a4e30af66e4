package io.sparsedit.cli;

import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The command with its subcommands. */
@Command(
    name = "sparsify-model",
    mixinStandardHelpOptions = true,
    versionProvider = VersionProvider.class,
    subcommands = {
      InspectCommand.class,
      CompileCommand.class,
      BuildCommand.class,
      VerifyCommand.class,
      QualityCommand.class,
      BenchCommand.class,
      HelpCommand.class
    },
    header = "Makes the attention of exported Diffusion Transformers sparse.",
    description = {
      "",
      "Reads an ONNX export of a video or image DiT, finds its attention, rewrites the"
          + " self-attention to training-free sparse attention, verifies the result and leaves a"
          + " bundle that runs in ONNX Runtime, and in TensorRT once an engine is built."
    },
    footer = {
      "",
      "Examples:",
      "  sparsify-model inspect wan.onnx                 what attention it has",
      "  sparsify-model compile wan.onnx -o wan.sparse   make it sparse, verify, bundle",
      "  sparsify-model verify wan.sparse wan.onnx       measure a bundle",
      "  sparsify-model build wan.sparse                 build its TensorRT engine",
      "  sparsify-model quality dit.onnx -o out/quality  whole denoising runs",
      "  sparsify-model bench wan.sparse                 time it against dense steps",
      "  sparsify-model help compile                     options of a command, examples",
      "",
      "A model that is the first argument is compiled:",
      "  sparsify-model wan.onnx -o wan.sparse",
      "",
      "Exit codes: 0 ok, 1 failure, 2 usage, 3 verification out of tolerance, 4 nothing to sparsify,"
          + " 5 no usable GPU, 130 or 143 stopped by Ctrl-C or SIGTERM (nothing half-written"
          + " stays)"
    })
final class SparsifyModel implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(), "a command is missing; there are " + commands(spec));
  }

  /** The names of the subcommands that do something. */
  static String commands(CommandSpec program) {
    return program.subcommands().keySet().stream()
        .filter(name -> !name.equals("help"))
        .collect(Collectors.joining(", "));
  }
}
