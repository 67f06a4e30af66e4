package io.sparsedit.passes;

import java.util.Locale;

/** What attends to what at a site. */
public enum SiteKind {
  /** Video tokens to video tokens. */
  SELF,
  /** Video and text tokens in one sequence to themselves. */
  JOINT,
  /** Video tokens to something else, mostly text. */
  CROSS,
  /** Text tokens to text tokens: refiners and poolers. */
  TEXT;

  /** The name in reports. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
