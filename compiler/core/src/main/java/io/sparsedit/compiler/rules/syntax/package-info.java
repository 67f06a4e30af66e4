/** Text of a rule file to syntax tree, and the diagnostics of all stages. */
@NullMarked
package io.sparsedit.compiler.rules.syntax;

import org.jspecify.annotations.NullMarked;
