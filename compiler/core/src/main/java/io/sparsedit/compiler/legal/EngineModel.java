package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.onnx.ExternalData;
import io.sparsedit.compiler.shape.ConstantSource;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A model on its way into an engine: what the passes of this package work on. */
final class EngineModel {
  private final Model model;
  private Optional<ShapeTable> facts = Optional.empty();

  EngineModel(Model model) {
    this.model = model;
  }

  Model model() {
    return model;
  }

  /** What is known of the values, external tensors included where they are small. */
  ShapeTable facts() {
    if (facts.isEmpty()) {
      ConstantSource source = ConstantSource.NONE;
      if (model.source().isPresent()) {
        ExternalData external = ExternalData.of(model);
        source = tensor -> Optional.of(external.load(tensor));
      }
      facts = Optional.of(ShapeInference.infer(model, Map.of(), source));
    }
    return facts.get();
  }

  /** Forgets what is known of the values, after the model has changed. */
  void changed() {
    facts = Optional.empty();
  }

  /** All nodes, those of subgraphs after the node that holds them. */
  List<Node> nodes() {
    return nodes(model.graph());
  }

  private static List<Node> nodes(Graph graph) {
    List<Node> all = new ArrayList<>();
    for (Node node : graph.nodes()) {
      all.add(node);
      node.subgraphs().forEach(subgraph -> all.addAll(nodes(subgraph)));
    }
    return all;
  }
}
