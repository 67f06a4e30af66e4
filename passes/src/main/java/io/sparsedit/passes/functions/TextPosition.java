package io.sparsedit.passes.functions;

import java.util.Locale;

/**
 * Where the text tokens of a joint site stand in its sequence.
 *
 * <p>Text is one segment that is always kept, at its end of the sequence: the first segment or the
 * last one.
 */
public enum TextPosition {
  /** All tokens are video tokens. */
  NONE,
  /** Text, then video (CogVideoX). */
  FIRST,
  /** Video, then text (HunyuanVideo). */
  LAST;

  /** The value of the {@code text_position} attribute. */
  public String attributeValue() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** What it adds to the name of a planner's overload. */
  String overloadPart() {
    return this == NONE ? "" : "_text_" + attributeValue();
  }

  /** How many segments text adds to a plan. */
  public int segments() {
    return this == NONE ? 0 : 1;
  }
}
