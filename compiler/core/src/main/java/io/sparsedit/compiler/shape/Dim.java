package io.sparsedit.compiler.shape;

import java.util.OptionalLong;

/** A dimension: a number or an expression over symbolic sizes. */
public interface Dim {
  /** The number, if this is one. */
  OptionalLong constant();
}
