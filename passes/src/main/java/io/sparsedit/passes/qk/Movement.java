package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Operators that put elements elsewhere and leave them as they are, up to their type. */
final class Movement {
  private final ValueFacts facts;
  private final Map<Node, Optional<ReshapedIndex>> reshapes = new HashMap<>();

  Movement(ValueFacts facts) {
    this.facts = facts;
  }

  /** An operand's element that goes into an element of an elementwise operator's output. */
  Element operand(Value operand, Element output) {
    List<Dim> dims = facts.shape(operand).orElse(List.of());
    int missing = output.at().size() - dims.size();
    List<Index> at = new ArrayList<>();
    for (int axis = 0; axis < dims.size(); axis++) {
      at.add(
          dims.get(axis).is(1) || axis + missing < 0
              ? Index.FIRST
              : output.at().get(axis + missing));
    }
    return new Element(operand, at);
  }

  /** The element that an operator put here; empty if it is no such operator, or cannot be said. */
  Optional<Element> before(Element element) {
    Optional<Node> producer = element.value().producer();
    if (producer.isEmpty() || !producer.get().domain().isEmpty()) {
      return Optional.empty();
    }
    Node node = producer.get();
    if (node.inputCount() == 0 || node.input(0).isEmpty()) {
      return Optional.empty();
    }
    Value data = node.requiredInput(0);
    return switch (node.opType()) {
      case "Identity", "Cast", "CastLike" -> Optional.of(new Element(data, element.at()));
      case "Expand" -> facts.shape(data).map(dims -> operand(data, element));
      case "Transpose" -> ofTranspose(node, element);
      case "Reshape", "Flatten", "Squeeze", "Unsqueeze" -> ofReshape(node, element);
      case "Slice" -> ofSlice(node, element);
      case "Split" -> ofSplit(node, element);
      case "Concat" -> ofConcat(node, element);
      case "Gather" -> ofGather(node, element);
      case "Tile" -> ofTile(node, element);
      default -> Optional.empty();
    };
  }

  private static Optional<Element> ofTranspose(Node node, Element element) {
    int rank = element.at().size();
    List<Index> at = new ArrayList<>(element.at());
    Optional<List<Long>> perm = node.intsAttribute("perm");
    for (int i = 0; i < rank; i++) {
      int axis = perm.isPresent() ? Math.toIntExact(perm.get().get(i)) : rank - 1 - i;
      at.set(axis, element.at().get(i));
    }
    return Optional.of(new Element(node.requiredInput(0), at));
  }

  private Optional<Element> ofReshape(Node node, Element element) {
    Value data = node.requiredInput(0);
    return reshapes
        .computeIfAbsent(
            node,
            n -> {
              Optional<List<Dim>> from = facts.shape(data);
              Optional<List<Dim>> to = facts.shape(n.output());
              return from.isPresent() && to.isPresent()
                  ? Optional.of(new ReshapedIndex(from.get(), to.get()))
                  : Optional.empty();
            })
        .flatMap(reshape -> reshape.before(element.at()))
        .map(at -> new Element(data, at));
  }

  private Optional<Element> ofSlice(Node node, Element element) {
    Value data = node.requiredInput(0);
    Optional<List<Dim>> dims = facts.shape(data);
    Optional<List<Dim>> starts = node.input(1).flatMap(facts::elements);
    if (dims.isEmpty() || starts.isEmpty()) {
      return Optional.empty();
    }
    Optional<List<Dim>> axes = node.input(3).flatMap(facts::elements);
    Optional<List<Dim>> steps = node.input(4).flatMap(facts::elements);
    if (node.input(3).isPresent() != axes.isPresent()
        || node.input(4).isPresent() != steps.isPresent()) {
      return Optional.empty();
    }
    List<Index> at = new ArrayList<>(element.at());
    for (int i = 0; i < starts.get().size(); i++) {
      Dim step = steps.isPresent() ? steps.get().get(i) : Dim.ONE;
      Dim where = axes.isPresent() ? axes.get().get(i) : Dim.of(i);
      if (!step.isConstant() || !where.isConstant()) {
        return Optional.empty();
      }
      int axis = axis(where.constant().getAsLong(), at.size());
      Optional<Index> index =
          sliced(
              at.get(axis), starts.get().get(i), step.constant().getAsLong(), dims.get().get(axis));
      if (index.isEmpty()) {
        return Optional.empty();
      }
      at.set(axis, index.get());
    }
    return Optional.of(new Element(data, at));
  }

  private static Optional<Index> sliced(Index index, Dim start, long step, Dim size) {
    Dim first;
    if (start.isAtLeast(Dim.ZERO)) {
      first = step < 0 && size.isConstant() ? start.min(size.minus(1)) : start;
    } else if (Dim.of(-1).isAtLeast(start)) {
      first = size.plus(start);
    } else {
      return Optional.empty();
    }
    if (step == 1) {
      return Index.plus(index, first);
    }
    return index instanceof Index.At at && first.isConstant()
        ? Optional.of(new Index.At(first.constant().getAsLong() + at.number() * step))
        : Optional.empty();
  }

