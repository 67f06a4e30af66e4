package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.ModelCopy;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.passes.functions.Svg2Plan;

/**
 * Sets planners so that their plans keep every pair: the result must then equal dense attention.
 */
final class KeepEverything {
  /** Top-p of 1 or more keeps everything. */
  private static final float ALL_MASS = 2;

  private KeepEverything() {}

  /** A copy of the compiled model whose plans keep everything. */
  static Model copyOf(Model compiled) {
    Model copy = ModelCopy.of(compiled);
    for (SparseSite site : SparseSite.of(copy)) {
      set(site.planner());
    }
    return copy;
  }

  /** Makes one planner keep everything. */
  static void set(Node planner) {
    if (!planner.opType().equals(Svg2Plan.OP_TYPE)) {
      throw new IllegalStateException("no way to keep everything with " + planner);
    }
    planner.setAttribute(Svg2Plan.TOP_P, ALL_MASS);
  }
}
