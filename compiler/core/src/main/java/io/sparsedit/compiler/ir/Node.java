package io.sparsedit.compiler.ir;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** One operator call. Created by {@link Graph#addNode} and its siblings. */
public final class Node {
  private final Graph graph;
  private final String domain;
  private final String opType;
  private String overload = "";
  private String name;
  private String docString = "";
  private final List<@Nullable Value> inputs = new ArrayList<>();
  private final List<Value> outputs = new ArrayList<>();
  private final Map<String, Attribute> attributes = new LinkedHashMap<>();
  private final Map<String, Extras> attributeExtras = new LinkedHashMap<>();
  private final Map<String, String> metadata = new LinkedHashMap<>();
  private Extras extras = Extras.NONE;

  // Position in the graph's node list; owned by Graph.
  @Nullable Node previous;
  @Nullable Node next;
  boolean attached;

  Node(Graph graph, String domain, String opType, String name) {
    this.graph = graph;
    this.domain = domain.equals("ai.onnx") ? "" : domain;
    this.opType = opType;
    this.name = name;
  }

  /** The graph that owns this node. */
  public Graph graph() {
    return graph;
  }

  /** The operator's domain; empty for the default domain. */
  public String domain() {
    return domain;
  }

  /** The operator's name. */
  public String opType() {
    return opType;
  }

  /** Whether this is the default-domain operator of the given name. */
  public boolean is(String standardOp) {
    return domain.isEmpty() && opType.equals(standardOp);
  }

  /** Which overload of a model-local function is called; mostly empty. */
  public String overload() {
    return overload;
  }

  /** Sets the overload. */
  public void setOverload(String newOverload) {
    overload = newOverload;
  }

  /** The node's name, possibly empty. */
  public String name() {
    return name;
  }

  /** Sets the name. */
  public void setName(String newName) {
    name = newName;
  }

  /** Documentation. */
  public String docString() {
    return docString;
  }

  /** Sets the documentation. */
  public void setDocString(String newDocString) {
    docString = newDocString;
  }

  /** Number of inputs, absent ones included. */
  public int inputCount() {
    return inputs.size();
  }

  /** The input at the index; empty where it is absent or past the end. */
  public Optional<Value> input(int index) {
    return index < inputs.size() ? Optional.ofNullable(inputs.get(index)) : Optional.empty();
  }

  /** The input at the index, which the operator requires. */
  public Value requiredInput(int index) {
    return input(index)
        .orElseThrow(() -> new IllegalStateException(this + " has no input " + index));
  }

  /** The inputs in order, empty where absent. */
  public List<Optional<Value>> inputs() {
    return inputs.stream().map(Optional::ofNullable).toList();
  }

  /** The inputs that are present, in order. */
  public List<Value> presentInputs() {
    List<Value> present = new ArrayList<>();
    for (Value input : inputs) {
      if (input != null) {
        present.add(input);
      }
    }
    return present;
  }

  /** Replaces or appends the input at the index (at most one past the end). */
  public void setInput(int index, Value value) {
    setInputOrAbsent(index, value);
  }

  /** Makes the input at the index absent. */
  public void clearInput(int index) {
    setInputOrAbsent(index, null);
  }

  private void setInputOrAbsent(int index, @Nullable Value value) {
    if (index == inputs.size()) {
      inputs.add(null);
    }
    Value old = inputs.get(index);
    if (old != null) {
      old.removeUse(this, index);
    }
    inputs.set(index, value);
    if (value != null) {
      value.addUse(this, index);
    }
  }

  /** The outputs in order; one with an empty name is left out by the model. */
  public List<Value> outputs() {
    return Collections.unmodifiableList(outputs);
  }

  /** The output at the index. */
  public Value output(int index) {
    return outputs.get(index);
  }

  /** The first output. */
  public Value output() {
    return outputs.get(0);
  }

  /** Appends an output. */
  public Value addOutput(String outputName) {
    Value value = graph.newValue(outputName);
    value.setProducer(this, outputs.size());
    outputs.add(value);
    return value;
  }

  /** The attributes in order; unmodifiable. */
  public Map<String, Attribute> attributes() {
    return Collections.unmodifiableMap(attributes);
  }

  /** The attribute of the given name. */
  public Optional<Attribute> attribute(String attributeName) {
    return Optional.ofNullable(attributes.get(attributeName));
  }

  /** The INT attribute of the given name, or the default. */
  public long intAttribute(String attributeName, long defaultValue) {
    return attributes.get(attributeName) instanceof Attribute.IntValue i ? i.value() : defaultValue;
  }

  /** The FLOAT attribute of the given name, or the default. */
  public float floatAttribute(String attributeName, float defaultValue) {
    return attributes.get(attributeName) instanceof Attribute.FloatValue f
        ? f.value()
        : defaultValue;
  }

  /** The STRING attribute of the given name, or the default. */
  public String stringAttribute(String attributeName, String defaultValue) {
    return attributes.get(attributeName) instanceof Attribute.StringValue s
        ? s.value()
        : defaultValue;
  }

  /** The INTS attribute of the given name. */
  public Optional<List<Long>> intsAttribute(String attributeName) {
    return attributes.get(attributeName) instanceof Attribute.IntList list
        ? Optional.of(list.values())
        : Optional.empty();
  }

  /** Sets an attribute. A subgraph that it replaces is dropped. */
  public Node setAttribute(String attributeName, Attribute value) {
    Attribute old = attributes.put(attributeName, value);
    attributeExtras.remove(attributeName);
    dropSubgraphs(old);
    return this;
  }

  /** Sets an INT attribute. */
  public Node setAttribute(String attributeName, long value) {
    return setAttribute(attributeName, new Attribute.IntValue(value));
  }

  /** Sets a FLOAT attribute. */
  public Node setAttribute(String attributeName, float value) {
    return setAttribute(attributeName, new Attribute.FloatValue(value));
  }

  /** Sets a STRING attribute. */
  public Node setAttribute(String attributeName, String value) {
    return setAttribute(attributeName, new Attribute.StringValue(value));
  }

  /** Removes an attribute if it is there. A subgraph in it is dropped. */
  public void removeAttribute(String attributeName) {
    Attribute old = attributes.remove(attributeName);
    attributeExtras.remove(attributeName);
    dropSubgraphs(old);
  }

  private void dropSubgraphs(@Nullable Attribute old) {
    if (old != null) {
      List<Graph> kept = subgraphs();
      for (Graph subgraph : subgraphs(List.of(old))) {
        if (!kept.contains(subgraph)) {
          graph.dropSubgraph(subgraph);
        }
      }
    }
  }

  /** Fields of an attribute's message that this representation does not model. */
  public Extras attributeExtras(String attributeName) {
    return attributeExtras.getOrDefault(attributeName, Extras.NONE);
  }

  /** Sets the fields of an attribute's message that this representation does not model. */
  public void setAttributeExtras(String attributeName, Extras value) {
    attributeExtras.put(attributeName, value);
  }

  /** {@code metadata_props}; modifiable. */
  public Map<String, String> metadata() {
    return metadata;
  }

  /** Fields that this representation does not model. */
  public Extras extras() {
    return extras;
  }

  /** Sets the fields that this representation does not model. */
  public void setExtras(Extras newExtras) {
    extras = newExtras;
  }

  /** The subgraphs among the attributes, in order. */
  public List<Graph> subgraphs() {
    return subgraphs(attributes.values());
  }

  private static List<Graph> subgraphs(Collection<Attribute> attributes) {
    List<Graph> graphs = new ArrayList<>();
    for (Attribute attribute : attributes) {
      if (attribute instanceof Attribute.GraphValue g) {
        graphs.add(g.value());
      } else if (attribute instanceof Attribute.GraphList list) {
        graphs.addAll(list.values());
      }
    }
    return graphs;
  }

  /**
   * Makes readers of the outputs read other values, which take over declared types, and removes the
   * node.
   *
   * <p>Where an output of the graph is replaced, the result takes over its name; if the result is
   * an input, a constant, an output already or of another graph, a copy of it does.
   *
   * @param results a value for each output; unused outputs at the end need none
   */
  public void replaceWith(List<Value> results) {
    for (int i = 0; i < outputs.size(); i++) {
      Value old = outputs.get(i);
      if (old.isUnused()) {
        continue;
      }
      Value result = results.get(i);
      if (old.isGraphOutput()) {
        boolean copied =
            result.producer().isEmpty() || result.graph() != graph || result.isGraphOutput();
        if (copied) {
          result = graph.insertBefore(this, "Identity", result);
        }
        String taken = old.name();
        old.rename(graph.freshName(taken));
        result.rename(taken);
      }
      if (result.type().isEmpty()) {
        old.type().ifPresent(result::setType);
      }
      old.replaceAllUsesWith(result);
    }
    graph.remove(this);
  }

  /** Whether the node is in its graph's list, and not removed from it. */
  public boolean isAttached() {
    return attached;
  }

  void dropInputs() {
    for (int i = 0; i < inputs.size(); i++) {
      Value input = inputs.get(i);
      if (input != null) {
        input.removeUse(this, i);
      }
    }
    inputs.clear();
  }

  @Override
  public String toString() {
    String op = domain.isEmpty() ? opType : domain + "." + opType;
    return name.isEmpty()
        ? op + " -> " + (outputs.isEmpty() ? "()" : outputs.get(0).toString())
        : op + " '" + name + "'";
  }
}
