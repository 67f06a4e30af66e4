package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/**
 * Text tokens that a NonZero selects from what a mask holds, behind a site's video tokens, and what
 * the site's result is filled up to.
 *
 * <pre>
 *   i       = NonZero(m)                                m [T], i [1,n]
 *   q, k, v = Concat(video, Gather(text, i))            [B,H,V+n,D]
 *   o       = Pad(sparsedit.Attention(q, k, v))         [B,H,V+T,D], zeros at the end
 * </pre>
 *
 * How many tokens such a site has follows from values. With room for all T of them, the selected
 * ones first, and a mask of keys it follows from shapes ({@link MakeRoomForSelectedTokens}).
 *
 * @param nonZero the selection
 * @param room how many tokens it selects from, T
 * @param fixed how many tokens stand before them, V
 * @param between the nodes from the selection to q, k and v, in graph order
 * @param pad the node that fills up the result
 */
record SelectedTokens(Node nonZero, long room, long fixed, List<Node> between, Node pad) {
  private static final int RANK = 4;
  private static final int TOKENS = 2;

  /** What turns indices into other indices, and sizes into sizes. */
  private static final Set<String> OF_INDICES =
      Set.of(
          "Transpose",
          "Reshape",
          "Squeeze",
          "Unsqueeze",
          "Identity",
          "Cast",
          "Shape",
          "Slice",
          "Gather",
          "Concat");

  /** What turns indices into as many. */
  private static final Set<String> KEEP_COUNT =
      Set.of("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Cast");

  /** What turns rows into other rows, each by itself. */
  private static final Set<String> OF_ROWS = Set.of("Transpose", "Identity", "Cast");

  SelectedTokens {
    between = List.copyOf(between);
  }

  /** The selection that a site's tokens end in, if that and nothing else keeps its size open. */
  static Optional<SelectedTokens> of(Site site, ValueFacts facts) {
    Dim tokens = site.shape().queryTokens();
    Node attention = site.attention();
    if (tokens.isConstant()
        || !tokens.equals(site.shape().keyTokens())
        || !site.tokens().isKnown()
        || attention.inputCount() != 3
        || site.masked()) {
      return Optional.empty();
    }
    Set<Node> upstream = upstream(attention, tokens, facts);
    for (Node node : upstream) {
      OptionalLong room = room(node, facts);
      if (room.isEmpty()) {
        continue;
      }
      List<Node> between = between(node, upstream);
      OptionalLong fixed = beside(tokens, node, between, facts);
      if (fixed.isPresent() && areUnderstood(between, node, facts)) {
        return pad(attention, fixed.getAsLong() + room.getAsLong(), facts)
            .map(
                pad -> new SelectedTokens(node, room.getAsLong(), fixed.getAsLong(), between, pad));
      }
    }
    return Optional.empty();
  }

  /** What a NonZero selects from, if that is a vector of known size. */
  private static OptionalLong room(Node node, ValueFacts facts) {
    return node.is("NonZero")
        ? facts
            .shape(node.requiredInput(0))
            .filter(shape -> shape.size() == 1)
            .map(shape -> shape.get(0).constant())
            .orElse(OptionalLong.empty())
        : OptionalLong.empty();
  }

  /**
   * How many tokens there are beside the selected ones, whatever an exporter calls their number.
   */
  private static OptionalLong beside(
      Dim tokens, Node nonZero, List<Node> between, ValueFacts facts) {
    Set<Value> indices = new LinkedHashSet<>(nonZero.outputs());
    for (Node node : between) {
      if (KEEP_COUNT.contains(node.opType()) && indices.contains(node.requiredInput(0))) {
        indices.add(node.output());
      }
    }
    return indices.stream()
        .flatMap(value -> facts.shape(value).stream().flatMap(List::stream))
        .filter(dim -> !dim.isConstant())
        .map(tokens::minus)
        .filter(Dim::isConstant)
        .mapToLong(dim -> dim.constant().orElseThrow())
        .findFirst();
  }

  /** The nodes that compute q, k and v of what has as many rows as are selected, and of indices. */
  private static Set<Node> upstream(Node attention, Dim tokens, ValueFacts facts) {
    Set<Node> seen = new LinkedHashSet<>();
    Deque<Value> work = new ArrayDeque<>(attention.presentInputs());
    while (!work.isEmpty()) {
      Value value = work.pop();
      Optional<Node> producer = value.producer();
      boolean counts =
          facts.elementType(value) == DataType.INT64 || dependsOn(tokens, facts.shape(value));
      if (counts
          && producer.isPresent()
          && producer.get().graph() == attention.graph()
          && seen.add(producer.get())) {
        work.addAll(producer.get().presentInputs());
      }
    }
    return seen;
  }

  private static boolean dependsOn(Dim tokens, Optional<List<Dim>> shape) {
    return shape.stream()
        .flatMap(List::stream)
        .anyMatch(dim -> !Collections.disjoint(dim.symbols(), tokens.symbols()));
  }

  /** The nodes that the selection reaches, of those before the attention, in graph order. */
  private static List<Node> between(Node nonZero, Set<Node> upstream) {
    Graph graph = nonZero.graph();
    Set<Value> reached = new HashSet<>(nonZero.outputs());
    List<Node> between = new ArrayList<>();
    for (Node node : graph.nodes()) {
      if (upstream.contains(node) && node.presentInputs().stream().anyMatch(reached::contains)) {
        between.add(node);
        reached.addAll(node.outputs());
      }
    }
    return between;
  }

