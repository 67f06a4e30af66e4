package io.sparsedit.compiler.rules.syntax;

/**
 * A name as written.
 *
 * @param text the name; {@code _} for a target that is not named
 * @param span where
 */
public record Name(String text, Span span) {
  /** Whether this is {@code _}. */
  public boolean isAnonymous() {
    return text.equals("_");
  }

  /** Whether the name starts with an upper-case letter, as dimensions and operators do. */
  public boolean isCapitalised() {
    return Character.isUpperCase(text.charAt(0));
  }
}
