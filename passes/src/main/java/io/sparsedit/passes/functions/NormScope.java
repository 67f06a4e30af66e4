package io.sparsedit.passes.functions;

import java.util.Locale;

/** Over what Q and K are normalised. */
public enum NormScope {
  /** Over all H*D lanes of a token. */
  HIDDEN,
  /** Over the D lanes of each head of a token. */
  HEAD;

  /** The value of the attribute {@code scope}. */
  public String attributeValue() {
    return name().toLowerCase(Locale.ROOT);
  }
}
