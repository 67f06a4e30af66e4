package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Value;
import java.util.List;

/**
 * One element of a tensor, or one for every value of the symbols in its indices.
 *
 * @param value the tensor
 * @param at an index for each axis
 */
record Element(Value value, List<Index> at) {
  Element {
    at = List.copyOf(at);
  }
}
