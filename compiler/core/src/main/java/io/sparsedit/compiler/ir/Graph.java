package io.sparsedit.compiler.ir;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A graph, a subgraph of an If, Loop or Scan, or a function's body: nodes in topological order.
 *
 * <p>All mutation goes through this class, {@link Node} and {@link Value}, which keep producers and
 * use lists consistent. {@link GraphVerifier} checks the rest.
 */
public final class Graph {
  private final @Nullable Graph parent;
  private String name;
  private String docString = "";
  private final List<Value> inputs = new ArrayList<>();
  private final List<Value> outputs = new ArrayList<>();
  private final Map<String, Value> valuesByName = new LinkedHashMap<>();
  private final Set<Value> initializers = new LinkedHashSet<>();
  private final Set<Value> declared = new LinkedHashSet<>();
  private final Map<String, String> metadata = new LinkedHashMap<>();
  private final List<Graph> children = new ArrayList<>();
  private Extras extras = Extras.NONE;
  private @Nullable Node first;
  private @Nullable Node last;
  private int nodeCount;
  private int freshNames;

  private Graph(@Nullable Graph parent, String name) {
    this.parent = parent;
    this.name = name;
  }

  /** An empty graph without an enclosing one. */
  public static Graph create(String name) {
    return new Graph(null, name);
  }

  /** An empty graph inside {@code parent}, whose values its nodes may read. */
  public static Graph createSubgraph(Graph parent, String name) {
    Graph graph = new Graph(parent, name);
    parent.children.add(graph);
    return graph;
  }

  /** The enclosing graph of a subgraph. */
  public Optional<Graph> parent() {
    return Optional.ofNullable(parent);
  }

  /** The graph's name. */
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

  // ---- values -----------------------------------------------------------------------------------

  /** The inputs; unmodifiable. */
  public List<Value> inputs() {
    return Collections.unmodifiableList(inputs);
  }

  /** The outputs; unmodifiable. A value may stand here more than once. */
  public List<Value> outputs() {
    return Collections.unmodifiableList(outputs);
  }

  /** The initializers in order; unmodifiable. */
  public Collection<Value> initializers() {
    return Collections.unmodifiableSet(initializers);
  }

  /** The value of this graph with the given name; enclosing graphs are not searched. */
  public Optional<Value> value(String valueName) {
    return Optional.ofNullable(valuesByName.get(valueName));
  }

  /** The value that a node of this graph means by the name: here or in an enclosing graph. */
  public Optional<Value> resolve(String valueName) {
    for (Graph g = this; g != null; g = g.parent) {
      Value value = g.valuesByName.get(valueName);
      if (value != null) {
        return Optional.of(value);
      }
    }
    return Optional.empty();
  }

  /** All values of this graph in order of creation; unmodifiable. */
  public Collection<Value> values() {
    return Collections.unmodifiableCollection(valuesByName.values());
  }

  /** Adds an input. */
  public Value addInput(String inputName) {
    Value value = newValue(inputName);
    inputs.add(value);
    return value;
  }

  /** Adds an input with its type. */
  public Value addInput(String inputName, ValueType type) {
    Value value = addInput(inputName);
    value.setType(type);
    return value;
  }

  /** Makes an existing value an output; one of an enclosing graph may be passed on. */
  public void addOutput(Value value) {
    outputs.add(value);
  }

  /** Adds an initializer, or gives an existing input a default. */
  public Value addInitializer(String initializerName, Tensor tensor) {
    Value existing = valuesByName.get(initializerName);
    Value value = existing != null && inputs.contains(existing) ? existing : null;
    if (value == null) {
      value = newValue(initializerName);
    }
    value.setConstant(tensor.named(initializerName));
    initializers.add(value);
    return value;
  }

  /** Adds an initializer under a fresh name that starts with {@code hint}. */
  public Value addConstant(String hint, Tensor tensor) {
    return addInitializer(freshName(hint), tensor);
  }

  /**
   * Adds a value that a part of the graph defines which this representation does not model, such as
   * a sparse initializer in {@link #extras}.
   */
  public Value declareValue(String valueName) {
    Value value = newValue(valueName);
    declared.add(value);
    return value;
  }

  /** The values from {@link #declareValue}; unmodifiable. */
  public Collection<Value> declaredValues() {
    return Collections.unmodifiableSet(declared);
  }

