package io.sparsedit.compiler.rules.syntax;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.antlr.v4.runtime.BaseErrorListener;
import org.antlr.v4.runtime.Parser;
import org.antlr.v4.runtime.RecognitionException;
import org.antlr.v4.runtime.Recognizer;
import org.antlr.v4.runtime.Token;
import org.antlr.v4.runtime.Vocabulary;
import org.antlr.v4.runtime.misc.IntervalSet;
import org.jspecify.annotations.Nullable;

/** Keeps the first syntax error of a file, in words of the rule language. */
final class SyntaxErrors extends BaseErrorListener {
  private static final int LISTED = 8;

  private final Source source;
  private Optional<Problem> first = Optional.empty();

  SyntaxErrors(Source source) {
    this.source = source;
  }

  Optional<Problem> first() {
    return first;
  }

  void report(Problem problem) {
    if (first.isEmpty()) {
      first = Optional.of(problem);
    }
  }

  static Span span(Source source, Token token) {
    int length = token.getType() == Token.EOF ? 1 : token.getText().length();
    return new Span(
        source, token.getLine(), token.getCharPositionInLine() + 1, Math.max(1, length));
  }

  @Override
  public void syntaxError(
      Recognizer<?, ?> recognizer,
      @Nullable Object offending,
      int line,
      int column,
      String message,
      @Nullable RecognitionException cause) {
    if (first.isPresent()) {
      return;
    }
    if (!(recognizer instanceof Parser parser) || !(offending instanceof Token token)) {
      Span span = new Span(source, line, column + 1, 1);
      String rest = source.line(line);
      String character =
          column < rest.length() ? rest.substring(column, rest.offsetByCodePoints(column, 1)) : "";
      report(
          character.equals("\"")
              ? Problem.of(Diagnostic.OPEN_STRING, span)
              : Problem.of(Diagnostic.UNKNOWN_CHARACTER, span, character));
      return;
    }
    IntervalSet expected =
        cause != null && cause.getExpectedTokens() != null
            ? cause.getExpectedTokens()
            : parser.getExpectedTokens();
    List<String> names = names(expected, parser.getVocabulary());
    boolean isKeyword = token.getType() != RewriteParser.ID && token.getText().matches("[a-z_]+");
    String found =
        token.getType() == Token.EOF
            ? "the end of the file"
            : (isKeyword ? "the keyword " : "") + quote(token.getText());
    Problem problem =
        names.isEmpty() || names.size() > LISTED
            ? Problem.of(Diagnostic.UNEXPECTED, span(source, token), found)
            : Problem.of(Diagnostic.EXPECTED, span(source, token), orList(names), found);
    List<String> keywords = new ArrayList<>();
    for (String name : names) {
      if (name.matches("'[a-z_]+'")) {
        keywords.add(name.substring(1, name.length() - 1));
      }
    }
    report(problem.suggest(token.getText(), keywords));
  }

  private static List<String> names(IntervalSet types, Vocabulary vocabulary) {
    List<String> names = new ArrayList<>();
    for (int type : types.toList()) {
      names.add(
          switch (type) {
            case Token.EOF -> "the end of the file";
            case RewriteParser.ID -> "a name";
            case RewriteParser.INT -> "an integer";
            case RewriteParser.FLOAT -> "a number";
            case RewriteParser.STRING -> "a string";
            case RewriteParser.TAG -> "a #tag";
            case RewriteParser.DTYPE -> "an element type";
            default -> vocabulary.getDisplayName(type);
          });
    }
    return names;
  }

  private static String orList(List<String> names) {
    int last = names.size() - 1;
    return last == 0
        ? names.get(0)
        : String.join(", ", names.subList(0, last)) + " or " + names.get(last);
  }

  private static String quote(String text) {
    return "'" + (text.length() > 40 ? text.substring(0, 40) + "…" : text) + "'";
  }
}