  private Optional<Element> ofSplit(Node node, Element element) {
    int axis = axis(node.intAttribute("axis", 0), element.at().size());
    Dim offset = Dim.ZERO;
    for (int i = 0; i < element.value().outputIndex(); i++) {
      Optional<List<Dim>> part = facts.shape(node.output(i));
      if (part.isEmpty()) {
        return Optional.empty();
      }
      offset = offset.plus(part.get().get(axis));
    }
    return Index.plus(element.at().get(axis), offset)
        .map(index -> new Element(node.requiredInput(0), replaced(element.at(), axis, index)));
  }

  private Optional<Element> ofConcat(Node node, Element element) {
    int axis = axis(node.intAttribute("axis", 0), element.at().size());
    Index index = element.at().get(axis);
    Dim start = Dim.ZERO;
    List<Value> parts = node.presentInputs();
    for (int i = 0; i < parts.size(); i++) {
      Optional<List<Dim>> dims = facts.shape(parts.get(i));
      if (dims.isEmpty()) {
        return Optional.empty();
      }
      Dim size = dims.get().get(axis);
      // What is in no other part is in the last.
      Cover cover =
          i == parts.size() - 1 && i > 0 ? Cover.INSIDE : cover(index, start, start.plus(size));
      if (cover == Cover.UNKNOWN) {
        return Optional.empty();
      }
      if (cover == Cover.INSIDE) {
        Value part = parts.get(i);
        return Index.plus(index, start.negate())
            .map(moved -> new Element(part, replaced(element.at(), axis, moved)));
      }
      start = start.plus(size);
    }
    return Optional.empty();
  }

  /** Whether an index is in a range. */
  enum Cover {
    INSIDE,
    OUTSIDE,
    UNKNOWN
  }

  /**
   * Whether an index is in a range.
   *
   * @throws SplitRegionException if the first of the tokens that it stands for are and others are
   *     not, or the other way round
   */
  static Cover cover(Index index, Dim low, Dim high) {
    if (index instanceof Index.At at) {
      Dim number = Dim.of(at.number());
      if (low.isAtLeast(number.plus(1)) || number.isAtLeast(high)) {
        return Cover.OUTSIDE;
      }
      return number.isAtLeast(low) && high.isAtLeast(number.plus(1)) ? Cover.INSIDE : Cover.UNKNOWN;
    }
    if (!(index instanceof Index.Along along)) {
      return Cover.UNKNOWN;
    }
    if (along.low().isAtLeast(high) || low.isAtLeast(along.high())) {
      return Cover.OUTSIDE;
    }
    if (along.low().isAtLeast(low) && high.isAtLeast(along.high())) {
      return Cover.INSIDE;
    }
    if (along.symbol().isToken()) {
      for (Dim bound : List.of(low, high)) {
        // Either part may be empty at run time.
        if (bound.isAtLeast(along.low())
            && along.high().isAtLeast(bound)
            && !bound.equals(along.low())
            && !bound.equals(along.high())) {
          throw new SplitRegionException(bound.minus(along.offset()));
        }
      }
    }
    return Cover.UNKNOWN;
  }

  private Optional<Element> ofGather(Node node, Element element) {
    Value data = node.requiredInput(0);
    Value indices = node.requiredInput(1);
    Optional<List<Dim>> dims = facts.shape(data);
    Optional<List<Dim>> indexDims = facts.shape(indices);
    if (dims.isEmpty() || indexDims.isEmpty()) {
      return Optional.empty();
    }
    int axis = axis(node.intAttribute("axis", 0), dims.get().size());
    int end = axis + indexDims.get().size();
    Dim size = dims.get().get(axis);
    return new IntegerTrace(this, facts)
        .of(new Element(indices, element.at().subList(axis, end)))
        .flatMap(IntegerTrace.Linear::index)
        .flatMap(
            index ->
                index instanceof Index.At at && at.number() < 0
                    ? Index.plus(index, size)
                    : Optional.of(index))
        .map(
            index -> {
              List<Index> at = new ArrayList<>(element.at().subList(0, axis));
              at.add(index);
              at.addAll(element.at().subList(end, element.at().size()));
              return new Element(data, at);
            });
  }

  private Optional<Element> ofTile(Node node, Element element) {
    Value data = node.requiredInput(0);
    Optional<List<Dim>> dims = facts.shape(data);
    Optional<List<Dim>> repeats = facts.elements(node.requiredInput(1));
    if (dims.isEmpty() || repeats.isEmpty()) {
      return Optional.empty();
    }
    List<Index> at = new ArrayList<>();
    for (int axis = 0; axis < dims.get().size(); axis++) {
      Index index = element.at().get(axis);
      Dim size = dims.get().get(axis);
      if (size.is(1)) {
        at.add(Index.FIRST);
      } else if (repeats.get().get(axis).is(1)) {
        at.add(index);
      } else if (index instanceof Index.At some && size.isConstant()) {
        at.add(new Index.At(some.number() % size.constant().getAsLong()));
      } else {
        return Optional.empty();
      }
    }
    return Optional.of(new Element(data, at));
  }

  private static List<Index> replaced(List<Index> at, int axis, Index index) {
    List<Index> copy = new ArrayList<>(at);
    copy.set(axis, index);
    return copy;
  }

  private static int axis(long axis, int rank) {
    return Math.toIntExact(axis < 0 ? axis + rank : axis);
  }
}