  /** Removes an initializer that nothing uses. */
  public void removeInitializer(Value value) {
    if (!value.isUnused()) {
      throw new IllegalStateException("initializer " + value.name() + " is used");
    }
    initializers.remove(value);
    value.setConstant(null);
    if (!inputs.contains(value)) {
      valuesByName.remove(value.name());
    }
  }

  boolean isOutput(Value value) {
    if (outputs.contains(value)) {
      return true;
    }
    for (Graph subgraph : capturingSubgraphs()) {
      if (subgraph.outputs.contains(value)) {
        return true;
      }
    }
    return false;
  }

  void replaceOutput(Value old, Value replacement) {
    outputs.replaceAll(v -> v == old ? replacement : v);
    for (Graph subgraph : capturingSubgraphs()) {
      subgraph.outputs.replaceAll(v -> v == old ? replacement : v);
    }
  }

  /** Replaces the output at the index. */
  public void setOutput(int index, Value value) {
    outputs.set(index, value);
  }

  /** Makes a value an output no longer; the value stays. */
  public void removeOutput(Value value) {
    outputs.remove(value);
  }

  /**
   * Removes an input.
   *
   * @throws IllegalArgumentException if it is none, or is used
   */
  public void removeInput(Value input) {
    if (!inputs.contains(input) || !input.isUnused()) {
      throw new IllegalArgumentException("no unused input: " + input);
    }
    inputs.remove(input);
    valuesByName.remove(input.name(), input);
  }

  private List<Graph> capturingSubgraphs() {
    List<Graph> all = new ArrayList<>();
    for (Graph child : children) {
      all.add(child);
      all.addAll(child.capturingSubgraphs());
    }
    return all;
  }

  Value newValue(String valueName) {
    Value value = new Value(this, valueName);
    if (!valueName.isEmpty()) {
      Value old = valuesByName.putIfAbsent(valueName, value);
      if (old != null) {
        throw new IllegalArgumentException("value '" + valueName + "' is assigned twice");
      }
    }
    return value;
  }

  void renamed(Value value, String newName) {
    if (valuesByName.containsKey(newName)) {
      throw new IllegalArgumentException("value '" + newName + "' is assigned twice");
    }
    valuesByName.remove(value.name(), value);
    valuesByName.put(newName, value);
  }

  /**
   * A value name that neither this graph, nor an enclosing one, nor one of its subgraphs uses.
   *
   * @param hint start of the name
   */
  public String freshName(String hint) {
    Graph root = this;
    while (root.parent != null) {
      root = root.parent;
    }
    String base = hint.isEmpty() ? "v" : hint;
    String candidate = base;
    while (root.usesNameAnywhere(candidate)) {
      candidate = base + "_" + root.freshNames++;
    }
    return candidate;
  }

  private boolean usesNameAnywhere(String candidate) {
    if (valuesByName.containsKey(candidate)) {
      return true;
    }
    for (Graph child : children) {
      if (child.usesNameAnywhere(candidate)) {
        return true;
      }
    }
    return false;
  }

  // ---- nodes ------------------------------------------------------------------------------------

  /**
   * The nodes in order. Removing or replacing the node just returned is safe; a loop that removes
   * others goes over {@link #nodeList()}.
   */
  public Iterable<Node> nodes() {
    return () ->
        new Iterator<>() {
          private @Nullable Node upcoming = first;

          @Override
          public boolean hasNext() {
            return upcoming != null;
          }

          @Override
          public Node next() {
            Node node = upcoming;
            if (node == null) {
              throw new NoSuchElementException();
            }
            upcoming = node.next;
            return node;
          }
        };
  }

  /** A copy of the node list. */
  public List<Node> nodeList() {
    List<Node> list = new ArrayList<>(nodeCount);
    nodes().forEach(list::add);
    return list;
  }

  /** Number of nodes, those of subgraphs not counted. */
  public int nodeCount() {
    return nodeCount;
  }

  /** Appends a node without outputs. */
  public Node addNode(String domain, String opType, String nodeName, List<Value> nodeInputs) {
    return insert(null, newNode(domain, opType, nodeName, nodeInputs));
  }

