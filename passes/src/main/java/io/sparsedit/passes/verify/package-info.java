/** Measures what a compiled model computes against what the original does. */
@NullMarked
package io.sparsedit.passes.verify;

import org.jspecify.annotations.NullMarked;
