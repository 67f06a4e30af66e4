package io.sparsedit.compiler.rules.syntax;

/** A comparison operator. */
public enum Comparison {
  EQUAL("=="),
  NOT_EQUAL("!="),
  AT_MOST("<="),
  LESS("<"),
  AT_LEAST(">="),
  GREATER(">");

  private final String symbol;

  Comparison(String symbol) {
    this.symbol = symbol;
  }

  /** As written. */
  public String symbol() {
    return symbol;
  }

  /** Whether it holds for operands that {@link Double#compare compare} as given. */
  public boolean holds(int order) {
    return switch (this) {
      case EQUAL -> order == 0;
      case NOT_EQUAL -> order != 0;
      case AT_MOST -> order <= 0;
      case LESS -> order < 0;
      case AT_LEAST -> order >= 0;
      case GREATER -> order > 0;
    };
  }

  static Comparison of(String symbol) {
    for (Comparison comparison : values()) {
      if (comparison.symbol.equals(symbol)) {
        return comparison;
      }
    }
    throw new IllegalArgumentException(symbol);
  }
}
