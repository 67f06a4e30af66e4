package io.sparsedit.passes.qk;

import io.sparsedit.compiler.shape.Dim;

/**
 * Sizes of Q or K.
 *
 * @param batch B
 * @param heads H
 * @param tokens S
 * @param dim D, the lanes of a head
 */
record Head(Dim batch, Dim heads, Dim tokens, int dim) {}
