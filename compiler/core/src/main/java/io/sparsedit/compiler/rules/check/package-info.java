/** Syntax trees of rules to checked rules: names, tags, operators, attributes, types. */
@NullMarked
package io.sparsedit.compiler.rules.check;

import org.jspecify.annotations.NullMarked;
