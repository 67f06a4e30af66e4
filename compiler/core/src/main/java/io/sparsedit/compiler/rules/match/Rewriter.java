package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.HalfFloat;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.match.Replacement.BuiltValue;
import io.sparsedit.compiler.rules.match.Replacement.Input;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Puts the replacement of a rule into the graph.
 *
 * <p>The new nodes stand just before the root. All readers of the root's outputs read the new
 * values; the matched nodes stay, unused, until {@link Graph#removeDeadNodes}. Graph outputs keep
 * their names. Every new node carries the rule's name as metadata {@value #PROVENANCE}.
 */
public final class Rewriter {
  /** Metadata key under which a node names the rule that made it. */
  public static final String PROVENANCE = "sparsedit.rule";

  private final Match match;
  private final Graph graph;
  private final List<List<Optional<Value>>> built = new ArrayList<>();
  private final List<Node> newNodes = new ArrayList<>();
  private final List<Value> newConstants = new ArrayList<>();

  private Rewriter(Match match) {
    this.match = match;
    this.graph = match.root().graph();
  }

  /**
   * An output of the root that other values stand in for now.
   *
   * @param old the output
   * @param current what is read instead
   * @param uses the inputs that read {@code old} before
   * @param isOutput whether {@code old} was a graph output
   */
  public record Replaced(Value old, Value current, List<Value.Use> uses, boolean isOutput) {
    public Replaced {
      uses = List.copyOf(uses);
    }
  }

  /**
   * What a rewrite did.
   *
   * @param match the match that was rewritten
   * @param nodes the new nodes in order
   * @param constants the new initializers
   * @param replaced the outputs of the root that were replaced
   */
  public record Applied(
      Match match, List<Node> nodes, List<Value> constants, List<Replaced> replaced) {
    public Applied {
      constants = List.copyOf(constants);
      nodes = List.copyOf(nodes);
      replaced = List.copyOf(replaced);
    }

    /**
     * This rewrite and one before it, whose new nodes it matched, as one that is undone at once.
     */
    public Applied after(Applied earlier) {
      return new Applied(
          match,
          joined(earlier.nodes, nodes),
          joined(earlier.constants, constants),
          joined(replaced, earlier.replaced));
    }

    private static <T> List<T> joined(List<T> first, List<T> second) {
      List<T> all = new ArrayList<>(first);
      all.addAll(second);
      return all;
    }

    /**
     * Makes the readers read the old values again, and removes the new nodes. The matched nodes
     * must still be in the graph.
     */
    public void undo() {
      for (Replaced r : replaced) {
        for (Value.Use use : r.uses()) {
          use.node().setInput(use.index(), r.old());
        }
        // Also what was made to read it since.
        if (r.current().producer().filter(nodes::contains).isPresent()) {
          List.copyOf(r.current().uses()).forEach(use -> use.node().setInput(use.index(), r.old()));
        }
        if (r.isOutput()) {
          swapNames(r.old(), r.current());
          replaceOutputs(r.old().graph(), r.current(), r.old());
        }
      }
      for (int i = nodes.size() - 1; i >= 0; i--) {
        nodes.get(i).graph().remove(nodes.get(i));
      }
      constants.forEach(c -> c.graph().removeInitializer(c));
    }

    private static void replaceOutputs(Graph graph, Value from, Value to) {
      for (int i = 0; i < graph.outputs().size(); i++) {
        if (graph.outputs().get(i) == from) {
          graph.setOutput(i, to);
        }
      }
      for (Node node : graph.nodes()) {
        node.subgraphs().forEach(g -> replaceOutputs(g, from, to));
      }
    }
  }

  /** Puts the replacement in. */
  public static Applied apply(Match match) {
    Replacement replacement =
        match
            .rule()
            .replacement()
            .orElseThrow(() -> new IllegalStateException(match.rule() + " has no rewrite"));
    if (!match.root().isAttached()) {
      throw new IllegalStateException(match + " is no longer in the graph");
    }
    return new Rewriter(match).run(replacement);
  }

  private Applied run(Replacement replacement) {
    Map<Value, Value> replaced = new LinkedHashMap<>();
    try {
      for (Replacement.Build build : replacement.builds()) {
        built.add(build(build));
      }
      for (int i = 0; i < replacement.outputs().size(); i++) {
        Optional<BuiltValue> output = replacement.outputs().get(i);
        if (output.isPresent()) {
          Value old = match.root().output(i);
          Value current =
              value(output.get())
                  .orElseThrow(
                      () -> new Evaluator.Unknown("the new value of " + old + " is absent"));
          replaced.put(old, old.isGraphOutput() ? asOutput(current) : current);
        }
      }
    } catch (Evaluator.Unknown e) {
      for (int i = newNodes.size() - 1; i >= 0; i--) {
        graph.remove(newNodes.get(i));
      }
      newConstants.forEach(graph::removeInitializer);
      throw SparsifyException.failure(
          match.rule().span() + ": cannot rewrite " + match.root() + ": " + e.reason());
    }
    List<Replaced> done = new ArrayList<>();
    replaced.forEach(
        (old, current) -> {
          if (current.type().isEmpty()) {
            old.type().ifPresent(current::setType);
          }
          Replaced entry = new Replaced(old, current, old.uses(), old.isGraphOutput());
          old.replaceAllUsesWith(current);
          if (entry.isOutput()) {
            swapNames(old, current);
          }
          done.add(entry);
        });
    return new Applied(match, newNodes, newConstants, done);
  }

  /** The value, or a copy of it where it cannot take over the name of a graph output. */
  private Value asOutput(Value value) {
    boolean canRename =
        value.producer().isPresent() && value.graph() == graph && !value.isGraphOutput();
    if (canRename) {
      return value;
    }
    Value copy = graph.insertBefore(match.root(), "Identity", value);
    Node node = copy.producer().orElseThrow();
    node.metadata().put(PROVENANCE, match.rule().name());
    newNodes.add(node);
    return copy;
  }

  private static void swapNames(Value first, Value second) {
    String firstName = first.name();
    String secondName = second.name();
    second.rename(second.graph().freshName(firstName));
    first.rename(secondName);
    second.rename(firstName);
  }

  private Optional<Value> value(BuiltValue reference) {
    return built.get(reference.build()).get(reference.output());
  }

  private List<Optional<Value>> build(Replacement.Build build) throws Evaluator.Unknown {
    if (build.source() instanceof Input.NewNode node) {
      return node(node, build.names()).outputs().stream().map(Optional::of).toList();
    }
    return List.of(input(build.source(), build.names().get(0)));
  }

  private Optional<Value> input(Input input, String hint) throws Evaluator.Unknown {
    if (input instanceof Input.Matched matched) {
      Optional<Value> value =
          match.bindings().get(matched.slot()).orElse(null) instanceof Bindings.Bound bound
              ? Optional.of(bound.value())
              : Optional.empty();
      if (value.isEmpty() && !matched.optional()) {
        throw new Evaluator.Unknown("'" + matched.name() + "' is absent");
      }
      return value;
    }
    if (input instanceof Input.Built reference) {
      return value(reference.value());
    }
    if (input instanceof Input.NewConstant constant) {
      Value value = graph.addConstant(match.root().output().name() + "_const", tensor(constant));
      newConstants.add(value);
      return Optional.of(value);
    }
    if (input instanceof Input.Pick pick) {
      for (Replacement.PickArm arm : pick.arms()) {
        if (arm.branches().isEmpty() || match.bindings().isTakenAny(arm.branches())) {
          return input(arm.input(), hint);
        }
      }
      throw new Evaluator.Unknown("no arm of the case fits '" + pick.name() + "'");
    }
    if (input instanceof Input.NewNode node) {
      return Optional.of(node(node, List.of(hint)).output());
    }
    return Optional.empty();
  }

  private Node node(Input.NewNode spec, List<String> outputNames) throws Evaluator.Unknown {
    List<Optional<Value>> inputs = new ArrayList<>();
    for (Input input : spec.inputs()) {
      inputs.add(input(input, outputNames.get(0)));
    }
    while (!inputs.isEmpty() && inputs.get(inputs.size() - 1).isEmpty()) {
      inputs.remove(inputs.size() - 1);
    }
    Map<String, Attribute> attributes = new LinkedHashMap<>();
    for (Replacement.Setting setting : spec.settings()) {
      attributes.put(setting.name(), attribute(setting, match.evaluate(setting.value())));
    }
    Node node =
        graph.insertBefore(
            match.root(), spec.domain(), spec.type(), nodeName(spec.type()), List.of());
    newNodes.add(node);
    for (int i = 0; i < inputs.size(); i++) {
      if (inputs.get(i).isPresent()) {
        node.setInput(i, inputs.get(i).get());
      } else {
        node.clearInput(i);
      }
    }
    attributes.forEach(node::setAttribute);
    String base = match.root().output().name();
    for (String output : outputNames) {
      node.addOutput(graph.freshName(base + "_" + output));
    }
    node.metadata().put(PROVENANCE, match.rule().name());
    return node;
  }

  /** Such as {@code attn/Reshape}, and {@code attn/Reshape_2} for the second one. */
  private String nodeName(String type) {
    String name = match.root().name();
    if (name.isEmpty()) {
      return "";
    }
    long before = newNodes.stream().filter(node -> node.opType().equals(type)).count();
    return name + "/" + type + (before == 0 ? "" : "_" + (before + 1));
  }

  // ---- attributes and constants -----------------------------------------------------------------

  private static Attribute attribute(Replacement.Setting setting, Datum datum)
      throws Evaluator.Unknown {
    if (datum instanceof Datum.Int i) {
      return setting.real()
          ? new Attribute.FloatValue(i.value())
          : new Attribute.IntValue(i.value());
    }
    if (datum instanceof Datum.Real real) {
      return new Attribute.FloatValue((float) real.value());
    }
    if (datum instanceof Datum.Flag flag) {
      return new Attribute.IntValue(flag.value() ? 1 : 0);
    }
    if (datum instanceof Datum.Text text) {
      return new Attribute.StringValue(text.value());
    }
    if (datum instanceof Datum.Type type) {
      return new Attribute.IntValue(type.value().code());
    }
    if (datum instanceof Datum.Items items) {
      return list(setting, items);
    }
    throw new Evaluator.Unknown(
        "attribute '" + setting.name() + "' cannot be " + datum + ", which is not a number");
  }

  private static Attribute list(Replacement.Setting setting, Datum.Items items)
      throws Evaluator.Unknown {
    List<Datum> values = items.values();
    if (!values.isEmpty() && values.stream().allMatch(Datum.Text.class::isInstance)) {
      return new Attribute.StringList(values.stream().map(v -> ((Datum.Text) v).value()).toList());
    }
    if (!setting.real() && values.stream().allMatch(Datum.Int.class::isInstance)) {
      return new Attribute.IntList(values.stream().map(v -> ((Datum.Int) v).value()).toList());
    }
    List<Float> floats = new ArrayList<>();
    for (Datum value : values) {
      floats.add((float) number(value));
    }
    return new Attribute.FloatList(floats);
  }

  private static double number(Datum datum) throws Evaluator.Unknown {
    return datum.number().orElseThrow(() -> new Evaluator.Unknown(datum + " is not a number"));
  }

  private Tensor tensor(Input.NewConstant constant) throws Evaluator.Unknown {
    Datum datum = match.evaluate(constant.value());
    boolean isList = datum instanceof Datum.Items;
    List<Datum> elements = datum instanceof Datum.Items items ? items.values() : List.of(datum);
    boolean integers = elements.stream().allMatch(Datum.Int.class::isInstance);
    DataType type = integers ? DataType.INT64 : DataType.FLOAT;
    if (constant.type().isPresent()
        && match.evaluate(constant.type().get()) instanceof Datum.Type written) {
      type = written.value();
    }
    long[] dims = isList ? new long[] {elements.size()} : new long[0];
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(type.bytes(elements.size())))
            .order(ByteOrder.LITTLE_ENDIAN);
    for (Datum element : elements) {
      put(bytes, type, element);
    }
    return Tensor.raw(type, dims, bytes.flip());
  }

  private static void put(ByteBuffer bytes, DataType type, Datum element) throws Evaluator.Unknown {
    double real = number(element);
    long integer = element instanceof Datum.Int i ? i.value() : (long) real;
    switch (type) {
      case FLOAT -> bytes.putFloat((float) real);
      case DOUBLE -> bytes.putDouble(real);
      case FLOAT16 -> bytes.putShort(HalfFloat.fromFloat((float) real));
      case BFLOAT16 -> bytes.putShort(bfloat16((float) real));
      case INT64, UINT64 -> bytes.putLong(integer);
      case INT32, UINT32 -> bytes.putInt((int) integer);
      case INT16, UINT16 -> bytes.putShort((short) integer);
      case INT8, UINT8, BOOL -> bytes.put((byte) integer);
      default -> throw new Evaluator.Unknown("cannot make a constant of type " + type.shortName());
    }
  }

  /** The nearest bfloat16, ties to even. */
  private static short bfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) 0x7fc0;
    }
    return (short) ((bits + 0x7fff + (bits >>> 16 & 1)) >>> 16);
  }
}
