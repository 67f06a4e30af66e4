package io.sparsedit.passes.qk;

import io.sparsedit.compiler.shape.Dim;

/**
 * A run of tokens.
 *
 * @param start the first
 * @param size how many
 */
record Region(Dim start, Dim size) {
  Dim end() {
    return start.plus(size);
  }
}
