package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.Collectors;

/** What an expression of a rule evaluates to. */
public sealed interface Datum {
  /** Two real numbers are equal if they differ by at most this part of the larger. */
  double TOLERANCE = 1e-6;

  /** An integer. */
  record Int(long value) implements Datum {
    @Override
    public String toString() {
      return Long.toString(value);
    }
  }

  /** A real number. */
  record Real(double value) implements Datum {
    @Override
    public String toString() {
      return Double.toString(value);
    }
  }

  /** A truth value. */
  record Flag(boolean value) implements Datum {
    @Override
    public String toString() {
      return Boolean.toString(value);
    }
  }

  /** A string. */
  record Text(String value) implements Datum {
    @Override
    public String toString() {
      return '"' + value + '"';
    }
  }

  /** An element type. */
  record Type(DataType value) implements Datum {
    @Override
    public String toString() {
      return value.shortName();
    }
  }

  /** A dimension that is not a number. */
  record Size(Dim value) implements Datum {
    @Override
    public String toString() {
      return value.toString();
    }
  }

  /** A list. */
  record Items(List<Datum> values) implements Datum {
    public Items {
      values = List.copyOf(values);
    }

    @Override
    public String toString() {
      return values.stream().map(Datum::toString).collect(Collectors.joining(", ", "[", "]"));
    }
  }

  /** A value of the graph. */
  record OfValue(Value value) implements Datum {
    @Override
    public String toString() {
      return value.toString();
    }
  }

  /** An integer. */
  static Datum of(long value) {
    return new Int(value);
  }

  /** A real number. */
  static Datum of(double value) {
    return new Real(value);
  }

  /** A truth value. */
  static Datum of(boolean value) {
    return new Flag(value);
  }

  /** A string. */
  static Datum of(String value) {
    return new Text(value);
  }

  /** A dimension: an {@link Int} where it is a number. */
  static Datum of(Dim dim) {
    return dim.constant().isPresent() ? new Int(dim.constant().getAsLong()) : new Size(dim);
  }

  /** The value of an attribute, unless it is a tensor, a graph or the like. */
  static Optional<Datum> of(Attribute attribute) {
    if (attribute instanceof Attribute.IntValue i) {
      return Optional.of(new Int(i.value()));
    }
    if (attribute instanceof Attribute.FloatValue f) {
      return Optional.of(new Real(f.value()));
    }
    if (attribute instanceof Attribute.StringValue s) {
      return Optional.of(new Text(s.value()));
    }
    if (attribute instanceof Attribute.IntList ints) {
      return Optional.of(new Items(ints.values().stream().map(i -> (Datum) new Int(i)).toList()));
    }
    if (attribute instanceof Attribute.FloatList floats) {
      return Optional.of(
          new Items(floats.values().stream().map(f -> (Datum) new Real(f)).toList()));
    }
    if (attribute instanceof Attribute.StringList strings) {
      return Optional.of(
          new Items(strings.values().stream().map(s -> (Datum) new Text(s)).toList()));
    }
    return Optional.empty();
  }

  /** The only element of a constant, if it has one that is numeric. */
  static Optional<Datum> ofScalar(Tensor tensor) {
    if (tensor.elementCount() != 1) {
      return Optional.empty();
    }
    if (tensor.type().isFloating()) {
      return tensor.doubles().map(d -> new Real(d[0]));
    }
    return tensor.longs().map(l -> new Int(l[0]));
  }

  /** The number that this is, if it is one. */
  default OptionalDouble number() {
    if (this instanceof Int i) {
      return OptionalDouble.of((double) i.value());
    }
    return this instanceof Real r ? OptionalDouble.of(r.value()) : OptionalDouble.empty();
  }

  /** Whether two data are the same, with a tolerance where one of them is real. */
  default boolean matches(Datum other) {
    if (this instanceof Items a && other instanceof Items b) {
      if (a.values().size() != b.values().size()) {
        return false;
      }
      for (int i = 0; i < a.values().size(); i++) {
        if (!a.values().get(i).matches(b.values().get(i))) {
          return false;
        }
      }
      return true;
    }
    if (this instanceof Type type && other instanceof Int code) {
      return type.value().code() == code.value();
    }
    if (this instanceof Int && other instanceof Type) {
      return other.matches(this);
    }
    if (this instanceof Int || this instanceof Real) {
      OptionalDouble a = number();
      OptionalDouble b = other.number();
      if (a.isPresent() && b.isPresent() && (this instanceof Real || other instanceof Real)) {
        return close(a.getAsDouble(), b.getAsDouble(), TOLERANCE);
      }
    }
    return equals(other);
  }

  /** Whether two numbers differ by at most the given part of the larger. */
  static boolean close(double a, double b, double tolerance) {
    return a == b
        || Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b))
        || (Double.isNaN(a) && Double.isNaN(b));
  }
}