  private static boolean areUnderstood(List<Node> between, Node nonZero, ValueFacts facts) {
    Set<Value> reached = new HashSet<>(nonZero.outputs());
    for (Node node : between) {
      if (!isUnderstood(node, reached, facts)) {
        return false;
      }
      reached.addAll(node.outputs());
    }
    return true;
  }

  /** Whether indices stay together, in their order, and what they are joined with before them. */
  private static boolean keepsOrder(Node node, Set<Value> reached, ValueFacts facts) {
    Value first = node.requiredInput(0);
    return switch (node.opType()) {
      case "Slice" ->
          !reached.contains(first)
              || facts.fixedShape(first).isPresent()
              || slicedAxes(node, facts).stream().allMatch(axis -> isFixed(first, axis, facts));
      case "Gather" ->
          !reached.contains(first)
              || facts.fixedShape(first).isPresent()
              || isFixed(first, node.intAttribute("axis", 0), facts);
      case "Concat" -> {
        List<Value> inputs = node.presentInputs();
        long axis = node.intAttribute("axis", 0);
        yield inputs.subList(0, inputs.size() - 1).stream()
            .noneMatch(value -> reached.contains(value) && !isFixed(value, axis, facts));
      }
      default -> true;
    };
  }

  /** The axes that a Slice is given; -1 and 0 for axes that are not known. */
  private static List<Long> slicedAxes(Node slice, ValueFacts facts) {
    Optional<List<Dim>> axes = slice.input(3).flatMap(facts::elements);
    return axes.filter(dims -> dims.stream().allMatch(Dim::isConstant))
        .map(dims -> dims.stream().map(dim -> dim.constant().orElseThrow()).toList())
        .orElse(List.of(0L, -1L));
  }

  private static boolean isFixed(Value value, long axis, ValueFacts facts) {
    Optional<List<Dim>> shape = facts.shape(value);
    if (shape.isEmpty() || axis < -shape.get().size() || axis >= shape.get().size()) {
      return false;
    }
    return shape.get().get(Math.floorMod(axis, shape.get().size())).isConstant();
  }

  private static boolean isUnderstood(Node node, Set<Value> reached, ValueFacts facts) {
    if (node.outputs().size() != 1 || !node.domain().isEmpty()) {
      return false;
    }
    if (facts.elementType(node.output()) == DataType.INT64) {
      return OF_INDICES.contains(node.opType()) && keepsOrder(node, reached, facts);
    }
    List<Value> inputs = node.presentInputs();
    return switch (node.opType()) {
      // Tokens are looked up by the indices.
      case "Gather", "GatherND" ->
          !reached.contains(inputs.get(0)) && node.intAttribute("batch_dims", 0) == 0;
      // What is selected stands last.
      case "Concat" ->
          inputs.subList(0, inputs.size() - 1).stream().noneMatch(reached::contains)
              && facts.shape(node.output()).filter(s -> s.size() == RANK).isPresent()
              && Math.floorMod(node.intAttribute("axis", 0), RANK) == TOKENS;
      default -> OF_ROWS.contains(node.opType());
    };
  }

  /** The node that fills the result up with zeros, if that is all that becomes of it. */
  private static Optional<Node> pad(Node attention, long tokens, ValueFacts facts) {
    Value result = attention.output();
    List<Node> readers =
        result.uses().stream().map(Value.Use::node).filter(node -> !node.is("Shape")).toList();
    if (readers.size() != 1 || result.isGraphOutput()) {
      return Optional.empty();
    }
    Node pad = readers.get(0);
    boolean zeros =
        pad.is("Pad")
            && isForNothingElse(result, pad, facts)
            && pad.stringAttribute("mode", "constant").equals("constant")
            && pad.inputCount() > 1
            && pad.input(3).isEmpty()
            && pad.input(2).map(value -> new UniformValues(facts).is(value, 0)).orElse(true);
    return zeros && fillsUp(pad, tokens, facts) ? Optional.of(pad) : Optional.empty();
  }

  /** Whether the size of the result is asked for that node alone. */
  private static boolean isForNothingElse(Value result, Node pad, ValueFacts facts) {
    Set<Node> seen = new HashSet<>(Set.of(pad));
    Deque<Value> work = new ArrayDeque<>(List.of(result));
    while (!work.isEmpty()) {
      for (Value.Use use : work.pop().uses()) {
        if (!seen.add(use.node())) {
          continue;
        }
        for (Value output : use.node().outputs()) {
          if (output.isGraphOutput() || !isCount(facts.elementType(output))) {
            return false;
          }
          work.push(output);
        }
      }
    }
    return true;
  }

  private static boolean isCount(DataType type) {
    return type == DataType.INT64 || type == DataType.INT32 || type == DataType.BOOL;
  }

  private static boolean fillsUp(Node pad, long tokens, ValueFacts facts) {
    Optional<List<Dim>> from = facts.shape(pad.requiredInput(0));
    Optional<List<Dim>> elements = facts.elements(pad.requiredInput(1));
    if (from.isEmpty() || elements.isEmpty() || elements.get().size() != 2 * RANK) {
      return false;
    }
    for (int axis = 0; axis < RANK; axis++) {
      Dim end = elements.get().get(RANK + axis);
      boolean whole = axis == TOKENS ? from.get().get(axis).plus(end).is(tokens) : end.is(0);
      if (!whole || !elements.get().get(axis).is(0)) {
        return false;
      }
    }
    return true;
  }
}
