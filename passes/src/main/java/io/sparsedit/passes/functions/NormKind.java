package io.sparsedit.passes.functions;

import java.util.Locale;

/** How Q and K are normalised. */
public enum NormKind {
  /** Not at all. */
  NONE,
  /** Divided by the root of the mean of the squares. */
  RMS,
  /** The mean subtracted, then as {@link #RMS}. */
  LAYER;

  /** The value of the attribute {@code norm}. */
  public String attributeValue() {
    return name().toLowerCase(Locale.ROOT);
  }
}
