package io.sparsedit.passes;

import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.passes.functions.TextPosition;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * What the tokens of a sequence are, in order.
 *
 * @param parts runs of video tokens and of other tokens, alternating
 */
public record TokenLayout(List<Part> parts) {
  /** A sequence of which nothing is known. */
  static final TokenLayout UNKNOWN = new TokenLayout(List.of());

  /**
   * A run of tokens.
   *
   * @param video whether they are video tokens; others are text, or learned
   * @param tokens how many
   */
  public record Part(boolean video, Dim tokens) {}

  public TokenLayout {
    parts = List.copyOf(parts);
  }

  /** A layout with neighbours of one sort joined. */
  static TokenLayout of(List<Part> runs) {
    List<Part> joined = new ArrayList<>();
    for (Part run : runs) {
      int last = joined.size() - 1;
      if (last >= 0 && joined.get(last).video() == run.video()) {
        joined.set(last, new Part(run.video(), joined.get(last).tokens().plus(run.tokens())));
      } else {
        joined.add(run);
      }
    }
    return new TokenLayout(joined);
  }

  /** Whether anything is known. */
  public boolean isKnown() {
    return !parts.isEmpty();
  }

  /** Number of video tokens. */
  public Dim video() {
    return count(true);
  }

  /** Number of other tokens. */
  public Dim text() {
    return count(false);
  }

  boolean hasVideo() {
    return parts.stream().anyMatch(Part::video);
  }

  boolean hasText() {
    return parts.stream().anyMatch(part -> !part.video());
  }

  private Dim count(boolean ofVideo) {
    Dim sum = Dim.ZERO;
    for (Part part : parts) {
      if (part.video() == ofVideo) {
        sum = sum.plus(part.tokens());
      }
    }
    return sum;
  }

  /**
   * Whether video and text follow on one another as in another sequence, as far as both are known.
   */
  boolean isInOrderOf(TokenLayout other) {
    return !isKnown()
        || !other.isKnown()
        || parts.stream()
            .map(Part::video)
            .toList()
            .equals(other.parts.stream().map(Part::video).toList());
  }

  /** Where the text stands; empty if it is neither one run at an end nor absent. */
  public Optional<TextPosition> textPosition() {
    if (!hasVideo()) {
      return Optional.empty();
    }
    if (parts.size() == 1) {
      return Optional.of(TextPosition.NONE);
    }
    if (parts.size() > 2) {
      return Optional.empty();
    }
    return Optional.of(parts.get(0).video() ? TextPosition.LAST : TextPosition.FIRST);
  }

  /** Such as {@code text 24, video 192}. */
  @Override
  public String toString() {
    return parts.stream()
        .map(part -> (part.video() ? "video " : "text ") + part.tokens())
        .collect(Collectors.joining(", "));
  }
}
