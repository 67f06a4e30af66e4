package io.sparsedit.compiler.shape;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Reads the expressions that PyTorch writes as {@code dim_param}: integers, names, {@code + - * //
 * % **}, exact {@code /}, and the functions Max, Min, FloorDiv, CleanDiv, CeilDiv, Mod and
 * PythonMod.
 */
final class DimParser {
  private static final int MAX_LENGTH = 2000;
  private static final int MAX_POWER = 8;

  private final String text;
  private int position;

  DimParser(String text) {
    this.text = text;
  }

  /** The expression, or empty if the text is none. */
  Optional<Dim> parse() {
    if (text.length() > MAX_LENGTH) {
      return Optional.empty();
    }
    try {
      Dim dim = sum();
      skipSpace();
      return position == text.length() ? Optional.of(dim) : Optional.empty();
    } catch (SyntaxException | ArithmeticException e) {
      return Optional.empty();
    }
  }

  private Dim sum() throws SyntaxException {
    Dim result = product();
    while (true) {
      if (accept("+")) {
        result = result.plus(product());
      } else if (accept("-")) {
        result = result.minus(product());
      } else {
        return result;
      }
    }
  }

  private Dim product() throws SyntaxException {
    Dim result = factor();
    while (true) {
      if (accept("//")) {
        result = result.floorDiv(factor());
      } else if (accept("/")) {
        result = Quotient.exact(result, factor()).orElseThrow(SyntaxException::new);
      } else if (accept("%")) {
        result = result.mod(factor());
      } else if (accept("*")) {
        result = result.times(factor());
      } else {
        return result;
      }
    }
  }

  private Dim factor() throws SyntaxException {
    if (accept("-")) {
      return factor().negate();
    }
    Dim base = operand();
    if (!accept("**")) {
      return base;
    }
    Dim exponent = operand();
    if (!exponent.isConstant() || exponent.offset() < 0 || exponent.offset() > MAX_POWER) {
      throw new SyntaxException();
    }
    Dim power = Dim.ONE;
    for (long i = 0; i < exponent.offset(); i++) {
      power = power.times(base);
    }
    return power;
  }

  private Dim operand() throws SyntaxException {
    if (accept("(")) {
      Dim inner = sum();
      expect(")");
      return inner;
    }
    skipSpace();
    int start = position;
    while (position < text.length() && isWordCharacter(text.charAt(position))) {
      position++;
    }
    String word = text.substring(start, position);
    if (word.isEmpty()) {
      throw new SyntaxException();
    }
    if (Character.isDigit(word.charAt(0))) {
      return number(word);
    }
    return accept("(") ? call(word) : Dim.symbol(word);
  }

  private static Dim number(String word) throws SyntaxException {
    try {
      return Dim.of(Long.parseLong(word));
    } catch (NumberFormatException e) {
      throw new SyntaxException();
    }
  }

  private Dim call(String function) throws SyntaxException {
    List<Dim> arguments = new ArrayList<>();
    do {
      arguments.add(sum());
    } while (accept(","));
    expect(")");
    if (function.equals("Max")) {
      return arguments.stream().reduce(Dim::max).orElseThrow(SyntaxException::new);
    }
    if (function.equals("Min")) {
      return arguments.stream().reduce(Dim::min).orElseThrow(SyntaxException::new);
    }
    if (arguments.size() != 2) {
      throw new SyntaxException();
    }
    Dim a = arguments.get(0);
    Dim b = arguments.get(1);
    return switch (function) {
      case "FloorDiv", "CleanDiv" -> a.floorDiv(b);
      case "CeilDiv" -> a.ceilDiv(b);
      case "Mod", "PythonMod" -> a.mod(b);
      default -> throw new SyntaxException();
    };
  }

  private boolean accept(String token) {
    skipSpace();
    boolean found = text.startsWith(token, position);
    // "*" must not take the half of "**".
    if (found && token.equals("*") && text.startsWith("**", position)) {
      return false;
    }
    if (found) {
      position += token.length();
    }
    return found;
  }

  private void expect(String token) throws SyntaxException {
    if (!accept(token)) {
      throw new SyntaxException();
    }
  }

  private void skipSpace() {
    while (position < text.length() && text.charAt(position) == ' ') {
      position++;
    }
  }

  private static boolean isWordCharacter(char c) {
    return Character.isLetterOrDigit(c) || c == '_' || c == '.';
  }

  /** The text is no expression. */
  private static final class SyntaxException extends Exception {
    private static final long serialVersionUID = 1L;
  }
}
