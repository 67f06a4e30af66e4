package io.sparsedit.compiler.rules.syntax;

/**
 * A stretch of one line of a rule file.
 *
 * @param source the file
 * @param line line, from 1
 * @param column column of the first character, from 1
 * @param length number of characters, at least 1
 */
public record Span(Source source, int line, int column, int length) {
  /** {@code file:line:column}. */
  @Override
  public String toString() {
    return source.name() + ":" + line + ":" + column;
  }

  /** {@code file:line}. */
  public String fileAndLine() {
    return source.name() + ":" + line;
  }

  /** The text itself, as far as it is on its first line. */
  public String text() {
    String text = source.line(line);
    int from = Math.min(column - 1, text.length());
    return text.substring(from, Math.min(text.length(), from + length));
  }

  /** A message about this place: position, message, source line and caret. */
  public String error(String message) {
    return this + ": error: " + message + "\n" + excerpt();
  }

  /** The source line with a caret line below it. */
  public String excerpt() {
    String text = source.line(line);
    StringBuilder caret = new StringBuilder();
    for (int i = 0; i < column - 1; i++) {
      caret.append(i < text.length() && text.charAt(i) == '\t' ? '\t' : ' ');
    }
    int tail = Math.max(0, Math.min(length, text.length() - column + 1) - 1);
    return "  " + text + "\n  " + caret + "^" + "~".repeat(tail);
  }
}
