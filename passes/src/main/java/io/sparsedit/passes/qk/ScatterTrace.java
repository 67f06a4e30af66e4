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

/**
 * Whether an element of a ScatterND or ScatterElements is an update or was there before.
 *
 * <p>The index grid is an expression of the update's own position, such as {@code (b, s, h, 2 i +
 * 1)}. It is solved for the position; nothing of the grid is computed.
 */
final class ScatterTrace {
  private final ValueFacts facts;
  private final IntegerTrace integers;
  private final Map<Node, Optional<Grid>> grids = new HashMap<>();

  ScatterTrace(Movement movement, ValueFacts facts) {
    this.facts = facts;
    this.integers = new IntegerTrace(movement, facts);
  }

  /** Where updates go: an index for each of the first axes, by the position of the update. */
  private record Grid(List<Symbol> position, List<IntegerTrace.Linear> goesTo) {}

  /** The element that was scattered or left here; empty if it cannot be said. */
  Optional<Element> before(Node node, Element element) {
    if (!node.stringAttribute("reduction", "none").equals("none")) {
      return Optional.empty();
    }
    return node.is("ScatterND") ? ofScatterNd(node, element) : ofScatterElements(node, element);
  }

  private Optional<Element> ofScatterNd(Node node, Element element) {
    Optional<Grid> grid = grids.computeIfAbsent(node, this::grid);
    if (grid.isEmpty()) {
      return Optional.empty();
    }
    Map<Symbol, Index> solution = new HashMap<>();
    int depth = grid.get().goesTo().size();
    for (int axis = 0; axis < depth; axis++) {
      Movement.Cover cover = solve(grid.get().goesTo().get(axis), element.at().get(axis), solution);
      if (cover == Movement.Cover.UNKNOWN) {
        return Optional.empty();
      }
      if (cover == Movement.Cover.OUTSIDE) {
        return Optional.of(new Element(node.requiredInput(0), element.at()));
      }
    }
    List<Index> at = new ArrayList<>();
    for (Symbol symbol : grid.get().position()) {
      Index index = symbol.size().is(1) ? Index.FIRST : solution.get(symbol);
      if (index == null) {
        return Optional.empty();
      }
      at.add(index);
    }
    at.addAll(element.at().subList(depth, element.at().size()));
    return Optional.of(new Element(node.requiredInput(2), at));
  }

  private Optional<Grid> grid(Node node) {
    Value indices = node.requiredInput(1);
    Optional<List<Dim>> dims = facts.shape(indices);
    if (dims.isEmpty() || dims.get().isEmpty()) {
      return Optional.empty();
    }
    int rank = dims.get().size();
    Dim depth = dims.get().get(rank - 1);
    Optional<List<Dim>> dataDims = facts.shape(node.requiredInput(0));
    if (!depth.isConstant() || dataDims.isEmpty()) {
      return Optional.empty();
    }
    List<Symbol> position = new ArrayList<>();
    List<Index> at = new ArrayList<>();
    for (int axis = 0; axis < rank - 1; axis++) {
      Symbol symbol = new Symbol("update" + axis, Dim.ZERO, dims.get().get(axis));
      position.add(symbol);
      at.add(symbol.size().is(1) ? Index.FIRST : new Index.Along(symbol, Dim.ZERO));
    }
    List<IntegerTrace.Linear> goesTo = new ArrayList<>();
    for (long i = 0; i < depth.constant().getAsLong(); i++) {
      List<Index> place = new ArrayList<>(at);
      place.add(new Index.At(i));
      Optional<IntegerTrace.Linear> linear = integers.of(new Element(indices, place));
      if (linear.isEmpty()) {
        return Optional.empty();
      }
      goesTo.add(notNegative(linear.get(), dataDims.get().get((int) i)));
    }
    return Optional.of(new Grid(position, goesTo));
  }

  /** Indices below 0 count from the end. */
  private static IntegerTrace.Linear notNegative(IntegerTrace.Linear linear, Dim size) {
    return linear.symbol().isEmpty() && Dim.of(-1).isAtLeast(linear.offset())
        ? IntegerTrace.Linear.of(linear.offset().plus(size))
        : linear;
  }

  private Optional<Element> ofScatterElements(Node node, Element element) {
    Value data = node.requiredInput(0);
    Value indices = node.requiredInput(1);
    Optional<List<Dim>> dataDims = facts.shape(data);
    Optional<List<Dim>> dims = facts.shape(indices);
    if (dims.isEmpty() || dataDims.isEmpty()) {
      return Optional.empty();
    }
    int rank = dims.get().size();
    long along = node.intAttribute("axis", 0);
    int axis = Math.toIntExact(along < 0 ? along + rank : along);
    // Updates may be fewer than the data along the other axes too; then they are its first.
    for (int i = 0; i < rank; i++) {
      if (i != axis && !sameSize(dims.get().get(i), dataDims.get().get(i))) {
        return Optional.empty();
      }
    }
    Symbol symbol = new Symbol("update", Dim.ZERO, dims.get().get(axis));
    List<Index> at = new ArrayList<>(element.at());
    at.set(axis, symbol.size().is(1) ? Index.FIRST : new Index.Along(symbol, Dim.ZERO));
    Map<Symbol, Index> solution = new HashMap<>();
    Optional<IntegerTrace.Linear> linear =
        integers.of(new Element(indices, at)).map(l -> notNegative(l, dataDims.get().get(axis)));
    if (linear.isEmpty()) {
      return Optional.empty();
    }
    Movement.Cover cover = solve(linear.get(), element.at().get(axis), solution);
    if (cover == Movement.Cover.UNKNOWN) {
      return Optional.empty();
    }
    if (cover == Movement.Cover.OUTSIDE) {
      return Optional.of(new Element(data, element.at()));
    }
    at.set(axis, solution.getOrDefault(symbol, Index.FIRST));
    return Optional.of(new Element(node.requiredInput(2), at));
  }

  private static boolean sameSize(Dim a, Dim b) {
    return a.equals(b) || a.isConstant() != b.isConstant();
  }

  /** Solves {@code goesTo = index} for the position. */
  private static Movement.Cover solve(
      IntegerTrace.Linear goesTo, Index index, Map<Symbol, Index> solution) {
    if (goesTo.symbol().isEmpty()) {
      return Movement.cover(index, goesTo.offset(), goesTo.offset().plus(1));
    }
    Symbol symbol = goesTo.symbol().get();
    if (solution.containsKey(symbol) || !symbol.from().is(0)) {
      return Movement.Cover.UNKNOWN;
    }
    if (index instanceof Index.At at && goesTo.offset().isConstant() && goesTo.step() != 0) {
      long distance = at.number() - goesTo.offset().constant().getAsLong();
      if (distance % goesTo.step() != 0) {
        return Movement.Cover.OUTSIDE;
      }
      Index position = new Index.At(distance / goesTo.step());
      solution.put(symbol, position);
      return Movement.cover(position, Dim.ZERO, symbol.size());
    }
    if (index instanceof Index.Along along && goesTo.step() == 1) {
      Index.Along position = new Index.Along(along.symbol(), along.offset().minus(goesTo.offset()));
      solution.put(symbol, position);
      Movement.Cover cover = Movement.cover(position, Dim.ZERO, symbol.size());
      // A size that is baked in on one side only: the whole axis is meant.
      return cover == Movement.Cover.UNKNOWN
              && position.offset().is(0)
              && sameSize(position.symbol().size(), symbol.size())
          ? Movement.Cover.INSIDE
          : cover;
    }
    return Movement.Cover.UNKNOWN;
  }
}
