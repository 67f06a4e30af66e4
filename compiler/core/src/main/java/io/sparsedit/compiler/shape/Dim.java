package io.sparsedit.compiler.shape;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * A dimension: a number or an integer expression over symbolic sizes.
 *
 * <p>Kept as a polynomial with integer coefficients over symbols and over floor divisions, maxima
 * and minima that do not simplify further. The form is canonical, so that two equal dimensions are
 * provably equal: {@code (2*H + 2)//2} and {@code H + 1} are the same. Two that are not equal may
 * still have the same value.
 *
 * <p>Three sorts of symbols occur: named sizes (at least 1), sizes that nothing names (at least 0;
 * they print as {@code ?value.axis}) and elements of integer tensors that only a run can tell (any
 * value; {@code ?value[index]}).
 *
 * <p>Arithmetic throws {@link ArithmeticException} when a coefficient leaves the range of a long,
 * and for a division by zero.
 */
public final class Dim {
  /** The number 0. */
  public static final Dim ZERO = new Dim(new TreeMap<>());

  /** The number 1. */
  public static final Dim ONE = Dim.of(1);

  private final SortedMap<Monomial, Long> terms;

  private Dim(SortedMap<Monomial, Long> terms) {
    this.terms = terms;
  }

  // ---- construction -----------------------------------------------------------------------------

  /** The number. */
  public static Dim of(long number) {
    SortedMap<Monomial, Long> terms = new TreeMap<>();
    if (number != 0) {
      terms.put(Monomial.ONE, number);
    }
    return new Dim(terms);
  }

  /** A named size, at least 1. */
  public static Dim symbol(String name) {
    return of(new Atom.Symbol(name, Atom.Sort.SIZE));
  }

  /** A size that nothing names, at least 0; {@code origin} tells where it came from. */
  public static Dim unknown(String origin) {
    return of(new Atom.Symbol(origin, Atom.Sort.UNKNOWN));
  }

  /** An integer that only a run can tell, for example an element of an input. */
  static Dim data(String origin) {
    return of(new Atom.Symbol(origin, Atom.Sort.DATA));
  }

  /**
   * The dimension that a {@code dim_param} names: an identifier, or an expression as PyTorch's
   * exporter writes them, such as {@code s33*((s20//2)) + Min(64, s31)}. Text that is no such
   * expression is the name of a symbol as a whole.
   */
  public static Dim parse(String dimParam) {
    return new DimParser(dimParam).parse().orElseGet(() -> symbol(dimParam));
  }

  private static Dim of(Atom atom) {
    SortedMap<Monomial, Long> terms = new TreeMap<>();
    terms.put(Monomial.of(atom), 1L);
    return new Dim(terms);
  }

  // ---- questions --------------------------------------------------------------------------------

  /** The number, if this is one. */
  public OptionalLong constant() {
    if (terms.isEmpty()) {
      return OptionalLong.of(0);
    }
    return isConstant() ? OptionalLong.of(leadingCoefficient()) : OptionalLong.empty();
  }

  /** Whether this is a number. */
  public boolean isConstant() {
    return terms.isEmpty() || terms.firstKey().isOne();
  }

  /** Whether this is the given number. */
  public boolean is(long number) {
    return isConstant() && constant().getAsLong() == number;
  }

  /** The names of the symbols in it, in alphabetical order. */
  public SortedSet<String> symbols() {
    SortedSet<String> names = new TreeSet<>();
    for (Atom.Symbol symbol : symbolAtoms()) {
      names.add(symbol.name());
    }
    return names;
  }

  /** Whether it can be computed from named sizes alone. */
  public boolean isNamed() {
    return symbolAtoms().stream().allMatch(s -> s.sort() == Atom.Sort.SIZE);
  }

  /** Whether some part of it is an element of a tensor rather than a size. */
  boolean readsData() {
    return symbolAtoms().stream().anyMatch(s -> s.sort() == Atom.Sort.DATA);
  }

  /** Whether it is a symbol that nothing names, and nothing else. */
  boolean isUnknown() {
    return isSingle(Atom.Symbol.class) && !isNamed();
  }

  /** Whether it is provably at least {@code other} for every value of the symbols. */
  public boolean isAtLeast(Dim other) {
    return bounds(minus(other)).low() >= 0;
  }

  /** The range of its values, as far as it is known. */
  Interval bounds() {
    return bounds(this);
  }

  /** How many operands and operators it takes to write it, nested ones included. */
  int complexity() {
    int count = 1;
    for (Monomial monomial : terms.keySet()) {
      count++;
      for (Atom atom : monomial.factors()) {
        count += 1 + atom.operands().stream().mapToInt(Dim::complexity).sum();
      }
    }
    return count;
  }

  private SortedSet<Atom.Symbol> symbolAtoms() {
    SortedSet<Atom.Symbol> symbols = new TreeSet<>(Comparator.naturalOrder());
    collectSymbols(symbols);
    return symbols;
  }

  private void collectSymbols(SortedSet<Atom.Symbol> into) {
    for (Monomial monomial : terms.keySet()) {
      for (Atom atom : monomial.factors()) {
        if (atom instanceof Atom.Symbol symbol) {
          into.add(symbol);
        } else {
          atom.operands().forEach(operand -> operand.collectSymbols(into));
        }
      }
    }
  }

  // ---- arithmetic -------------------------------------------------------------------------------

  /** The sum. */
  public Dim plus(Dim other) {
    return plusScaled(other, 1, Monomial.ONE);
  }

  /** The sum with a number. */
  public Dim plus(long other) {
    return plus(of(other));
  }

  /** The difference. */
  public Dim minus(Dim other) {
    return plusScaled(other, -1, Monomial.ONE);
  }

  /** The difference to a number. */
  public Dim minus(long other) {
    return minus(of(other));
  }

  /** This with the opposite sign. */
  public Dim negate() {
    return ZERO.minus(this);
  }

  /** The product. */
  public Dim times(Dim other) {
    if (other.isConstant()) {
      return times(other.offset());
    }
    Dim product = ZERO;
    for (Map.Entry<Monomial, Long> term : terms.entrySet()) {
      product = product.plusScaled(other, term.getValue(), term.getKey());
    }
    return product;
  }

  /** The product with a number. */
  public Dim times(long other) {
    return ZERO.plusScaled(this, other, Monomial.ONE);
  }

  /** The quotient rounded down. */
  public Dim floorDiv(Dim divisor) {
    return Quotient.floor(this, divisor);
  }

  /** The quotient rounded down. */
  public Dim floorDiv(long divisor) {
    return floorDiv(of(divisor));
  }

  /** The quotient rounded up; the divisor is positive. */
  public Dim ceilDiv(Dim divisor) {
    return plus(divisor).minus(1).floorDiv(divisor);
  }

  /** The quotient rounded up; the divisor is positive. */
  public Dim ceilDiv(long divisor) {
    return ceilDiv(of(divisor));
  }

  /** The remainder of {@link #floorDiv}; it has the divisor's sign. */
  public Dim mod(Dim divisor) {
    return minus(floorDiv(divisor).times(divisor));
  }

  /** The larger one. */
  public Dim max(Dim other) {
    return extremum(this, other, true);
  }

  /** The smaller one. */
  public Dim min(Dim other) {
    return extremum(this, other, false);
  }

  /** The product of all; 1 if there are none. */
  public static Dim product(Iterable<Dim> factors) {
    Dim product = ONE;
    for (Dim factor : factors) {
      product = product.times(factor);
    }
    return product;
  }

  private Dim plusScaled(Dim other, long coefficient, Monomial monomial) {
    if (other.terms.isEmpty() || coefficient == 0) {
      return this;
    }
    if (isConstant() && other.isConstant() && monomial.isOne()) {
      return of(Math.addExact(offset(), Math.multiplyExact(coefficient, other.offset())));
    }
    SortedMap<Monomial, Long> sum = new TreeMap<>(terms);
    for (Map.Entry<Monomial, Long> term : other.terms.entrySet()) {
      long scaled = Math.multiplyExact(coefficient, term.getValue());
      Monomial key = term.getKey().times(monomial);
      long total = Math.addExact(sum.getOrDefault(key, 0L), scaled);
      if (total == 0) {
        sum.remove(key);
      } else {
        sum.put(key, total);
      }
    }
    return new Dim(sum);
  }

  private static Dim extremum(Dim a, Dim b, boolean largest) {
    List<Dim> candidates = new ArrayList<>();
    candidates.addAll(a.operandsOf(largest));
    candidates.addAll(b.operandsOf(largest));
    List<Dim> kept = new ArrayList<>();
    for (Dim candidate : candidates) {
      boolean dominated =
          kept.stream().anyMatch(k -> largest ? k.isAtLeast(candidate) : candidate.isAtLeast(k));
      if (!dominated) {
        kept.removeIf(k -> largest ? candidate.isAtLeast(k) : k.isAtLeast(candidate));
        kept.add(candidate);
      }
    }
    if (kept.size() == 1) {
      return kept.get(0);
    }
    kept.sort(Comparator.comparing(Dim::toString));
    return of(largest ? new Atom.Max(kept) : new Atom.Min(kept));
  }

  /**
   * Dimensions whose maximum (or minimum) this is: {@code r + Max(a, b)} is the larger one of
   * {@code r + a} and {@code r + b}, and {@code r - Min(a, b)} that of {@code r - a} and {@code r -
   * b}.
   */
  private List<Dim> operandsOf(boolean largest) {
    for (Map.Entry<Monomial, Long> term : terms.entrySet()) {
      long coefficient = term.getValue();
      if (term.getKey().factors().size() != 1 || Math.abs(coefficient) != 1) {
        continue;
      }
      Atom atom = term.getKey().factors().get(0);
      if ((coefficient == 1) == largest ? atom instanceof Atom.Max : atom instanceof Atom.Min) {
        Dim rest = minus(of(atom).times(coefficient));
        return atom.operands().stream().map(o -> rest.plus(o.times(coefficient))).toList();
      }
    }
    return List.of(this);
  }

  /** The operands if this is a maximum, else this alone. */
  List<Dim> alternatives() {
    return isSingle(Atom.Max.class) ? leadingMonomial().factors().get(0).operands() : List.of(this);
  }

  // ---- evaluation -------------------------------------------------------------------------------

  /** The number under the given sizes; empty if a symbol is not among them. */
  public OptionalLong evaluate(Map<String, Long> sizes) {
    return substitute(
            symbol -> {
              Long size = sizes.get(symbol.name());
              return size == null ? of(symbol) : of(size);
            })
        .constant();
  }

  /** The dimension with the given symbols replaced. */
  public Dim substitute(Map<String, Dim> replacements) {
    return substitute(symbol -> replacements.getOrDefault(symbol.name(), of(symbol)));
  }

  private Dim substitute(Function<Atom.Symbol, Dim> replacement) {
    if (isConstant()) {
      return this;
    }
    Dim sum = ZERO;
    for (Map.Entry<Monomial, Long> term : terms.entrySet()) {
      Dim product = of(term.getValue());
      for (Atom atom : term.getKey().factors()) {
        product = product.times(substitute(atom, replacement));
      }
      sum = sum.plus(product);
    }
    return sum;
  }

  private static Dim substitute(Atom atom, Function<Atom.Symbol, Dim> replacement) {
    if (atom instanceof Atom.Symbol symbol) {
      return replacement.apply(symbol);
    }
    List<Dim> operands = atom.operands().stream().map(d -> d.substitute(replacement)).toList();
    if (atom instanceof Atom.FloorDiv) {
      return operands.get(0).floorDiv(operands.get(1));
    }
    return operands.stream().reduce(atom instanceof Atom.Max ? Dim::max : Dim::min).orElseThrow();
  }

  private static Interval bounds(Dim dim) {
    Interval sum = Interval.of(0);
    for (Map.Entry<Monomial, Long> term : dim.terms.entrySet()) {
      Interval product = Interval.of(1);
      for (Atom atom : term.getKey().factors()) {
        product = product.times(atom.bounds());
      }
      sum = sum.plus(product.times(Interval.of(term.getValue())));
    }
    return sum;
  }

  // ---- parts, for division ----------------------------------------------------------------------

  static Dim floorDivAtom(Dim numerator, Dim denominator) {
    return of(new Atom.FloorDiv(numerator, denominator));
  }

  static Dim term(long coefficient, Monomial monomial) {
    return ONE.equals(of(coefficient)) && monomial.isOne()
        ? ONE
        : ZERO.plusScaled(ONE, coefficient, monomial);
  }

  /** Coefficients by monomial, the leading one first; unmodifiable. */
  SortedMap<Monomial, Long> terms() {
    return Collections.unmodifiableSortedMap(terms);
  }

  /** The monomial of highest degree. */
  Monomial leadingMonomial() {
    return terms.firstKey();
  }

  /** The coefficient of the monomial of highest degree. */
  long leadingCoefficient() {
    return terms.entrySet().iterator().next().getValue();
  }

  /** The number that is added to the other terms. */
  long offset() {
    return terms.getOrDefault(Monomial.ONE, 0L);
  }

  private boolean isSingle(Class<? extends Atom> kind) {
    return terms.size() == 1
        && leadingCoefficient() == 1
        && leadingMonomial().factors().size() == 1
        && kind.isInstance(leadingMonomial().factors().get(0));
  }

  // ---- object -----------------------------------------------------------------------------------

  @Override
  public boolean equals(Object other) {
    return other instanceof Dim dim && terms.equals(dim.terms);
  }

  @Override
  public int hashCode() {
    return terms.hashCode();
  }

  /** The expression in the notation that {@link #parse} reads. */
  @Override
  public String toString() {
    if (terms.isEmpty()) {
      return "0";
    }
    StringBuilder text = new StringBuilder();
    for (Map.Entry<Monomial, Long> term : terms.entrySet()) {
      long coefficient = term.getValue();
      if (text.length() > 0) {
        text.append(coefficient < 0 ? " - " : " + ");
      } else if (coefficient < 0) {
        text.append('-');
      }
      String magnitude = Long.toString(coefficient).replace("-", "");
      if (term.getKey().isOne()) {
        text.append(magnitude);
      } else {
        text.append(magnitude.equals("1") ? "" : magnitude + "*").append(term.getKey());
      }
    }
    boolean bare = isSingle(Atom.FloorDiv.class);
    return bare ? text.substring(1, text.length() - 1) : text.toString();
  }
}
