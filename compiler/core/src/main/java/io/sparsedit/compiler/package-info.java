/** Errors shared by all of the compiler. */
@NullMarked
package io.sparsedit.compiler;

import org.jspecify.annotations.NullMarked;
