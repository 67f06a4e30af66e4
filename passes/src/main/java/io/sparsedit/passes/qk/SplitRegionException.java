package io.sparsedit.passes.qk;

import io.sparsedit.compiler.shape.Dim;

/** The tokens of a region come from different places: it is to be looked at in two parts. */
final class SplitRegionException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final transient Dim at;

  SplitRegionException(Dim at) {
    super("tokens before and from " + at + " come from different places", null, false, false);
    this.at = at;
  }

  /** The first token of the second part. */
  Dim at() {
    return at;
  }
}
