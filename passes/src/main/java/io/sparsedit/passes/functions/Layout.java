package io.sparsedit.passes.functions;

import java.util.Locale;

/** The order of the dimensions of Q, K, V and O: batch, heads, tokens (S), head size (D). */
public enum Layout {
  /** {@code [B,H,S,D]}. */
  BHSD,
  /** {@code [B,S,H,D]}. */
  BSHD;

  String overloadPart() {
    return name().toLowerCase(Locale.ROOT);
  }
}
