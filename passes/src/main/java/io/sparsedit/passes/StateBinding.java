package io.sparsedit.passes;

import io.sparsedit.passes.functions.StateTensor;

/**
 * A state tensor as the compiled model carries it.
 *
 * @param tensor what it is
 * @param input the graph input that brings it
 * @param output the graph output that holds it for the next step
 */
record StateBinding(StateTensor tensor, String input, String output) {}
