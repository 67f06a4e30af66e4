package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.match.Failure;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Says of a node that may be attention which operator before it keeps its shapes from being known.
 */
final class UnknownShape {
  /** Convolutions as ONNX Runtime writes them for the processor that it runs on. */
  private static final String PROCESSOR_LAYOUT = "com.microsoft.nchwc";

  private UnknownShape() {}

  /**
   * The operator and the remedy; empty if the shapes are known.
   *
   * @param node the node, a softmax or fused attention
   * @param failures where rules came to around it, closest first
   */
  static Optional<String> why(Node node, List<Failure> failures, ShapeTable facts) {
    List<Node> nodes = new ArrayList<>(List.of(node));
    failures.stream()
        .map(Failure::matched)
        .filter(matched -> matched.contains(node))
        .findFirst()
        .ifPresent(nodes::addAll);
    for (Node each : nodes) {
      for (Value value : each.presentInputs()) {
        Optional<ShapeTable.Unknown> cause = facts.whyUnknown(value);
        if (cause.isPresent()) {
          return Optional.of(text(cause.get(), facts));
        }
      }
    }
    return Optional.empty();
  }

  private static String text(ShapeTable.Unknown cause, ShapeTable facts) {
    Node node = cause.node();
    Value output =
        node.outputs().stream()
            .filter(o -> facts.shape(o).isEmpty())
            .findFirst()
            .orElse(node.output());
    return "shapes before it are not known, because that of "
        + output
        + " is not, which "
        + node
        + " computes: "
        + cause.reason()
        + ". "
        + remedy(node, output, facts);
  }

  private static String remedy(Node node, Value output, ShapeTable facts) {
    if (facts.invalid().stream().anyMatch(invalid -> invalid.node() == node)) {
      return "No runtime can run that: export the model again, by another exporter"
          + " (torch.onnx.export with dynamo=True or False) or another opset";
    }
    return node.domain().equals(PROCESSOR_LAYOUT)
        ? "It works in a layout for one kind of processor: optimise the model at level"
            + " ORT_ENABLE_EXTENDED or below, or give the model as it was exported"
        : "Declare it in the model: graph.value_info.append(onnx.helper.make_tensor_value_info('"
            + output.name()
            + "', <element type>, [<sizes>]))";
  }
}
