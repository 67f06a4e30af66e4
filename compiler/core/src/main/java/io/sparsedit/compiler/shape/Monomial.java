package io.sparsedit.compiler.shape;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * A product of atoms, a repeated atom for a power.
 *
 * <p>The order is the graded lexicographic one with the highest degree first, which makes
 * polynomial division work and sums readable.
 *
 * @param factors the atoms, sorted
 */
record Monomial(List<Atom> factors) implements Comparable<Monomial> {
  static final Monomial ONE = new Monomial(List.of());

  static Monomial of(Atom atom) {
    return new Monomial(List.of(atom));
  }

  boolean isOne() {
    return factors.isEmpty();
  }

  Monomial times(Monomial other) {
    if (isOne()) {
      return other;
    }
    if (other.isOne()) {
      return this;
    }
    List<Atom> product = new ArrayList<>(factors);
    product.addAll(other.factors);
    product.sort(null);
    return new Monomial(product);
  }

  /** The quotient, if the divisor's factors are all among this one's. */
  Optional<Monomial> dividedBy(Monomial divisor) {
    List<Atom> rest = new ArrayList<>(factors);
    for (Atom factor : divisor.factors) {
      if (!rest.remove(factor)) {
        return Optional.empty();
      }
    }
    return Optional.of(new Monomial(rest));
  }

  /** The factors that both have. */
  Monomial commonWith(Monomial other) {
    List<Atom> rest = new ArrayList<>(other.factors);
    List<Atom> common = new ArrayList<>();
    for (Atom factor : factors) {
      if (rest.remove(factor)) {
        common.add(factor);
      }
    }
    return new Monomial(common);
  }

  @Override
  public int compareTo(Monomial other) {
    int byDegree = Integer.compare(other.factors.size(), factors.size());
    if (byDegree != 0) {
      return byDegree;
    }
    for (int i = 0; i < factors.size(); i++) {
      int byFactor = factors.get(i).compareTo(other.factors.get(i));
      if (byFactor != 0) {
        return byFactor;
      }
    }
    return 0;
  }

  @Override
  public String toString() {
    return factors.stream().map(Atom::toString).collect(Collectors.joining("*"));
  }
}
