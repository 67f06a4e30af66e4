package io.sparsedit.compiler.ir;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Deep copies. Tensors are immutable and shared. */
public final class ModelCopy {
  private final Map<Value, Value> copies = new HashMap<>();
  private final Set<Value> absent = new HashSet<>();
  private final Optional<Map<String, Attribute>> references;

  private ModelCopy() {
    references = Optional.empty();
  }

  /** Copies that put attributes in the place of references to them. */
  private ModelCopy(Map<String, Attribute> references) {
    this.references = Optional.of(references);
  }

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

  /**
   * Copies what a body computes into another graph, before a node. Values and nodes get fresh
   * names; what the body reads of enclosing graphs is read as it is.
   *
   * @param body a function's body, or a subgraph that is run once
   * @param before the node that the copies stand before
   * @param arguments what the body's inputs stand for; an input that is left out is absent
   * @param attributes what references to the function's attributes stand for; one that is left out
   *     is absent
   * @return the values that stand for the body's outputs
   */
  public static List<Value> inline(
      Graph body, Node before, Map<Value, Value> arguments, Map<String, Attribute> attributes) {
    ModelCopy copy = new ModelCopy(attributes);
    copy.copies.putAll(arguments);
    body.inputs().stream().filter(v -> !arguments.containsKey(v)).forEach(copy.absent::add);
    Graph graph = before.graph();
    String scope = before.name().isEmpty() ? "" : before.name() + "/";
    for (Value initializer : body.initializers()) {
      if (!arguments.containsKey(initializer)) {
        Tensor tensor = initializer.constant().orElseThrow();
        copy.copies.put(initializer, graph.addConstant(initializer.name(), tensor));
      }
    }
    for (Node node : body.nodes()) {
      Node inlined =
          graph.insertBefore(
              before,
              node.domain(),
              node.opType(),
              node.name().isEmpty() ? "" : scope + node.name(),
              List.of());
      copy.fillNode(inlined, node);
      for (Value output : node.outputs()) {
        String name = output.name().isEmpty() ? "" : graph.freshName(output.name());
        copy.define(output, inlined.addOutput(name));
      }
    }
    return body.outputs().stream().map(copy::copyOf).toList();
  }

  private void fill(Graph copy, Graph graph) {
    copy.setName(graph.name());
    copy.setDocString(graph.docString());
    copy.setExtras(graph.extras());
    copy.metadata().putAll(graph.metadata());
    for (Value input : graph.inputs()) {
      define(input, copy.addInput(freshIn(copy, input.name())));
    }
    for (Value initializer : graph.initializers()) {
      Tensor tensor =
          initializer
              .constant()
              .orElseThrow(() -> new IllegalStateException(initializer + " has no tensor"));
      Value existing = copies.get(initializer);
      String name = existing == null ? freshIn(copy, initializer.name()) : existing.name();
      define(initializer, copy.addInitializer(name, tensor));
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
    fillNode(copy, node);
    for (Value output : node.outputs()) {
      define(output, copy.addOutput(freshIn(graph, output.name())));
    }
  }

  /** All but the outputs. */
  private void fillNode(Node copy, Node node) {
    for (int i = 0; i < node.inputCount(); i++) {
      Optional<Value> input = node.input(i).filter(v -> !absent.contains(v));
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
              Optional<Attribute> resolved = resolved(value);
              if (resolved.isPresent()) {
                copy.setAttribute(name, copyOf(copy.graph(), resolved.get()));
                Extras extras = node.attributeExtras(name);
                if (!extras.isEmpty()) {
                  copy.setAttributeExtras(name, extras);
                }
              }
            });
  }

  private Optional<Attribute> resolved(Attribute value) {
    if (references.isPresent() && value instanceof Attribute.Reference reference) {
      return Optional.ofNullable(references.get().get(reference.attribute()));
    }
    return Optional.of(value);
  }

  /** Where a body is copied more than once into one model its names must not be taken twice. */
  private String freshIn(Graph graph, String name) {
    return references.isPresent() && !name.isEmpty() ? graph.freshName(name) : name;
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
    if (copy == null && references.isPresent()) {
      return value; // captured from an enclosing graph
    }
    if (copy == null) {
      throw new IllegalStateException(value + " is read before it is defined");
    }
    return copy;
  }
}
