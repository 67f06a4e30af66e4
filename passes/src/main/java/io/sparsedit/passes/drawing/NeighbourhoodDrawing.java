package io.sparsedit.passes.drawing;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.ValueFacts;
import io.sparsedit.passes.drawing.GraphDrawing.Box;
import io.sparsedit.passes.drawing.GraphDrawing.Edge;
import io.sparsedit.passes.drawing.GraphDrawing.Style;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Some nodes of a graph and what is around them, as SVG.
 *
 * <p>Data flows from top to bottom. A box says operator, name, attributes, constant inputs and the
 * type of what it computes. The arithmetic of sizes and indices is left out; what else leads in or
 * out of the drawing is a dashed box.
 */
public final class NeighbourhoodDrawing {
  private static final int NODES_BEFORE = 4;
  private static final int NODES_AFTER = 2;

  /** Most nodes beside those that are asked for. */
  private static final int MAX_CONTEXT = 24;

  private static final int COLUMNS = 40;
  private static final int MAX_ATTRIBUTES = 3;

  /** Larger numbers are not exact; exporters write the largest of all for "to the end". */
  private static final double MAX_WHOLE = 0x1p53;

  /** Constants of more elements are shown by their type. */
  private static final int MAX_ELEMENTS = 6;

  private final ValueFacts facts;
  private final Set<Node> core;
  private final Node centre;
  private final boolean isMarked;
  private final Map<Value, String> names;
  private final List<Box> boxes = new ArrayList<>();
  private final List<Edge> edges = new ArrayList<>();
  private final Map<Value, Integer> sources = new HashMap<>();

  private NeighbourhoodDrawing(
      Collection<Node> core,
      Node centre,
      boolean isMarked,
      Map<Value, String> names,
      ValueFacts facts) {
    this.core = new LinkedHashSet<>(core);
    this.centre = centre;
    this.isMarked = isMarked;
    this.names = names;
    this.facts = facts;
  }

  /**
   * Draws nodes of one graph with their neighbourhood.
   *
   * @param heading lines above the drawing
   * @param core nodes to draw highlighted
   * @param centre a node to draw in any case
   * @param isMarked whether the centre has a frame of its own, because it is what was asked about
   * @param names names of values to show with them
   * @param facts of the graph
   */
  public static String of(
      List<String> heading,
      Collection<Node> core,
      Node centre,
      boolean isMarked,
      Map<Value, String> names,
      ValueFacts facts) {
    return new NeighbourhoodDrawing(core, centre, isMarked, names, facts).draw(heading);
  }

  private String draw(List<String> heading) {
    Set<Node> drawn = new LinkedHashSet<>(core);
    drawn.add(centre);
    Set<Node> after = readersAfter(drawn);
    drawn.addAll(nodesBefore(drawn));
    drawn.addAll(after);
    for (Node node : centre.graph().nodes()) {
      if (drawn.contains(node)) {
        add(node, drawn);
      }
    }
    addReaders(drawn);
    return GraphDrawing.of(heading, boxes, edges);
  }

  // ---- which nodes ------------------------------------------------------------------------------

  private Set<Node> nodesBefore(Set<Node> from) {
    Set<Node> found = new LinkedHashSet<>();
    List<Node> frontier = new ArrayList<>(from);
    for (int distance = 0; distance < NODES_BEFORE; distance++) {
      List<Node> next = new ArrayList<>();
      for (Node node : frontier) {
        for (Value input : node.presentInputs()) {
          Optional<Node> producer = input.producer();
          if (producer.isPresent()
              && producer.get().graph() == centre.graph()
              && isData(input)
              && !from.contains(producer.get())
              && found.size() < MAX_CONTEXT
              && found.add(producer.get())) {
            next.add(producer.get());
          }
        }
      }
      frontier = next;
    }
    return found;
  }

  private Set<Node> readersAfter(Set<Node> from) {
    Set<Node> found = new LinkedHashSet<>();
    List<Node> frontier = new ArrayList<>(from);
    for (int distance = 0; distance < NODES_AFTER; distance++) {
      List<Node> next = new ArrayList<>();
      for (Node node : frontier) {
        for (Value output : node.outputs()) {
          if (!isData(output)) {
            continue;
          }
          for (Value.Use use : output.uses()) {
            if (use.node().graph() == centre.graph()
                && !from.contains(use.node())
                && isDataNode(use.node())
                && found.size() < MAX_CONTEXT / 3
                && found.add(use.node())) {
              next.add(use.node());
            }
          }
        }
      }
      frontier = next;
    }
    return found;
  }

  private boolean isDataNode(Node node) {
    return node.outputs().stream().anyMatch(this::isData);
  }

  /** Whether a value is neither constant nor sizes or indices that nodes compute. */
  private boolean isData(Value value) {
    DataType type = facts.elementType(value);
    return !isConstant(value)
        && (value.producer().isEmpty() || (type != DataType.INT64 && type != DataType.INT32));
  }

  private boolean isConstant(Value value) {
    return facts.constant(value).isPresent()
        || (value.constant().isPresent() && !value.graph().inputs().contains(value));
  }

  // ---- boxes ------------------------------------------------------------------------------------

