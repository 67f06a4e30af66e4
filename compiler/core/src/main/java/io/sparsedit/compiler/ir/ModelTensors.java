package io.sparsedit.compiler.ir;

import java.util.ArrayList;
import java.util.List;

/** Finds the tensors that a model holds. */
public final class ModelTensors {
  private ModelTensors() {}

  /** Initializers and tensor attributes, those of subgraphs and functions included, in order. */
  public static List<Tensor> of(Model model) {
    List<Tensor> tensors = new ArrayList<>();
    collect(model.graph(), tensors);
    for (Function function : model.functions()) {
      collect(function.body(), tensors);
      function.attributeDefaults().values().forEach(value -> collect(value, tensors));
    }
    return tensors;
  }

  private static void collect(Graph graph, List<Tensor> tensors) {
    for (Value initializer : graph.initializers()) {
      initializer.constant().ifPresent(tensors::add);
    }
    for (Node node : graph.nodes()) {
      node.attributes().values().forEach(value -> collect(value, tensors));
      node.subgraphs().forEach(subgraph -> collect(subgraph, tensors));
    }
  }

  private static void collect(Attribute attribute, List<Tensor> tensors) {
    if (attribute instanceof Attribute.TensorValue tensor) {
      tensors.add(tensor.value());
    }
  }
}
