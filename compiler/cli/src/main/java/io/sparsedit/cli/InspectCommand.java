package io.sparsedit.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.passes.Inspection;
import io.sparsedit.passes.Pipeline;
import io.sparsedit.passes.report.InspectionJson;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code sparsify-model inspect}. */
@Command(
    name = "inspect",
    mixinStandardHelpOptions = true,
    header = "Shows what attention a model has and what would become of it.",
    description = {
      "",
      "Lists every attention site in graph order with its kind, sizes and whether it would become"
          + " sparse, and every softmax that is not understood, with the reason. Changes nothing."
    },
    footer = {
      "",
      "Examples:",
      "  sparsify-model inspect wan.onnx",
      "  sparsify-model inspect --json wan.onnx | jq '.sites[] | select(.sparsify | not)'"
    })
final class InspectCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private CommonOptions common;
  @Mixin private MethodOptions method;

  @Parameters(paramLabel = "MODEL.onnx", description = "The exported model.")
  private Path model;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Override
  public Integer call() throws com.fasterxml.jackson.core.JsonProcessingException {
    Inspection inspection;
    try (ConsoleProgress progress = common.progress(spec.commandLine().getErr())) {
      inspection = Pipeline.inspect(model, method.toOptions(common), progress);
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(
          new ObjectMapper()
              .writerWithDefaultPrettyPrinter()
              .writeValueAsString(InspectionJson.of(inspection)));
    } else if (!common.quiet()) {
      ConsoleTables.inspection(out, inspection);
    }
    out.flush();
    return inspection.sites().isEmpty() ? SparsifyException.Kind.NOTHING_TO_SPARSIFY.exitCode() : 0;
  }
}
