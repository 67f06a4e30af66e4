package io.sparsedit.passes.verify;

import java.util.Locale;

/** How much a verification runs. */
public enum VerifyMode {
  /**
   * Both whole models, and every site on its own q, k, v. Falls back to {@link #SITES} if costly.
   */
  FULL,
  /** Every distinct site alone, on planted structure at reduced tokens. */
  SITES,
  /** Nothing. */
  NONE;

  /** The name on the command line and in reports. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
