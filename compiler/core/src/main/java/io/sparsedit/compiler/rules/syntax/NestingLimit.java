package io.sparsedit.compiler.rules.syntax;

import java.util.List;
import java.util.Optional;
import org.antlr.v4.runtime.Token;

/**
 * Refuses text nested so deeply that reading it would exhaust the stack: the parser and everything
 * after it recurse over the tree.
 */
final class NestingLimit {
  private static final int MAX_DEPTH = 60;
  private static final int MAX_STATEMENT = 1_000;

  private NestingLimit() {}

  static Optional<Problem> check(List<? extends Token> tokens, Source source) {
    int brackets = 0;
    int prefixes = 0;
    int sinceSemicolon = 0;
    for (Token token : tokens) {
      String text = token.getText();
      switch (text) {
        case "(", "[", "{" -> brackets++;
        case ")", "]", "}" -> brackets = Math.max(0, brackets - 1);
        default -> {}
      }
      prefixes = text.equals("-") || text.equals("not") || text.equals("when") ? prefixes + 1 : 0;
      sinceSemicolon = text.equals(";") ? 0 : sinceSemicolon + 1;
      if (brackets > MAX_DEPTH || prefixes > MAX_DEPTH) {
        return Optional.of(
            Problem.of(Diagnostic.NESTED_TOO_DEEPLY, SyntaxErrors.span(source, token), MAX_DEPTH));
      }
      if (sinceSemicolon > MAX_STATEMENT) {
        return Optional.of(
            Problem.of(
                Diagnostic.STATEMENT_TOO_LONG, SyntaxErrors.span(source, token), MAX_STATEMENT));
      }
    }
    return Optional.empty();
  }
}
