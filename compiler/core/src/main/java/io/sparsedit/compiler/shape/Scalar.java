package io.sparsedit.compiler.shape;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.HalfFloat;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * One element of a tensor, as far as it is known before a run.
 *
 * <p>Integers and truth values are {@link Exact} with denominator 1. Floating-point elements are
 * {@link Real} when they are numbers, rounded to their type, and {@link Exact} when they are
 * quotients of symbolic sizes.
 */
sealed interface Scalar {
  /** A quotient of dimensions. */
  record Exact(Dim numerator, Dim denominator) implements Scalar {}

  /** A number. */
  record Real(double value) implements Scalar {}

  /** Nothing is known. */
  enum Unknown implements Scalar {
    INSTANCE
  }

  static Scalar unknown() {
    return Unknown.INSTANCE;
  }

  static Scalar of(long number) {
    return of(Dim.of(number));
  }

  static Scalar of(boolean truth) {
    return of(truth ? 1 : 0);
  }

  static Scalar of(Dim dim) {
    return new Exact(dim, Dim.ONE);
  }

  /** The integer, if it is one. */
  default Optional<Dim> dim() {
    return this instanceof Exact exact && exact.denominator.is(1)
        ? Optional.of(exact.numerator)
        : Optional.empty();
  }

  /** The number, if it is an integer and not symbolic. */
  default OptionalLong number() {
    return this instanceof Exact exact && exact.denominator.is(1)
        ? exact.numerator.constant()
        : OptionalLong.empty();
  }

  /** Whether it is a number. */
  default boolean isNumber() {
    return this instanceof Real || number().isPresent();
  }

  /** The quotient of integers that it is, if it is one with moderate terms. */
  default Optional<Exact> exact() {
    if (this instanceof Exact exact) {
      return Optional.of(exact);
    }
    if (this instanceof Real real) {
      long denominator = 1L << 20;
      double scaled = real.value * denominator;
      if (scaled == Math.rint(scaled) && Math.abs(scaled) < 0x1p52) {
        Dim numerator = Dim.of((long) scaled);
        return numerator.offset() % denominator == 0
            ? Optional.of(new Exact(numerator.floorDiv(denominator), Dim.ONE))
            : Optional.of(reduce(numerator.offset(), denominator));
      }
    }
    return Optional.empty();
  }

  private static Exact reduce(long numerator, long denominator) {
    int shift =
        Math.min(Long.numberOfTrailingZeros(numerator), Long.numberOfTrailingZeros(denominator));
    return new Exact(Dim.of(numerator >> shift), Dim.of(denominator >> shift));
  }

  /** The scalar as an element of the given type: in range, rounded, and not too long. */
  static Scalar fit(Scalar scalar, DataType type) {
    if (scalar instanceof Real real) {
      return new Real(round(real.value, type));
    }
    if (!(scalar instanceof Exact exact)) {
      return unknown();
    }
    if (exact.numerator.isConstant() && exact.denominator.isConstant()) {
      if (type.isFloating()) {
        double value = (double) exact.numerator.offset() / exact.denominator.offset();
        return new Real(round(value, type));
      }
      return exact.denominator.is(1) && inRange(exact.numerator.offset(), type) ? exact : unknown();
    }
    boolean moderate = exact.numerator.complexity() + exact.denominator.complexity() < 100;
    return moderate && (type.isFloating() || exact.denominator.is(1)) ? exact : unknown();
  }

  private static double round(double value, DataType type) {
    return switch (type) {
      case FLOAT -> (float) value;
      case FLOAT16 -> HalfFloat.toFloat(HalfFloat.fromFloat((float) value));
      case BFLOAT16 -> bfloat(value);
      default -> value;
    };
  }

  private static double bfloat(double value) {
    int bits = Float.floatToRawIntBits((float) value);
    if ((bits & 0x7f800000) == 0x7f800000) {
      return value;
    }
    int rounded = bits + 0x7fff + (bits >>> 16 & 1);
    return Float.intBitsToFloat(rounded & 0xffff0000);
  }

  private static boolean inRange(long number, DataType type) {
    return switch (type) {
      case BOOL -> number == 0 || number == 1;
      case INT8 -> number == (byte) number;
      case UINT8 -> number >= 0 && number < 1 << 8;
      case INT16 -> number == (short) number;
      case UINT16 -> number >= 0 && number < 1 << 16;
      case INT32 -> number == (int) number;
      case UINT32 -> number >= 0 && number < 1L << 32;
      case UINT64 -> number >= 0;
      case INT64 -> true;
      default -> false;
    };
  }
}
