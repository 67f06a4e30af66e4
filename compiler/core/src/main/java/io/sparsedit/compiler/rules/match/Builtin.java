package io.sparsedit.compiler.rules.match;

import java.util.Locale;
import java.util.Optional;

/** The functions of the language. Those that take a name apart, default and tag, are not here. */
public enum Builtin {
  /** {@code abs(x)}. */
  ABS(1, 1, "n", 'n'),
  /** {@code approx(a, b)}, {@code approx(a, b, tolerance)}: equal up to a part of the larger. */
  APPROX(2, 3, "nnn", 'b'),
  /** {@code dim(x, i)}: a dimension of a value, from the end where i is negative. */
  DIM(2, 2, "vn", 'n'),
  /** {@code dtype(x)}: the element type. */
  DTYPE(1, 1, "v", 't'),
  /** {@code elements(x)}: the elements of a small constant or of a computed shape. */
  ELEMENTS(1, 1, "v", 'l'),
  /** {@code exp(x)}. */
  EXP(1, 1, "n", 'n'),
  /** {@code item(list, i)}: a number of a list, from the end where i is negative. */
  ITEM(2, 2, "ln", 'n'),
  /** {@code known(d)}: whether a dimension is a number. */
  KNOWN(1, 1, "n", 'b'),
  /** {@code log(x)}: natural logarithm. */
  LOG(1, 1, "n", 'n'),
  /** {@code max(a, b)}. */
  MAX(2, 2, "nn", 'n'),
  /** {@code min(a, b)}. */
  MIN(2, 2, "nn", 'n'),
  /** {@code rank(x)}: number of dimensions. */
  RANK(1, 1, "v", 'n'),
  /** {@code real(x)}: the number as a real one, so that an attribute becomes a FLOAT. */
  REAL(1, 1, "n", 'n'),
  /** {@code sqrt(x)}. */
  SQRT(1, 1, "n", 'n');

  private final int minArgs;
  private final int maxArgs;
  private final String parameters;
  private final char result;

  Builtin(int minArgs, int maxArgs, String parameters, char result) {
    this.minArgs = minArgs;
    this.maxArgs = maxArgs;
    this.parameters = parameters;
    this.result = result;
  }

  /** Least number of arguments. */
  public int minArgs() {
    return minArgs;
  }

  /** Largest number of arguments. */
  public int maxArgs() {
    return maxArgs;
  }

  /** Kind of a parameter: n a number, v a value, l a list. */
  public char parameter(int index) {
    return parameters.charAt(index);
  }

  /** Kind of the result: n a number, b a truth value, t an element type, l a list. */
  public char result() {
    return result;
  }

  /** As written in a rule. */
  public String spelling() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The function of the given name. */
  public static Optional<Builtin> of(String spelling) {
    for (Builtin builtin : values()) {
      if (builtin.spelling().equals(spelling)) {
        return Optional.of(builtin);
      }
    }
    return Optional.empty();
  }
}
