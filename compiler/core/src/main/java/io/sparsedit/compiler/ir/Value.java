package io.sparsedit.compiler.ir;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A value of a graph: an input, an initializer or the output of a node. Assigned once.
 *
 * <p>Identity matters: two values are the same only if they are the same object.
 */
public final class Value {
  /**
   * One use of a value as a node's input.
   *
   * @param node the user, possibly in a subgraph of the value's graph
   * @param index the input's index
   */
  public record Use(Node node, int index) {}

  private final Graph graph;
  private String name;
  private @Nullable ValueType type;
  private Extras extras = Extras.NONE;
  private @Nullable Node producer;
  private int outputIndex = -1;
  private @Nullable Tensor constant;
  private final List<Use> uses = new ArrayList<>();

  Value(Graph graph, String name) {
    this.graph = graph;
    this.name = name;
  }

  /** The graph that owns this value. */
  public Graph graph() {
    return graph;
  }

  /** The name; empty for an output that its node leaves out. */
  public String name() {
    return name;
  }

  /** Renames the value; the caller keeps names unique (the verifier checks). */
  public void rename(String newName) {
    if (!newName.equals(name)) {
      graph.renamed(this, newName);
      name = newName;
    }
  }

  /** The declared type, if there is one. */
  public Optional<ValueType> type() {
    return Optional.ofNullable(type);
  }

  /** Declares the type. */
  public void setType(ValueType newType) {
    type = newType;
  }

  /** Forgets the declared type. */
  public void clearType() {
    type = null;
    extras = Extras.NONE;
  }

  /** Fields of the value's declaration that this representation does not model. */
  public Extras extras() {
    return extras;
  }

  /** Sets the fields that this representation does not model. */
  public void setExtras(Extras newExtras) {
    extras = newExtras;
  }

  /** The node that computes this value; empty for inputs and initializers. */
  public Optional<Node> producer() {
    return Optional.ofNullable(producer);
  }

  /** Which output of its producer this is; -1 without a producer. */
  public int outputIndex() {
    return outputIndex;
  }

  /** The initializer's tensor; a graph input with a default has one too. */
  public Optional<Tensor> constant() {
    return Optional.ofNullable(constant);
  }

  /** Node inputs that read this value, nodes of subgraphs included; unmodifiable. */
  public List<Use> uses() {
    return Collections.unmodifiableList(uses);
  }

  /** Whether the value is an output of its graph, or of a subgraph that passes it on. */
  public boolean isGraphOutput() {
    return graph.isOutput(this);
  }

  /** Whether nothing reads the value. */
  public boolean isUnused() {
    return uses.isEmpty() && !isGraphOutput();
  }

  /** Makes every reader of this value, graph outputs included, read {@code other} instead. */
  public void replaceAllUsesWith(Value other) {
    if (other == this) {
      throw new IllegalArgumentException("a value cannot replace itself: " + name);
    }
    for (Use use : List.copyOf(uses)) {
      use.node().setInput(use.index(), other);
    }
    graph.replaceOutput(this, other);
  }

  void setProducer(Node node, int index) {
    producer = node;
    outputIndex = index;
  }

  void setConstant(@Nullable Tensor tensor) {
    constant = tensor;
  }

  void addUse(Node node, int index) {
    uses.add(new Use(node, index));
  }

  void removeUse(Node node, int index) {
    for (int i = uses.size() - 1; i >= 0; i--) {
      Use use = uses.get(i);
      if (use.node() == node && use.index() == index) {
        uses.remove(i);
        return;
      }
    }
    throw new IllegalStateException("no use of " + name + " by " + node);
  }

  @Override
  public String toString() {
    return "%" + name;
  }
}
