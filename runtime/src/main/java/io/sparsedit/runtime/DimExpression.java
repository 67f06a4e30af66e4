package io.sparsedit.runtime;

import java.util.Map;
import java.util.OptionalLong;

/**
 * Integer arithmetic over symbols, as exporters write it into symbolic dimensions: {@code + - * /
 * // %}, parentheses, {@code floor(...)}. Division rounds down.
 */
final class DimExpression {
  private final String text;
  private final Map<String, Long> symbols;
  private int at;

  private DimExpression(String text, Map<String, Long> symbols) {
    this.text = text;
    this.symbols = symbols;
  }

  /** The value, or empty if the text is not such an expression or uses an unknown symbol. */
  static OptionalLong evaluate(String text, Map<String, Long> symbols) {
    try {
      return OptionalLong.of(new DimExpression(text, symbols).parse());
    } catch (SyntaxException | ArithmeticException e) {
      return OptionalLong.empty();
    }
  }

  private long parse() throws SyntaxException {
    long value = sum();
    if (peek() != 0) {
      throw new SyntaxException();
    }
    return value;
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
    long value = unary();
    while (true) {
      if (accept("*")) {
        value = Math.multiplyExact(value, unary());
      } else if (accept("//") || accept("/")) {
        value = Math.floorDiv(value, unary());
      } else if (accept("%")) {
        value = Math.floorMod(value, unary());
      } else {
        return value;
      }
    }
  }

  private long unary() throws SyntaxException {
    if (accept("-")) {
      return Math.negateExact(unary());
    }
    if (accept("(")) {
      return closed();
    }
    int start = at;
    if (isDigit(peek())) {
      while (isDigit(current())) {
        at++;
      }
      String digits = text.substring(start, at);
      if (digits.length() > 18) {
        throw new SyntaxException();
      }
      return Long.parseLong(digits);
    }
    if (!isNameStart(peek())) {
      throw new SyntaxException();
    }
    start = at;
    while (isNameStart(current()) || isDigit(current()) || current() == '.') {
      at++;
    }
    String name = text.substring(start, at);
    if (name.equals("floor") && accept("(")) {
      return closed();
    }
    Long value = symbols.get(name);
    if (value == null) {
      throw new SyntaxException();
    }
    return value;
  }

  private long closed() throws SyntaxException {
    long value = sum();
    if (!accept(")")) {
      throw new SyntaxException();
    }
    return value;
  }

  private boolean accept(String token) {
    peek();
    if (!text.startsWith(token, at)) {
      return false;
    }
    at += token.length();
    return true;
  }

  /** The next character that is not a blank, 0 at the end. */
  private char peek() {
    while (current() == ' ') {
      at++;
    }
    return current();
  }

  private char current() {
    return at < text.length() ? text.charAt(at) : 0;
  }

  private static boolean isDigit(char c) {
    return c >= '0' && c <= '9';
  }

  private static boolean isNameStart(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  }

  private static final class SyntaxException extends Exception {
    private static final long serialVersionUID = 1L;

    SyntaxException() {
      super("", null, false, false);
    }
  }
}
