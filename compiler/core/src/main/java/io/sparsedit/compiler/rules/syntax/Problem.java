package io.sparsedit.compiler.rules.syntax;

import io.sparsedit.compiler.Suggestion;
import java.util.Collection;

/**
 * One thing wrong with a rule file.
 *
 * @param diagnostic which kind
 * @param span where
 * @param message what is wrong
 */
public record Problem(Diagnostic diagnostic, Span span, String message) {
  /** A problem whose message fills in the diagnostic's template. */
  public static Problem of(Diagnostic diagnostic, Span span, Object... arguments) {
    return new Problem(diagnostic, span, diagnostic.format(arguments));
  }

  /** The same problem with a guess at what was meant, if one of the candidates is close. */
  public Problem suggest(String written, Collection<String> candidates) {
    return Suggestion.closest(written, candidates)
        .map(s -> new Problem(diagnostic, span, message + "; did you mean '" + s + "'?"))
        .orElse(this);
  }

  /** The same problem with a guess at which of the candidates was written by mistake. */
  public Problem suspect(String name, Collection<String> candidates) {
    return Suggestion.closest(name, candidates)
        .map(s -> new Problem(diagnostic, span, message + "; is '" + s + "' a misspelling of it?"))
        .orElse(this);
  }

  /** Position, message, source line and caret. */
  @Override
  public String toString() {
    return span.error(message);
  }
}
