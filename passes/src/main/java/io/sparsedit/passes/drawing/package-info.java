/** Pieces of a graph as SVG drawings. */
@NullMarked
package io.sparsedit.passes.drawing;

import org.jspecify.annotations.NullMarked;
