package io.sparsedit.compiler.shape;

import java.util.List;
import java.util.stream.Collectors;

/** What a {@link Dim} multiplies and adds up: a symbol or an operation that does not simplify. */
sealed interface Atom extends Comparable<Atom> {
  /** What is known of a symbol. */
  enum Sort {
    /** A named size, at least 1. */
    SIZE,
    /** A size without a name, at least 0. */
    UNKNOWN,
    /** An integer read from a tensor. */
    DATA
  }

  /** A symbol. */
  record Symbol(String name, Sort sort) implements Atom {
    @Override
    public List<Dim> operands() {
      return List.of();
    }

    @Override
    public Interval bounds() {
      return switch (sort) {
        case SIZE -> new Interval(1, Interval.INFINITY);
        case UNKNOWN -> new Interval(0, Interval.INFINITY);
        case DATA -> Interval.ANY;
      };
    }

    @Override
    public String toString() {
      return name;
    }
  }

  /** The quotient rounded down. */
  record FloorDiv(Dim numerator, Dim denominator, String text) implements Atom {
    FloorDiv(Dim numerator, Dim denominator) {
      this(numerator, denominator, "(" + operand(numerator) + "//" + operand(denominator) + ")");
    }

    @Override
    public List<Dim> operands() {
      return List.of(numerator, denominator);
    }

    @Override
    public Interval bounds() {
      return numerator.bounds().floorDiv(denominator.bounds());
    }

    @Override
    public String toString() {
      return text;
    }

    private static String operand(Dim dim) {
      boolean simple = dim.isConstant() && dim.offset() >= 0;
      if (!simple && !dim.isConstant()) {
        simple =
            dim.terms().size() == 1
                && dim.leadingCoefficient() == 1
                && dim.leadingMonomial().factors().size() == 1
                && !(dim.leadingMonomial().factors().get(0) instanceof FloorDiv);
      }
      return simple ? dim.toString() : "(" + dim + ")";
    }
  }

  /** The largest of several. */
  record Max(List<Dim> operands, String text) implements Atom {
    Max(List<Dim> operands) {
      this(List.copyOf(operands), list("Max", operands));
    }

    @Override
    public Interval bounds() {
      return operands.stream().map(Dim::bounds).reduce(Interval::max).orElseThrow();
    }

    @Override
    public String toString() {
      return text;
    }
  }

  /** The smallest of several. */
  record Min(List<Dim> operands, String text) implements Atom {
    Min(List<Dim> operands) {
      this(List.copyOf(operands), list("Min", operands));
    }

    @Override
    public Interval bounds() {
      return operands.stream().map(Dim::bounds).reduce(Interval::min).orElseThrow();
    }

    @Override
    public String toString() {
      return text;
    }
  }

  /** The operands; none for a symbol. */
  List<Dim> operands();

  /** The range of values. */
  Interval bounds();

  /** Symbols first, then by text. */
  @Override
  default int compareTo(Atom other) {
    int byKind = Integer.compare(rank(), other.rank());
    return byKind != 0 ? byKind : toString().compareTo(other.toString());
  }

  private int rank() {
    if (!(this instanceof Symbol symbol)) {
      return 3;
    }
    return switch (symbol.sort()) {
      case SIZE -> 0;
      case UNKNOWN -> 1;
      case DATA -> 2;
    };
  }

  private static String list(String function, List<Dim> operands) {
    return operands.stream()
        .map(Dim::toString)
        .collect(Collectors.joining(", ", function + "(", ")"));
  }
}
