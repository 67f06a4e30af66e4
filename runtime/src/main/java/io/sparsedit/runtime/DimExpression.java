package io.sparsedit.runtime;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

/**
 * Integer arithmetic over symbols, as exporters and the compiler write it into symbolic dimensions:
 * {@code + - * / // % **}, parentheses and the functions Max, Min, FloorDiv, CleanDiv, CeilDiv,
 * Mod, PythonMod and floor. Division rounds down.
 */
final class DimExpression {
  private static final int MAX_LENGTH = 2000;

  private final String text;
  private final Map<String, Long> symbols;
  private int at;

  private DimExpression(String text, Map<String, Long> symbols) {
    this.text = text;
    this.symbols = symbols;
  }

  /** The value, or empty if the text is not such an expression or uses an unknown symbol. */
  static OptionalLong evaluate(String text, Map<String, Long> symbols) {
    if (text.length() > MAX_LENGTH) {
      return OptionalLong.empty();
    }
    DimExpression expression = new DimExpression(text, symbols);
    try {
      long value = expression.sum();
      expression.skipBlanks();
      return expression.at == text.length() ? OptionalLong.of(value) : OptionalLong.empty();
    } catch (SyntaxException | ArithmeticException e) {
      return OptionalLong.empty();
    }
  }

  private long sum() throws SyntaxException {
    long value = product();
    while (true) {
      if (accept("+")) {
        value = Math.addExact(value, product());
      } else if (accept("-")) {
        value = Math.subtractExact(value, product());
      } else {
        return value;
      }
    }
  }

  private long product() throws SyntaxException {
    long value = factor();
    while (true) {
      if (accept("*")) {
        value = Math.multiplyExact(value, factor());
      } else if (accept("//") || accept("/")) {
        value = Math.floorDiv(value, factor());
      } else if (accept("%")) {
        value = Math.floorMod(value, factor());
      } else {
        return value;
      }
    }
  }

  private long factor() throws SyntaxException {
    if (accept("-")) {
      return Math.negateExact(factor());
    }
    long base = operand();
    if (!accept("**")) {
      return base;
    }
    long exponent = operand();
    if (exponent < 0 || exponent > Long.SIZE) {
      throw new SyntaxException();
    }
    long power = 1;
    for (long i = 0; i < exponent; i++) {
      power = Math.multiplyExact(power, base);
    }
    return power;
  }

  private long operand() throws SyntaxException {
    if (accept("(")) {
      long value = sum();
      expect(")");
      return value;
    }
    skipBlanks();
    int start = at;
    while (at < text.length() && isWordCharacter(text.charAt(at))) {
      at++;
    }
    String word = text.substring(start, at);
    if (word.isEmpty()) {
      throw new SyntaxException();
    }
    if (Character.isDigit(word.charAt(0))) {
      return number(word);
    }
    if (accept("(")) {
      return call(word);
    }
    Long value = symbols.get(word);
    if (value == null) {
      throw new SyntaxException();
    }
    return value;
  }

  private static long number(String word) throws SyntaxException {
    try {
      return Long.parseLong(word);
    } catch (NumberFormatException e) {
      throw new SyntaxException();
    }
  }

  private long call(String function) throws SyntaxException {
    List<Long> arguments = new ArrayList<>();
    do {
      arguments.add(sum());
    } while (accept(","));
    expect(")");
    long first = arguments.get(0);
    if (function.equals("Max") || function.equals("Min")) {
      boolean max = function.equals("Max");
      return arguments.stream().reduce(first, max ? Math::max : Math::min);
    }
    if (function.equals("floor") && arguments.size() == 1) {
      return first;
    }
    if (arguments.size() != 2) {
      throw new SyntaxException();
    }
    long second = arguments.get(1);
    return switch (function) {
      case "FloorDiv", "CleanDiv" -> Math.floorDiv(first, second);
      case "CeilDiv" -> -Math.floorDiv(-first, second);
      case "Mod", "PythonMod" -> Math.floorMod(first, second);
      default -> throw new SyntaxException();
    };
  }

  private boolean accept(String token) {
    skipBlanks();
    boolean found = text.startsWith(token, at);
    // "*" must not take the half of "**".
    if (found && token.equals("*") && text.startsWith("**", at)) {
      return false;
    }
    if (found) {
      at += token.length();
    }
    return found;
  }

  private void expect(String token) throws SyntaxException {
    if (!accept(token)) {
      throw new SyntaxException();
    }
  }

  private void skipBlanks() {
    while (at < text.length() && text.charAt(at) == ' ') {
      at++;
    }
  }

  private static boolean isWordCharacter(char c) {
    return Character.isLetterOrDigit(c) || c == '_' || c == '.';
  }

  /** The text is no expression over the symbols. */
  private static final class SyntaxException extends Exception {
    private static final long serialVersionUID = 1L;

    SyntaxException() {
      super("", null, false, false);
    }
  }
}
