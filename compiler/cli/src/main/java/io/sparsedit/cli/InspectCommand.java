package io.sparsedit.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.passes.Examination;
import io.sparsedit.passes.Inspection;
import io.sparsedit.passes.NodeExplanation;
import io.sparsedit.passes.Pipeline;
import io.sparsedit.passes.SitePlan;
import io.sparsedit.passes.report.ExplanationJson;
import io.sparsedit.passes.report.ExplanationText;
import io.sparsedit.passes.report.InspectionJson;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
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
          + " sparse, and every softmax that is not understood, with the reason. The model is not"
          + " changed.",
      ""
    },
    footer = {
      "",
      "Examples:",
      "  sparsify-model inspect wan.onnx",
      "      what attention there is",
      "  sparsify-model inspect --explain blocks.0.attn1 wan.onnx",
      "      which rule took it, which nodes are q, k, v; or why it stays dense",
      "  sparsify-model inspect --explain /pool/Softmax --svg pool.svg wan.onnx",
      "      why this is no attention, with a drawing to look at in a browser",
      "  sparsify-model inspect --plan plan.json wan.onnx",
      "      the choices to edit and give to compile --plan",
      "  sparsify-model inspect --json wan.onnx | jq '.sites[] | select(.sparsify)'",
      "      for programs; docs/inspect.md says what each key means",
      "",
      "Exit codes: 0 ok, 1 failure, 2 usage, 4 the model has no attention"
    })
final class InspectCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private CommonOptions common;
  @Mixin private MethodOptions method;

  @Parameters(paramLabel = "MODEL.onnx", description = "The exported model.")
  private Path model;

  @Option(names = "--json", description = "Print JSON, for programs.")
  private boolean json;

  @Option(
      names = "--explain",
      paramLabel = "SITE|NODE",
      description =
          "Say of a site, a node or a value which rule takes it for attention and with which nodes,"
              + " or why none does, instead of the list.")
  private @Nullable String explain;

  @Option(
      names = "--trace",
      description =
          "Say of each rule how often it was tried, how often it fitted, how long that took, and"
              + " where it came furthest without fitting.")
  private boolean trace;

  @Option(
      names = "--svg",
      paramLabel = "FILE",
      description =
          "Draw what --explain names with the nodes around it; without it, the first site.")
  private @Nullable Path svg;

  @Option(
      names = "--plan",
      paramLabel = "FILE",
      description =
          "Write what would become of each site, with all settings, to edit and give to 'compile"
              + " --plan'.")
  private @Nullable Path plan;

  @Override
  public Integer call() throws JsonProcessingException {
    requireOutputs();
    Inspection inspection;
    Optional<NodeExplanation> explanation = Optional.empty();
    Optional<Examination.Drawing> drawing = Optional.empty();
    try (ConsoleProgress progress = common.progress(spec.commandLine().getErr())) {
      if (explain == null && svg == null) {
        inspection = Pipeline.inspect(model, method.toOptions(common), progress);
      } else {
        Examination examination = Pipeline.examine(model, method.toOptions(common), progress);
        inspection = examination.inspection();
        explanation = Optional.ofNullable(explain).map(examination::explain);
        if (svg != null) {
          progress.stage("draw " + svg);
          drawing = Optional.of(examination.draw(Optional.ofNullable(explain)));
        }
      }
    }
    if (svg != null && drawing.isPresent()) {
      byte[] content = drawing.get().svg().getBytes(StandardCharsets.UTF_8);
      AtomicFile.write(svg, out -> out.write(content));
    }
    if (plan != null) {
      byte[] content = (pretty(SitePlan.of(inspection)) + "\n").getBytes(StandardCharsets.UTF_8);
      AtomicFile.write(plan, out -> out.write(content));
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      out.println(pretty(asJson(inspection, explanation)));
    } else if (!common.quiet()) {
      explanation.ifPresentOrElse(
          found -> out.print(ExplanationText.of(found)),
          () -> ConsoleTables.inspection(out, inspection));
      if (trace) {
        out.println();
        ConsoleTables.trace(out, inspection.trace());
      }
      drawing.ifPresent(
          drawn -> {
            out.println();
            out.println("Drawing of " + drawn.subject() + ": " + svg);
          });
      if (plan != null) {
        out.println();
        out.println("Plan of " + inspection.sites().size() + " sites: " + plan);
      }
    }
    out.flush();
    return inspection.sites().isEmpty() && explanation.isEmpty()
        ? SparsifyException.Kind.NOTHING_TO_SPARSIFY.exitCode()
        : 0;
  }

  private void requireOutputs() {
    if (svg != null) {
      OutputFiles.require("--svg", svg, model);
    }
    if (plan != null) {
      OutputFiles.require("--plan", plan, model);
      if (svg != null) {
        OutputFiles.requireTwo("--svg", svg, "--plan", plan);
      }
    }
  }

  private static String pretty(ObjectNode node) throws JsonProcessingException {
    return new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsString(node);
  }

  private ObjectNode asJson(Inspection inspection, Optional<NodeExplanation> explanation) {
    ObjectNode root = InspectionJson.of(inspection);
    explanation.ifPresent(found -> root.set("explanation", ExplanationJson.of(found)));
    if (trace) {
      root.set("trace", ExplanationJson.trace(inspection.trace()));
    }
    return root;
  }
}