  private void add(Node node, Set<Node> drawn) {
    List<Integer> from = new ArrayList<>();
    List<String> lines = new ArrayList<>();
    if (!node.name().isEmpty()) {
      lines.add(node.name());
    }
    lines.addAll(attributes(node));
    List<Integer> indices = new ArrayList<>();
    for (int i = 0; i < node.inputCount(); i++) {
      Optional<Value> input = node.input(i);
      if (input.isEmpty()) {
        continue;
      }
      Value value = input.get();
      if (isConstant(value)) {
        lines.add("input " + i + ": " + constant(value));
      } else if (!isData(value) && !isDrawn(value, drawn)) {
        lines.add("input " + i + ": sizes or indices, computed");
      } else {
        from.add(source(value));
        indices.add(i);
      }
    }
    int number = boxes.size();
    for (Value output : node.outputs()) {
      if (!output.name().isEmpty() && (!output.isUnused() || output.isGraphOutput())) {
        lines.add(typed(output));
        sources.put(output, number);
      }
    }
    String operator = node.domain().isEmpty() ? node.opType() : node.domain() + "." + node.opType();
    Style style = core.contains(node) ? Style.CORE : Style.CONTEXT;
    box(operator, lines, style, isMarked && node == centre);
    for (int i = 0; i < from.size(); i++) {
      edges.add(new Edge(from.get(i), number, from.size() > 1 ? "" + indices.get(i) : ""));
    }
  }

  private void box(String title, List<String> lines, Style style, boolean framed) {
    String tooltip = title + (lines.isEmpty() ? "" : "\n" + String.join("\n", lines));
    List<String> shown = lines.stream().map(line -> SvgText.shortened(line, COLUMNS)).toList();
    boxes.add(new Box(SvgText.shortened(title, COLUMNS), shown, tooltip, style, framed));
  }

  private static boolean isDrawn(Value value, Set<Node> drawn) {
    return value.producer().filter(drawn::contains).isPresent();
  }

  /** The box that a value comes from: a node's, an input's, or one for what is not drawn. */
  private int source(Value value) {
    Integer known = sources.get(value);
    if (known != null) {
      return known;
    }
    int number = boxes.size();
    Optional<Node> producer = value.producer();
    if (producer.isPresent()) {
      List<String> lines = new ArrayList<>();
      if (!producer.get().name().isEmpty()) {
        lines.add(producer.get().name());
      }
      lines.add(typed(value));
      box("… " + producer.get().opType(), lines, Style.STUB, false);
    } else {
      box("input " + value.name(), List.of(typed(value)), Style.BORDER, false);
    }
    sources.put(value, number);
    return number;
  }

  /** What reads the drawn nodes and is not drawn: a box for each value that leads out. */
  private void addReaders(Set<Node> drawn) {
    for (Map.Entry<Value, Integer> entry : new LinkedHashMap<>(sources).entrySet()) {
      Value value = entry.getKey();
      if (!isDrawn(value, drawn)) {
        continue;
      }
      if (value.isGraphOutput()) {
        leadOut(entry.getValue(), "output " + value.name(), Style.BORDER);
      }
      Set<String> readers = new LinkedHashSet<>();
      for (Value.Use use : value.uses()) {
        if (!drawn.contains(use.node()) && isDataNode(use.node())) {
          readers.add(use.node().opType());
        }
      }
      if (!readers.isEmpty()) {
        leadOut(entry.getValue(), "… to " + String.join(", ", readers), Style.STUB);
      }
    }
  }

  private void leadOut(int from, String title, Style style) {
    edges.add(new Edge(from, boxes.size(), ""));
    box(title, List.of(), style, false);
  }

  // ---- words ------------------------------------------------------------------------------------

  private static List<String> attributes(Node node) {
    List<String> lines = new ArrayList<>();
    node.attributes()
        .forEach(
            (name, attribute) -> {
              Optional<String> text = text(attribute);
              if (text.isPresent() && lines.size() < MAX_ATTRIBUTES) {
                lines.add(name + " = " + text.get());
              }
            });
    return lines;
  }

  private static Optional<String> text(Attribute attribute) {
    if (attribute instanceof Attribute.IntValue value) {
      return Optional.of(Long.toString(value.value()));
    }
    if (attribute instanceof Attribute.FloatValue value) {
      return Optional.of(Float.toString(value.value()));
    }
    if (attribute instanceof Attribute.StringValue value) {
      return Optional.of('"' + value.value() + '"');
    }
    if (attribute instanceof Attribute.IntList list) {
      return Optional.of(list.values().toString());
    }
    return Optional.empty();
  }

  private String constant(Value value) {
    if (facts
        .constant(value)
        .flatMap(Tensor::longs)
        .filter(NeighbourhoodDrawing::isEnd)
        .isPresent()) {
      return "to the end";
    }
    Optional<double[]> elements =
        facts
            .constant(value)
            .filter(t -> t.elementCount() <= MAX_ELEMENTS)
            .flatMap(Tensor::doubles);
    if (elements.isEmpty()) {
      return facts.describe(value);
    }
    List<String> numbers = new ArrayList<>();
    for (double element : elements.get()) {
      boolean whole = element == Math.rint(element) && Math.abs(element) < MAX_WHOLE;
      numbers.add(whole ? Long.toString((long) element) : Float.toString((float) element));
    }
    boolean scalar = facts.shape(value).map(List::isEmpty).orElse(false) || numbers.size() == 1;
    return scalar && !numbers.isEmpty() ? numbers.get(0) : numbers.toString();
  }

  private static boolean isEnd(long[] elements) {
    return elements.length == 1 && elements[0] >= Integer.MAX_VALUE;
  }

  private String typed(Value value) {
    String name = names.getOrDefault(value, "");
    return (name.isEmpty() ? "" : name + ": ") + facts.describe(value);
  }
}
