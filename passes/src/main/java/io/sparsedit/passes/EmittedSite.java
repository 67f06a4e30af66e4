package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import java.util.List;

/**
 * A site after it has become a planner and an attention node.
 *
 * @param planned what its planner was told
 * @param site the site
 * @param planner the planner node
 * @param attention the attention node
 * @param state state tensors in the planner's order
 */
record EmittedSite(
    PlannedSite planned, Site site, Node planner, Node attention, List<StateBinding> state) {
  /** Place in {@code action} and in the names of the state. */
  int index() {
    return planned.index();
  }

  /** The method and its settings. */
  MethodSettings method() {
    return site.method().orElseThrow();
  }
}
