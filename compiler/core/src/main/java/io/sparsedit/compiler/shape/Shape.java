package io.sparsedit.compiler.shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The dimensions of a tensor whose rank is known.
 *
 * @param dims the dimensions, outermost first
 */
public record Shape(List<Dim> dims) {
  /** The shape of a scalar. */
  public static final Shape SCALAR = new Shape(List.of());

  private static final Dim TWO = Dim.of(2);

  /** A shape of the given dimensions. */
  public Shape {
    dims = List.copyOf(dims);
  }

  /** A shape of the given dimensions. */
  public static Shape of(Dim... dims) {
    return new Shape(Arrays.asList(dims));
  }

  /** A shape of fixed size. */
  public static Shape of(long... dims) {
    return new Shape(Arrays.stream(dims).mapToObj(Dim::of).toList());
  }

  /** The number of dimensions. */
  public int rank() {
    return dims.size();
  }

  /** The dimension at the axis, which counts from the end when negative. */
  public Dim dim(int axis) {
    return dims.get(axis < 0 ? axis + dims.size() : axis);
  }

  /** The number of elements. */
  public Dim elementCount() {
    return Dim.product(dims);
  }

  /** The sizes, if all of them are numbers. */
  public Optional<long[]> sizes() {
    long[] sizes = new long[dims.size()];
    for (int i = 0; i < sizes.length; i++) {
      if (!dims.get(i).isConstant()) {
        return Optional.empty();
      }
      sizes[i] = dims.get(i).offset();
    }
    return Optional.of(sizes);
  }

  /** This with another dimension at the axis. */
  Shape with(int axis, Dim dim) {
    List<Dim> changed = new ArrayList<>(dims);
    changed.set(axis, dim);
    return new Shape(changed);
  }

  /** The dimensions from {@code from} up to and without {@code to}. */
  Shape slice(int from, int to) {
    return new Shape(dims.subList(from, to));
  }

  /** These dimensions followed by others. */
  Shape plus(Shape other) {
    List<Dim> all = new ArrayList<>(dims);
    all.addAll(other.dims);
    return new Shape(all);
  }

  /**
   * The shape that broadcasting gives; empty if the two provably do not broadcast. Where a
   * dimension has two expressions, that of the operand with fewer ones counts: the data, not the
   * table.
   */
  static Optional<Shape> broadcast(Shape a, Shape b) {
    if (b.ones() < a.ones() && b.rank() >= a.rank()) {
      return broadcast(b, a);
    }
    int rank = Math.max(a.rank(), b.rank());
    List<Dim> dims = new ArrayList<>(Collections.nCopies(rank, Dim.ONE));
    for (int i = 1; i <= rank; i++) {
      Dim x = i <= a.rank() ? a.dim(-i) : Dim.ONE;
      Dim y = i <= b.rank() ? b.dim(-i) : Dim.ONE;
      if (x.isConstant() && y.isConstant() && !x.is(1) && !y.is(1) && !x.equals(y)) {
        return Optional.empty();
      }
      dims.set(rank - i, broadcast(x, y));
    }
    return Optional.of(new Shape(dims));
  }

  private long ones() {
    return dims.stream().filter(d -> d.is(1)).count();
  }

  private static Dim broadcast(Dim a, Dim b) {
    if (a.equals(b) || b.is(1)) {
      return a;
    }
    if (a.is(1)) {
      return b;
    }
    // A number other than 1 is the result whatever the other one turns out to be.
    if (a.isConstant()) {
      return a;
    }
    if (b.isConstant()) {
      return b;
    }
    // Two dimensions neither of which can be 1 do not broadcast: they are equal in every run.
    return a.isAtLeast(TWO) && b.isAtLeast(TWO) ? a : a.max(b);
  }

  /** The better known of two dimensions that are equal in every run. */
  static Dim agree(Dim a, Dim b) {
    if (a.isConstant() || a.equals(b)) {
      return a;
    }
    return b.isConstant() || (!a.isNamed() && b.isNamed()) ? b : a;
  }

  @Override
  public String toString() {
    return dims.stream().map(Dim::toString).collect(Collectors.joining(", ", "[", "]"));
  }
}
