package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import java.util.List;

/**
 * A site after it has become a planner and an attention node.
 *
 * @param index place in {@code action} and in the names of the state
 * @param site the site
 * @param planner the planner node
 * @param attention the attention node
 * @param state state tensors in the planner's order
 */
record EmittedSite(int index, Site site, Node planner, Node attention, List<StateBinding> state) {}
