package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * The whole that some values are parts of.
 *
 * @param source a value that the graph has
 * @param perms transpositions of it, in order, that give the whole
 */
record AxisParts(Value source, List<List<Integer>> perms) {
  /** Nodes that two equal computations may consist of. */
  private static final int MAX_DEPTH = 8;

  /** A Slice or an output of a Split, behind transpositions. */
  private record Part(AxisParts whole, long from, long length) {}

  AxisParts {
    perms = List.copyOf(perms);
  }

  /** The value that all of the given ones are, or compute alike. */
  static Optional<AxisParts> same(List<Value> values, ValueFacts facts) {
    Value first = values.get(0);
    for (Value value : values) {
      if (!alike(first, value, facts, 0)) {
        return Optional.empty();
      }
    }
    return Optional.of(new AxisParts(first, List.of()));
  }

  /** The value that the given ones make up along an axis, in order and without a gap. */
  static Optional<AxisParts> joined(List<Value> values, int axis, ValueFacts facts) {
    Optional<AxisParts> whole = Optional.empty();
    long next = 0;
    for (Value value : values) {
      Optional<Part> part = part(value, axis, facts);
      if (part.isEmpty()
          || part.get().from() != next
          || (whole.isPresent() && !whole.get().equals(part.get().whole()))) {
        return Optional.empty();
      }
      whole = part.map(Part::whole);
      next += part.get().length();
    }
    long end = next;
    return whole.filter(w -> w.length(axis, facts).filter(d -> d.is(end)).isPresent());
  }

  private Optional<Dim> length(int axis, ValueFacts facts) {
    int place = axis;
    for (int i = perms.size() - 1; i >= 0; i--) {
      place = perms.get(i).get(place);
    }
    int at = place;
    return facts.shape(source).filter(dims -> at < dims.size()).map(dims -> dims.get(at));
  }

  /** Puts the transpositions in; those that are new are added to the list. */
  Value build(Inserter insert, List<Node> made) {
    Value value = source;
    for (List<Integer> perm : perms) {
      Value turned = insert.transpose(value, perm);
      if (turned != value) {
        made.add(turned.producer().orElseThrow());
      }
      value = turned;
    }
    return value;
  }

  private static Optional<Part> part(Value value, int axis, ValueFacts facts) {
    List<List<Integer>> perms = new ArrayList<>();
    Value v = value;
    int place = axis;
    for (int depth = 0; depth < MAX_DEPTH && v.producer().isPresent(); depth++) {
      Node node = v.producer().get();
      Optional<List<Integer>> perm = Permutations.of(node, facts);
      if (perm.isPresent()) {
        perms.add(0, perm.get());
        place = perm.get().get(place);
        v = node.requiredInput(0);
        continue;
      }
      AxisParts whole = new AxisParts(node.requiredInput(0), perms);
      if (node.is("Slice")) {
        return slice(node, place, whole, facts);
      }
      return node.is("Split") ? piece(node, v, place, whole, facts) : Optional.empty();
    }
    return Optional.empty();
  }

  private static Optional<Part> slice(Node node, int axis, AxisParts whole, ValueFacts facts) {
    Optional<long[]> starts = longs(node, 1, facts);
    Optional<long[]> axes = longs(node, 3, facts);
    boolean unitStep =
        node.input(4).isEmpty() || longs(node, 4, facts).filter(s -> s[0] == 1).isPresent();
    Optional<Dim> length = dim(node.output(), axis, facts);
    Optional<Dim> all = dim(node.requiredInput(0), axis, facts);
    int rank = facts.shape(node.requiredInput(0)).map(List::size).orElse(0);
    boolean thisAxisAlone =
        axes.isPresent()
            && axes.get().length == 1
            && Math.floorMod(axes.get()[0], Math.max(rank, 1)) == axis;
    if (starts.isEmpty()
        || !thisAxisAlone
        || !unitStep
        || length.isEmpty()
        || !length.get().isConstant()
        || all.isEmpty()
        || !all.get().isConstant()) {
      return Optional.empty();
    }
    long total = all.get().constant().orElseThrow();
    long start = starts.get()[0];
    return Optional.of(
        new Part(whole, start < 0 ? start + total : start, length.get().constant().orElseThrow()));
  }

  private static Optional<Part> piece(
      Node split, Value value, int axis, AxisParts whole, ValueFacts facts) {
    int rank = facts.shape(split.requiredInput(0)).map(List::size).orElse(0);
    if (rank == 0 || Math.floorMod(Math.toIntExact(split.intAttribute("axis", 0)), rank) != axis) {
      return Optional.empty();
    }
    long from = 0;
    for (Value output : split.outputs()) {
      Optional<Dim> length = dim(output, axis, facts).filter(Dim::isConstant);
      if (length.isEmpty()) {
        return Optional.empty();
      }
      long elements = length.get().constant().orElseThrow();
      if (output == value) {
        return Optional.of(new Part(whole, from, elements));
      }
      from += elements;
    }
    return Optional.empty();
  }

  private static Optional<long[]> longs(Node node, int input, ValueFacts facts) {
    return node.input(input)
        .flatMap(facts::constant)
        .flatMap(Tensor::longs)
        .filter(elements -> elements.length > 0);
  }

  private static Optional<Dim> dim(Value value, int axis, ValueFacts facts) {
    return facts.shape(value).filter(dims -> axis < dims.size()).map(dims -> dims.get(axis));
  }

  /** Whether two values are one, or are computed alike from the same. */
  private static boolean alike(Value a, Value b, ValueFacts facts, int depth) {
    if (a == b) {
      return true;
    }
    Optional<Node> first = a.producer();
    Optional<Node> second = b.producer();
    if (first.isEmpty() || second.isEmpty()) {
      Optional<double[]> x = facts.constant(a).flatMap(Tensor::doubles);
      Optional<double[]> y = facts.constant(b).flatMap(Tensor::doubles);
      return x.isPresent()
          && y.isPresent()
          && Arrays.equals(x.get(), y.get())
          && facts.shape(a).equals(facts.shape(b));
    }
    Node one = first.get();
    Node other = second.get();
    if (depth > MAX_DEPTH
        || a.outputIndex() != b.outputIndex()
        || !one.domain().equals(other.domain())
        || !one.opType().equals(other.opType())
        || !one.attributes().equals(other.attributes())
        || !one.subgraphs().isEmpty()
        || one.inputCount() != other.inputCount()) {
      return false;
    }
    for (int i = 0; i < one.inputCount(); i++) {
      Optional<Value> x = one.input(i);
      Optional<Value> y = other.input(i);
      if (x.isPresent() != y.isPresent()
          || (x.isPresent() && !alike(x.get(), y.get(), facts, depth + 1))) {
        return false;
      }
    }
    return !one.opType().startsWith("Random");
  }
}