  /** Appends a default-domain node with one output under a fresh name. */
  public Value append(String opType, Value... nodeInputs) {
    Node node = addNode("", opType, "", List.of(nodeInputs));
    return node.addOutput(freshName(opType));
  }

  /** Inserts a node without outputs before another. */
  public Node insertBefore(
      Node position, String domain, String opType, String nodeName, List<Value> nodeInputs) {
    requireOwn(position);
    return insert(position, newNode(domain, opType, nodeName, nodeInputs));
  }

  /** Inserts a default-domain node with one output under a fresh name before another node. */
  public Value insertBefore(Node position, String opType, Value... nodeInputs) {
    Node node = insertBefore(position, "", opType, "", List.of(nodeInputs));
    return node.addOutput(freshName(opType));
  }

  /** Moves a node so that it stands just before another. */
  public void moveBefore(Node node, Node position) {
    requireOwn(node);
    requireOwn(position);
    unlink(node);
    insert(position, node);
  }

  /** Removes a node whose outputs nothing reads. */
  public void remove(Node node) {
    requireOwn(node);
    for (Value output : node.outputs()) {
      if (!output.isUnused()) {
        throw new IllegalStateException(output + " of " + node + " is used");
      }
    }
    node.subgraphs().forEach(this::dropSubgraph);
    node.dropInputs();
    for (Value output : node.outputs()) {
      valuesByName.remove(output.name(), output);
    }
    unlink(node);
  }

  void dropSubgraph(Graph subgraph) {
    subgraph.dropAllNodes();
    children.remove(subgraph);
  }

  private void dropAllNodes() {
    for (Node node = first; node != null; node = node.next) {
      for (Graph subgraph : node.subgraphs()) {
        subgraph.dropAllNodes();
      }
      node.dropInputs();
    }
    outputs.clear();
  }

  /**
   * Removes every node none of whose outputs is read, and every initializer nothing reads. Inputs
   * stay. Subgraphs are cleaned too.
   *
   * @return how many nodes went
   */
  public int removeDeadNodes() {
    int removed = 0;
    Set<Value> passedOn = passedOn();
    for (Node node = last; node != null; ) {
      Node before = node.previous;
      boolean dead = true;
      for (Value output : node.outputs()) {
        dead &= output.uses().isEmpty() && !passedOn.contains(output);
      }
      if (dead) {
        boolean hadSubgraphs = !node.subgraphs().isEmpty();
        remove(node);
        removed++;
        if (hadSubgraphs) {
          passedOn = passedOn();
        }
      } else {
        for (Graph subgraph : node.subgraphs()) {
          removed += subgraph.removeDeadNodes();
        }
      }
      node = before;
    }
    for (Value value : List.copyOf(initializers)) {
      if (value.uses().isEmpty() && !passedOn.contains(value) && !inputs.contains(value)) {
        removeInitializer(value);
      }
    }
    return removed;
  }

  /** Outputs of this graph and of all its subgraphs. */
  private Set<Value> passedOn() {
    Set<Value> values = new HashSet<>(outputs);
    for (Graph subgraph : capturingSubgraphs()) {
      values.addAll(subgraph.outputs);
    }
    return values;
  }

  private Node newNode(String domain, String opType, String nodeName, List<Value> nodeInputs) {
    Node node = new Node(this, domain, opType, nodeName);
    for (int i = 0; i < nodeInputs.size(); i++) {
      node.setInput(i, nodeInputs.get(i));
    }
    return node;
  }

  private void requireOwn(Node node) {
    if (node.graph() != this || !node.attached) {
      throw new IllegalArgumentException(node + " is not a node of graph '" + name + "'");
    }
  }

  private Node insert(@Nullable Node position, Node node) {
    Node before = position == null ? last : position.previous;
    node.previous = before;
    node.next = position;
    if (before == null) {
      first = node;
    } else {
      before.next = node;
    }
    if (position == null) {
      last = node;
    } else {
      position.previous = node;
    }
    node.attached = true;
    nodeCount++;
    return node;
  }

  private void unlink(Node node) {
    Node before = node.previous;
    Node after = node.next;
    if (before == null) {
      first = after;
    } else {
      before.next = after;
    }
    if (after == null) {
      last = before;
    } else {
      after.previous = before;
    }
    // node.next stays, so that an iteration which stands on the node goes on.
    node.attached = false;
    nodeCount--;
  }
}
