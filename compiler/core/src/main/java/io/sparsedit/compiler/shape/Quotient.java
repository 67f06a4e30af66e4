package io.sparsedit.compiler.shape;

import java.math.BigInteger;
import java.util.Map;
import java.util.Optional;

/** Division of dimensions, rounded down and brought to canonical form. */
final class Quotient {
  private Quotient() {}

  /** {@code numerator // denominator}. */
  static Dim floor(Dim numerator, Dim denominator) {
    if (denominator.is(0)) {
      throw new ArithmeticException("division of " + numerator + " by zero");
    }
    if (denominator.isConstant() && numerator.isConstant()) {
      return Dim.of(Math.floorDiv(numerator.offset(), denominator.offset()));
    }
    if (denominator.leadingCoefficient() < 0) {
      return floor(numerator.negate(), denominator.negate());
    }
    // (q*d + r)//d = q + r//d for all integers.
    Split split = divide(numerator, denominator);
    boolean useful = denominator.terms().size() == 1 || split.remainder.isConstant();
    Dim whole = useful ? split.quotient : Dim.ZERO;
    Dim rest = useful ? split.remainder : numerator;
    return rest.is(0) ? whole : whole.plus(floorOfRest(rest, denominator));
  }

  /** The quotient, if the division provably leaves no remainder. */
  static Optional<Dim> exact(Dim numerator, Dim denominator) {
    if (denominator.is(0)) {
      return Optional.empty();
    }
    Split split = divide(numerator, denominator);
    return split.remainder.is(0) ? Optional.of(split.quotient) : Optional.empty();
  }

  private static Dim floorOfRest(Dim numerator, Dim denominator) {
    // A factor common to both cancels: it divides the denominator, so it is not zero.
    long content = gcd(content(numerator), content(denominator));
    Monomial common = commonMonomial(denominator, commonMonomial(numerator));
    if (content > 1 || !common.isOne()) {
      Dim factor = Dim.term(content, common);
      return floor(divide(numerator, factor).quotient(), divide(denominator, factor).quotient());
    }
    if (denominator.isConstant()) {
      return floorByNumber(numerator, denominator.offset());
    }
    boolean less = numerator.isAtLeast(Dim.ZERO) && denominator.isAtLeast(numerator.plus(Dim.ONE));
    return less ? Dim.ZERO : Dim.floorDivAtom(numerator, denominator);
  }

  private static Dim floorByNumber(Dim numerator, long denominator) {
    if (!numerator.isConstant() && numerator.leadingCoefficient() < 0) {
      // -(x)//d = -ceil(x/d)
      return floor(numerator.negate().plus(denominator - 1), Dim.of(denominator)).negate();
    }
    long whole = Math.floorDiv(numerator.offset(), denominator);
    Dim rest = numerator.minus(Math.multiplyExact(whole, denominator));
    Optional<Atom.FloorDiv> inner = floorPlusNumber(rest);
    if (inner.isPresent() && inner.get().denominator().isAtLeast(Dim.ZERO)) {
      // (x//b + c)//d = (x + c*b)//(b*d)
      Dim b = inner.get().denominator();
      return Dim.of(whole)
          .plus(floor(inner.get().numerator().plus(b.times(rest.offset())), b.times(denominator)));
    }
    Interval range = rest.bounds().floorDiv(Interval.of(denominator));
    if (range.low() == range.high()) {
      return Dim.of(whole).plus(range.low());
    }
    return Dim.of(whole).plus(Dim.floorDivAtom(rest, Dim.of(denominator)));
  }

  /** The floor division in a sum of one and a number. */
  private static Optional<Atom.FloorDiv> floorPlusNumber(Dim dim) {
    if (dim.minus(dim.offset()).terms().size() != 1
        || dim.leadingCoefficient() != 1
        || dim.leadingMonomial().factors().size() != 1) {
      return Optional.empty();
    }
    return dim.leadingMonomial().factors().get(0) instanceof Atom.FloorDiv floorDiv
        ? Optional.of(floorDiv)
        : Optional.empty();
  }

  private record Split(Dim quotient, Dim remainder) {}

  /** Polynomial division; coefficients are divided towards zero. */
  private static Split divide(Dim numerator, Dim denominator) {
    Dim rest = numerator;
    Dim quotient = Dim.ZERO;
    Dim remainder = Dim.ZERO;
    Monomial leading = denominator.leadingMonomial();
    while (!rest.is(0)) {
      Monomial monomial = rest.leadingMonomial();
      long coefficient = rest.leadingCoefficient();
      Optional<Monomial> ratio = monomial.dividedBy(leading);
      long factor = ratio.isPresent() ? coefficient / denominator.leadingCoefficient() : 0;
      if (factor != 0) {
        Dim part = Dim.term(factor, ratio.orElseThrow());
        quotient = quotient.plus(part);
        rest = rest.minus(part.times(denominator));
        coefficient -= factor * denominator.leadingCoefficient();
      }
      Dim left = Dim.term(coefficient, monomial);
      remainder = remainder.plus(left);
      rest = rest.minus(left);
    }
    return new Split(quotient, remainder);
  }

  private static long content(Dim dim) {
    long content = 0;
    for (long coefficient : dim.terms().values()) {
      content = gcd(content, coefficient);
    }
    return content;
  }

  private static Monomial commonMonomial(Dim dim) {
    return commonMonomial(dim, dim.leadingMonomial());
  }

  private static Monomial commonMonomial(Dim dim, Monomial start) {
    Monomial common = start;
    for (Map.Entry<Monomial, Long> term : dim.terms().entrySet()) {
      common = common.commonWith(term.getKey());
    }
    return common;
  }

  private static long gcd(long a, long b) {
    return BigInteger.valueOf(a).gcd(BigInteger.valueOf(b)).longValueExact();
  }
}
