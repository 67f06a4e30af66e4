package io.sparsedit.compiler.ir;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Deep copies. Tensors are immutable and shared. */
public final class ModelCopy {
  private final Map<Value, Value> copies = new HashMap<>();

  private ModelCopy() {}

  /** A copy of the model that shares no graph, node or value with it. */
  public static Model of(Model model) {
    Model copy = new Model(of(model.graph()), model.irVersion());
    copy.opsets().putAll(model.opsets());
    copy.metadata().putAll(model.metadata());
    copy.setProducerName(model.producerName());
    copy.setProducerVersion(model.producerVersion());
    copy.setDocString(model.docString());
    copy.setExtras(model.extras());
    model.source().ifPresent(copy::setSource);
    for (Function function : model.functions()) {
      copy.functions().add(of(function));
    }
    return copy;
  }

  /** A copy of the function. */
  public static Function of(Function function) {
    Function copy = new Function(function.domain(), function.name(), function.overload());
    new ModelCopy().fill(copy.body(), function.body());
    copy.attributeNames().addAll(function.attributeNames());
    copy.attributeDefaults().putAll(function.attributeDefaults());
    copy.opsets().putAll(function.opsets());
    copy.metadata().putAll(function.metadata());
    copy.setDocString(function.docString());
    copy.setExtras(function.extras());
    return copy;
  }

  /** A copy of a graph without an enclosing one. */
  public static Graph of(Graph graph) {
    if (graph.parent().isPresent()) {
      throw new IllegalArgumentException("graph '" + graph.name() + "' is a subgraph");
    }
    Graph copy = Graph.create(graph.name());
    new ModelCopy().fill(copy, graph);
    return copy;
  }

  private void fill(Graph copy, Graph graph) {
    copy.setName(graph.name());
    copy.setDocString(graph.docString());
    copy.setExtras(graph.extras());
    copy.metadata().putAll(graph.metadata());
    for (Value input : graph.inputs()) {
      define(input, copy.addInput(input.name()));
    }
    for (Value initializer : graph.initializers()) {
      Tensor tensor =
          initializer
              .constant()
              .orElseThrow(() -> new IllegalStateException(initializer + " has no tensor"));
      define(initializer, copy.addInitializer(initializer.name(), tensor));
    }
    for (Value declared : graph.declaredValues()) {
      define(declared, copy.declareValue(declared.name()));
    }
    for (Node node : graph.nodes()) {
      copyNode(copy, node);
    }
    for (Value output : graph.outputs()) {
      copy.addOutput(copyOf(output));
    }
  }

  private void copyNode(Graph graph, Node node) {
    Node copy = graph.addNode(node.domain(), node.opType(), node.name(), List.of());
    for (int i = 0; i < node.inputCount(); i++) {
      Optional<Value> input = node.input(i);
      if (input.isPresent()) {
        copy.setInput(i, copyOf(input.get()));
      } else {
        copy.clearInput(i);
      }
    }
    copy.setOverload(node.overload());
    copy.setDocString(node.docString());
    copy.setExtras(node.extras());
    copy.metadata().putAll(node.metadata());
    node.attributes()
        .forEach(
            (name, value) -> {
              copy.setAttribute(name, copyOf(graph, value));
              Extras extras = node.attributeExtras(name);
              if (!extras.isEmpty()) {
                copy.setAttributeExtras(name, extras);
              }
            });
    for (Value output : node.outputs()) {
      define(output, copy.addOutput(output.name()));
    }
  }

  private Attribute copyOf(Graph graph, Attribute value) {
    if (value instanceof Attribute.GraphValue subgraph) {
      return new Attribute.GraphValue(subgraphOf(graph, subgraph.value()));
    }
    if (value instanceof Attribute.GraphList list) {
      return new Attribute.GraphList(
          list.values().stream().map(subgraph -> subgraphOf(graph, subgraph)).toList());
    }
    return value;
  }

  private Graph subgraphOf(Graph parent, Graph subgraph) {
    Graph copy = Graph.createSubgraph(parent, subgraph.name());
    fill(copy, subgraph);
    return copy;
  }

  private void define(Value value, Value copy) {
    value.type().ifPresent(copy::setType);
    copy.setExtras(value.extras());
    copies.put(value, copy);
  }

  private Value copyOf(Value value) {
    Value copy = copies.get(value);
    if (copy == null) {
      throw new IllegalStateException(value + " is read before it is defined");
    }
    return copy;
  }
}
