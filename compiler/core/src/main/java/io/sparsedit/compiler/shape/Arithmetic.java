package io.sparsedit.compiler.shape;

import io.sparsedit.compiler.shape.Scalar.Exact;
import io.sparsedit.compiler.shape.Scalar.Real;
import java.util.Optional;
import java.util.function.BinaryOperator;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;

/** Operators on single elements, as ONNX defines them for integers and floating-point numbers. */
final class Arithmetic {
  private Arithmetic() {}

  // ---- two operands -----------------------------------------------------------------------------

  static Scalar add(Scalar a, Scalar b) {
    return exactly(
        a,
        b,
        Double::sum,
        (x, y) -> quotient(cross(x, y).plus(cross(y, x)), x.denominator().times(y.denominator())));
  }

  static Scalar subtract(Scalar a, Scalar b) {
    return exactly(
        a,
        b,
        (x, y) -> x - y,
        (x, y) -> quotient(cross(x, y).minus(cross(y, x)), x.denominator().times(y.denominator())));
  }

  static Scalar multiply(Scalar a, Scalar b) {
    if (isZero(a) || isZero(b)) {
      return isZero(a) ? a : b;
    }
    return exactly(
        a,
        b,
        (x, y) -> x * y,
        (x, y) ->
            quotient(x.numerator().times(y.numerator()), x.denominator().times(y.denominator())));
  }

  /** The quotient of floating-point numbers. */
  static Scalar divide(Scalar a, Scalar b) {
    return exactly(a, b, (x, y) -> x / y, (x, y) -> quotient(cross(x, y), cross(y, x)));
  }

  /** The quotient of integers, rounded towards zero. */
  static Scalar divideIntegers(Scalar a, Scalar b) {
    Optional<Dim> x = a.dim();
    Optional<Dim> y = b.dim();
    if (x.isEmpty() || y.isEmpty()) {
      return Scalar.unknown();
    }
    if (a.isNumber() && b.isNumber()) {
      return Scalar.of(Dim.of(x.get().offset() / nonZero(y.get().offset())));
    }
    Optional<Dim> exact = Quotient.exact(x.get(), y.get());
    if (exact.isPresent()) {
      return Scalar.of(exact.get());
    }
    boolean positive = x.get().isAtLeast(Dim.ZERO) && y.get().isAtLeast(Dim.ZERO);
    return positive ? Scalar.of(x.get().floorDiv(y.get())) : Scalar.unknown();
  }

  /** The remainder of integers with the sign of the divisor, or of the dividend. */
  static Scalar remainder(Scalar a, Scalar b, boolean signOfDividend) {
    if (a instanceof Real x && b instanceof Real y) {
      return new Real(x.value() % y.value());
    }
    Optional<Dim> x = a.dim();
    Optional<Dim> y = b.dim();
    if (x.isEmpty() || y.isEmpty()) {
      return Scalar.unknown();
    }
    if (a.isNumber() && b.isNumber() && signOfDividend) {
      return Scalar.of(x.get().offset() % nonZero(y.get().offset()));
    }
    boolean positive = x.get().isAtLeast(Dim.ZERO) && y.get().isAtLeast(Dim.ZERO);
    return signOfDividend && !positive ? Scalar.unknown() : Scalar.of(x.get().mod(y.get()));
  }

  static Scalar power(Scalar a, Scalar b) {
    if (a instanceof Real x && b.isNumber()) {
      return new Real(Math.pow(x.value(), real(b)));
    }
    long exponent =
        b.exact()
            .flatMap(e -> new Exact(e.numerator(), e.denominator()).dim())
            .flatMap(d -> d.constant().stream().boxed().findFirst())
            .orElse(-1L);
    if (exponent < 0 || exponent > 4) {
      return Scalar.unknown();
    }
    Scalar result = Scalar.of(1);
    for (int i = 0; i < exponent; i++) {
      result = multiply(result, a);
    }
    return result;
  }

  static Scalar max(Scalar a, Scalar b) {
    if (a instanceof Real x && b instanceof Real y) {
      return new Real(Math.max(x.value(), y.value()));
    }
    return integers(a, b, Dim::max);
  }

  static Scalar min(Scalar a, Scalar b) {
    if (a instanceof Real x && b instanceof Real y) {
      return new Real(Math.min(x.value(), y.value()));
    }
    return integers(a, b, Dim::min);
  }

  // ---- comparisons ------------------------------------------------------------------------------

  static Scalar equal(Scalar a, Scalar b) {
    if (a instanceof Real x && b instanceof Real y) {
      return Scalar.of(x.value() == y.value());
    }
    return difference(a, b)
        .map(
            range -> {
              if (range.low() == 0 && range.high() == 0) {
                return Scalar.of(true);
              }
              return range.contains(0) ? Scalar.unknown() : Scalar.of(false);
            })
        .orElse(Scalar.unknown());
  }

  static Scalar less(Scalar a, Scalar b) {
    if (a instanceof Real x && b instanceof Real y) {
      return Scalar.of(x.value() < y.value());
    }
    return difference(a, b)
        .map(
            range -> {
              if (range.high() < 0) {
                return Scalar.of(true);
              }
              return range.low() >= 0 ? Scalar.of(false) : Scalar.unknown();
            })
        .orElse(Scalar.unknown());
  }

  static Scalar lessOrEqual(Scalar a, Scalar b) {
    if (a instanceof Real x && b instanceof Real y) {
      return Scalar.of(x.value() <= y.value());
    }
    return not(less(b, a));
  }

