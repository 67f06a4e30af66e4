/** Checked rules and the matcher that looks for them in a graph. */
@NullMarked
package io.sparsedit.compiler.rules.match;

import org.jspecify.annotations.NullMarked;
