package io.sparsedit.passes.qk;

import io.sparsedit.compiler.shape.Dim;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * What stands in front of Q or K: its tokens in runs, each with its norm and its rotary embedding.
 *
 * @param parts the runs in order; more than one where text and video are projected apart and joined
 *     afterwards
 */
public record Prepared(List<Part> parts) {
  /** Q or K of which nothing is known. */
  public static final Prepared NOTHING = new Prepared(List.of());

  /**
   * A run of tokens.
   *
   * @param tokens how many
   * @param norm their norm
   * @param rope their rotary embedding
   */
  public record Part(Dim tokens, Optional<QkNorm> norm, Optional<Rope> rope) {}

  public Prepared {
    parts = List.copyOf(parts);
  }

  /** Whether there is a norm or a rotary embedding at all. */
  public boolean isSomething() {
    return parts.stream().anyMatch(part -> part.norm().isPresent() || part.rope().isPresent());
  }

  /** Such as {@code rms over head, rope interleaved on 192; rms over head on 24}. */
  @Override
  public String toString() {
    if (!isSomething()) {
      return "nothing";
    }
    return parts.stream().map(this::describe).collect(Collectors.joining("; "));
  }

  private String describe(Part part) {
    String norm = part.norm().map(QkNorm::toString).orElse("no norm");
    String rope = part.rope().map(Prepared::describe).orElse("no rope");
    String where = parts.size() > 1 ? " on " + part.tokens() : "";
    return norm + ", " + rope + where;
  }

  private static String describe(Rope rope) {
    String tokens =
        switch (rope.tokens()) {
          case ALL -> "";
          case FIRST -> " of the first " + rope.rotatedTokens();
          case LAST -> " of the last " + rope.rotatedTokens();
        };
    String inputs = rope.inputs().isEmpty() ? "" : " (" + String.join(", ", rope.inputs()) + ")";
    return rope.form().attributeValue()
        + " rope"
        + tokens
        + (rope.perHead() ? " per head" : "")
        + ", "
        + rope.source().label()
        + inputs;
  }
}