  private static Optional<Interval> difference(Scalar a, Scalar b) {
    Optional<Exact> x = a.exact();
    Optional<Exact> y = b.exact();
    if (x.isEmpty()
        || y.isEmpty()
        || !x.get().denominator().isAtLeast(Dim.ZERO)
        || !y.get().denominator().isAtLeast(Dim.ZERO)) {
      return Optional.empty();
    }
    return Optional.of(cross(x.get(), y.get()).minus(cross(y.get(), x.get())).bounds());
  }

  // ---- truth values -----------------------------------------------------------------------------

  static Scalar not(Scalar a) {
    return a.number().isPresent() ? Scalar.of(a.number().getAsLong() == 0) : Scalar.unknown();
  }

  static Scalar and(Scalar a, Scalar b) {
    if (isFalse(a) || isFalse(b)) {
      return Scalar.of(false);
    }
    return isTrue(a) && isTrue(b) ? Scalar.of(true) : Scalar.unknown();
  }

  static Scalar or(Scalar a, Scalar b) {
    return not(and(not(a), not(b)));
  }

  static Scalar xor(Scalar a, Scalar b) {
    return a.isNumber() && b.isNumber() ? Scalar.of(isTrue(a) != isTrue(b)) : Scalar.unknown();
  }

  static boolean isTrue(Scalar a) {
    return a.number().isPresent() && a.number().getAsLong() != 0;
  }

  static boolean isFalse(Scalar a) {
    return isZero(a);
  }

  // ---- one operand ------------------------------------------------------------------------------

  static Scalar negate(Scalar a) {
    return a instanceof Real real ? new Real(-real.value()) : subtract(Scalar.of(0), a);
  }

  static Scalar absolute(Scalar a) {
    if (a instanceof Real real) {
      return new Real(Math.abs(real.value()));
    }
    if (!(a instanceof Exact exact) || !exact.denominator().isAtLeast(Dim.ZERO)) {
      return Scalar.unknown();
    }
    if (exact.numerator().isAtLeast(Dim.ZERO)) {
      return a;
    }
    return exact.numerator().negate().isAtLeast(Dim.ZERO) ? negate(a) : Scalar.unknown();
  }

  /** A function of floating-point numbers. */
  static Scalar apply(Scalar a, DoubleUnaryOperator function) {
    return a instanceof Real real
        ? new Real(function.applyAsDouble(real.value()))
        : Scalar.unknown();
  }

  static Scalar reciprocal(Scalar a) {
    return divide(a instanceof Real ? new Real(1) : Scalar.of(1), a);
  }

  static Scalar floor(Scalar a) {
    if (a instanceof Exact exact) {
      return Scalar.of(exact.numerator().floorDiv(exact.denominator()));
    }
    return apply(a, Math::floor);
  }

  static Scalar ceil(Scalar a) {
    return a instanceof Exact ? negate(floor(negate(a))) : apply(a, Math::ceil);
  }

  /** Rounds half to even. */
  static Scalar round(Scalar a) {
    if (a instanceof Exact exact) {
      return exact.denominator().is(1) ? a : Scalar.unknown();
    }
    return apply(a, Math::rint);
  }

  /** As an integer, rounded towards zero. */
  static Scalar truncate(Scalar a) {
    if (a instanceof Real real) {
      boolean inRange = Math.abs(real.value()) < 0x1p62;
      return inRange ? Scalar.of((long) real.value()) : Scalar.unknown();
    }
    if (!(a instanceof Exact exact)) {
      return Scalar.unknown();
    }
    if (exact.denominator().is(1)) {
      return a;
    }
    boolean positive =
        exact.numerator().isAtLeast(Dim.ZERO) && exact.denominator().isAtLeast(Dim.ZERO);
    return positive ? floor(a) : Scalar.unknown();
  }

  /** Whether it differs from zero, as a truth value. */
  static Scalar truth(Scalar a) {
    return not(equal(a, a instanceof Real ? new Real(0) : Scalar.of(0)));
  }

  // ---- parts ------------------------------------------------------------------------------------

  private static Scalar exactly(
      Scalar a, Scalar b, DoubleBinaryOperator reals, BinaryOperatorOfExact function) {
    if (a.isNumber() && b.isNumber() && (a instanceof Real || b instanceof Real)) {
      return new Real(reals.applyAsDouble(real(a), real(b)));
    }
    Optional<Exact> x = a.exact();
    Optional<Exact> y = b.exact();
    return x.isPresent() && y.isPresent() ? function.apply(x.get(), y.get()) : Scalar.unknown();
  }

  private interface BinaryOperatorOfExact {
    Scalar apply(Exact a, Exact b);
  }

  private static Scalar integers(Scalar a, Scalar b, BinaryOperator<Dim> function) {
    Optional<Dim> x = a.exact().flatMap(Exact::dim);
    Optional<Dim> y = b.exact().flatMap(Exact::dim);
    return x.isPresent() && y.isPresent()
        ? Scalar.of(function.apply(x.get(), y.get()))
        : Scalar.unknown();
  }

  private static Dim cross(Exact a, Exact b) {
    return a.numerator().times(b.denominator());
  }

  private static Scalar quotient(Dim numerator, Dim denominator) {
    Optional<Dim> exact = Quotient.exact(numerator, denominator);
    return exact.isPresent() ? Scalar.of(exact.get()) : new Exact(numerator, denominator);
  }

  private static double real(Scalar a) {
    return a instanceof Real real ? real.value() : a.number().orElseThrow();
  }

  private static boolean isZero(Scalar a) {
    return a.number().isPresent() && a.number().getAsLong() == 0;
  }

  private static long nonZero(long divisor) {
    if (divisor == 0) {
      throw new ArithmeticException("division by zero");
    }
    return divisor;
  }
}
