package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.ModelCopy;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.passes.functions.Svg2Plan;
import java.util.List;

/**
 * Sets planners so that their plans keep every pair: the result must then equal dense attention.
 */
final class KeepEverything {
  /** FLOAT: the part of the query-key pairs that a planner keeps, by name of its attribute. */
  private static final String DENSITY = "density";

  /** Top-p and density of 1 or more keep everything. */
  private static final float ALL = 2;

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
    boolean isSet = false;
    for (String setting : List.of(Svg2Plan.TOP_P, DENSITY)) {
      if (planner.attribute(setting).isPresent()) {
        planner.setAttribute(setting, ALL);
        isSet = true;
      }
    }
    if (!isSet) {
      throw new IllegalStateException("no way to keep everything with " + planner);
    }
  }
}
