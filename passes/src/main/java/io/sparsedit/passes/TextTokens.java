package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.passes.functions.TextPosition;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Which tokens of a joint sequence are text, where the user says so.
 *
 * @param count how many
 * @param position at which end; empty if the user leaves that to the graph
 */
public record TextTokens(long count, Optional<TextPosition> position) {
  private static final Pattern SPELLING = Pattern.compile("([1-9]\\d{0,17})(?:,(first|last))?");

  /**
   * What the user spells as {@code 226,first}, {@code 256,last} or {@code 256}.
   *
   * @throws SparsifyException if it is spelt otherwise
   */
  public static TextTokens parse(String spelling) {
    Matcher matcher = SPELLING.matcher(spelling);
    if (!matcher.matches()) {
      throw SparsifyException.usage(
          "--text takes the number of text tokens and where they stand, such as 226,first or"
              + " 256,last, not '"
              + spelling
              + "'");
    }
    Optional<TextPosition> position =
        Optional.ofNullable(matcher.group(2))
            .map(end -> end.equals("first") ? TextPosition.FIRST : TextPosition.LAST);
    return new TextTokens(Long.parseLong(matcher.group(1)), position);
  }

  /** A sequence of so many tokens, text at its end. */
  TokenLayout within(Dim tokens, TextPosition end) {
    TokenLayout.Part text = new TokenLayout.Part(false, Dim.of(count));
    TokenLayout.Part video = new TokenLayout.Part(true, tokens.minus(count));
    return new TokenLayout(end == TextPosition.FIRST ? List.of(text, video) : List.of(video, text));
  }

  /** As on the command line. */
  @Override
  public String toString() {
    return count + position.map(end -> "," + end.attributeValue()).orElse("");
  }
}
