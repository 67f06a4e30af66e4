package io.sparsedit.passes.functions;

import java.util.Locale;

/** Which tokens a rotary position embedding rotates: as many as its tables have rows. */
public enum RotatedTokens {
  /** All. */
  ALL,
  /** The first ones. */
  FIRST,
  /** The last ones. */
  LAST;

  /** The value of the attribute {@code rotated}. */
  public String attributeValue() {
    return name().toLowerCase(Locale.ROOT);
  }
}
