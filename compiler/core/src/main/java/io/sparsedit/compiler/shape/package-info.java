/** Symbolic shapes and partial evaluation: what is known of every value without running it. */
@NullMarked
package io.sparsedit.compiler.shape;

import org.jspecify.annotations.NullMarked;
