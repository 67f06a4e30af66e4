package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The index of an element along one axis of a tensor. */
sealed interface Index {
  /** The first index. */
  Index FIRST = new At(0);

  /** A number. */
  record At(long number) implements Index {}

  /** A symbol plus an offset. */
  record Along(Symbol symbol, Dim offset) implements Index {
    /** The least value. */
    Dim low() {
      return symbol.from().plus(offset);
    }

    /** The largest value, plus one. */
    Dim high() {
      return low().plus(symbol.size());
    }
  }

  /** Several indices as one, as a Reshape joins axes; the outermost digit comes first. */
  record Joined(List<Digit> digits) implements Index {
    public Joined {
      digits = List.copyOf(digits);
    }
  }

  /**
   * An element of an index tensor, as Gather uses it.
   *
   * @param indices the index tensor
   * @param at which of its elements
   */
  record Looked(Value indices, List<Index> at) implements Index {
    public Looked {
      at = List.copyOf(at);
    }
  }

  /**
   * A digit of a joined index.
   *
   * @param index its value
   * @param size the size of its axis
   */
  record Digit(Index index, Dim size) {}

  /** The index of several axes joined, outermost first. */
  static Index join(List<Digit> digits) {
    List<Digit> merged = new ArrayList<>();
    for (Digit digit : digits) {
      if (digit.size().is(1)) {
        continue;
      }
      int last = merged.size() - 1;
      if (last >= 0
          && digit.index() instanceof At inner
          && merged.get(last).index() instanceof At outer
          && digit.size().isConstant()) {
        long size = digit.size().constant().getAsLong();
        merged.set(
            last,
            new Digit(
                new At(outer.number() * size + inner.number()),
                merged.get(last).size().times(size)));
      } else {
        merged.add(digit);
      }
    }
    if (merged.isEmpty()) {
      return FIRST;
    }
    return merged.size() == 1 ? merged.get(0).index() : new Joined(merged);
  }

  /** The index of an axis as digits, outermost first. */
  static List<Digit> digits(Index index, Dim size) {
    return index instanceof Joined joined ? joined.digits() : List.of(new Digit(index, size));
  }

  /** The index plus an offset, if it can be said. */
  static Optional<Index> plus(Index index, Dim offset) {
    if (offset.is(0)) {
      return Optional.of(index);
    }
    if (index instanceof At at && offset.isConstant()) {
      return Optional.of(new At(at.number() + offset.constant().getAsLong()));
    }
    if (index instanceof Along along) {
      return Optional.of(new Along(along.symbol(), along.offset().plus(offset)));
    }
    return Optional.empty();
  }
}
