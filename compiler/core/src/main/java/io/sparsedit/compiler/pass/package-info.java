/** Running passes in order, with what each needs and establishes checked, counted and timed. */
@NullMarked
package io.sparsedit.compiler.pass;

import org.jspecify.annotations.NullMarked;
