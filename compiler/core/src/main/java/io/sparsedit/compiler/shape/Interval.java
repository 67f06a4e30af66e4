package io.sparsedit.compiler.shape;

import java.math.BigInteger;

/**
 * A range of integers. {@link #INFINITY} and {@link #MINUS_INFINITY} stand for no bound.
 *
 * @param low the least value
 * @param high the greatest value
 */
record Interval(long low, long high) {
  static final long INFINITY = Long.MAX_VALUE;
  static final long MINUS_INFINITY = Long.MIN_VALUE;
  static final Interval ANY = new Interval(MINUS_INFINITY, INFINITY);

  static Interval of(long number) {
    return new Interval(number, number);
  }

  boolean contains(long number) {
    return low <= number && number <= high;
  }

  Interval plus(Interval other) {
    return new Interval(
        low == MINUS_INFINITY || other.low == MINUS_INFINITY
            ? MINUS_INFINITY
            : clamp(BigInteger.valueOf(low).add(BigInteger.valueOf(other.low))),
        high == INFINITY || other.high == INFINITY
            ? INFINITY
            : clamp(BigInteger.valueOf(high).add(BigInteger.valueOf(other.high))));
  }

  Interval times(Interval other) {
    long a = product(low, other.low);
    long b = product(low, other.high);
    long c = product(high, other.low);
    long d = product(high, other.high);
    return new Interval(
        Math.min(Math.min(a, b), Math.min(c, d)), Math.max(Math.max(a, b), Math.max(c, d)));
  }

  /** The range of floor quotients; any value where the divisor may be zero or negative. */
  Interval floorDiv(Interval divisor) {
    if (divisor.low < 0) {
      return ANY;
    }
    // A quotient that is computed at all has a divisor of at least 1.
    long smallest = Math.max(divisor.low, 1);
    long least = low >= 0 ? quotient(low, divisor.high) : quotient(low, smallest);
    long greatest = high >= 0 ? quotient(high, smallest) : quotient(high, divisor.high);
    return new Interval(least, greatest);
  }

  Interval max(Interval other) {
    return new Interval(Math.max(low, other.low), Math.max(high, other.high));
  }

  Interval min(Interval other) {
    return new Interval(Math.min(low, other.low), Math.min(high, other.high));
  }

  private static long product(long a, long b) {
    if (a == 0 || b == 0) {
      return 0;
    }
    if (isInfinite(a) || isInfinite(b)) {
      return (a > 0) == (b > 0) ? INFINITY : MINUS_INFINITY;
    }
    return clamp(BigInteger.valueOf(a).multiply(BigInteger.valueOf(b)));
  }

  private static long quotient(long a, long b) {
    if (isInfinite(a)) {
      return a;
    }
    if (isInfinite(b)) {
      return a < 0 ? -1 : 0;
    }
    return Math.floorDiv(a, b);
  }

  private static boolean isInfinite(long bound) {
    return bound == INFINITY || bound == MINUS_INFINITY;
  }

  private static long clamp(BigInteger exact) {
    if (exact.bitLength() > 63) {
      return exact.signum() > 0 ? INFINITY : MINUS_INFINITY;
    }
    return exact.longValue();
  }
}
