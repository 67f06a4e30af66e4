package io.sparsedit.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.passes.Pipeline;
import io.sparsedit.passes.report.VerificationJson;
import io.sparsedit.passes.verify.VerificationReport;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code sparsify-model verify}. */
@Command(
    name = "verify",
    mixinStandardHelpOptions = true,
    header = "Measures a bundle against the model it was made from.",
    description = {
      "",
      "Runs both in ONNX Runtime on the CPU: first with everything kept, which must equal the dense"
          + " model, then with the bundle's settings. Reports errors per output and per site, density"
          + " and recall of attention mass."
    },
    footer = {
      "",
      "Examples:",
      "  sparsify-model verify wan.sparse wan.onnx",
      "      on seeded random inputs",
      "  sparsify-model verify wan.sparse wan.onnx --inputs captured/ --max-error 0.05",
      "      on inputs of your own; exit code 3 if an output differs by more than 5 %%",
      "  sparsify-model verify wan.sparse wan.onnx --verify sites",
      "      a model too large to run whole: each site alone",
      "",
      "Exit codes: 0 ok, 1 failure, 2 usage, 3 verification out of tolerance"
    })
final class VerifyCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private CommonOptions common;
  @Mixin private VerifyOptions verify;

  @Parameters(index = "0", paramLabel = "BUNDLE", description = "The bundle's folder.")
  private Path bundle;

  @Parameters(index = "1", paramLabel = "MODEL.onnx", description = "The model it was made from.")
  private Path original;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Override
  public Integer call() throws JsonProcessingException {
    VerificationReport report;
    try (ConsoleProgress progress = common.progress(spec.commandLine().getErr())) {
      report = Pipeline.verify(bundle, original, verify.toRequest(), progress);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(
          new ObjectMapper()
              .writerWithDefaultPrettyPrinter()
              .writeValueAsString(VerificationJson.of(report)));
    } else if (!common.quiet()) {
      ConsoleTables.verification(out, report);
    }
    out.flush();
    if (!report.failures().isEmpty()) {
      throw new SparsifyException(
          SparsifyException.Kind.OUT_OF_TOLERANCE,
          "verification failed: " + String.join("; ", report.failures()));
    }
    return 0;
  }
}
