/**
 * The rule language: graph rewrites as data.
 *
 * <p>{@link io.sparsedit.compiler.rules.RuleSet} loads rule files (text to syntax tree in {@code
 * syntax}, syntax tree to checked rules in {@code check}); {@link
 * io.sparsedit.compiler.rules.RuleEngine} finds their matches in a graph (in {@code match}) and
 * explains why there are none. {@code docs/rules.md} describes the language.
 */
@NullMarked
package io.sparsedit.compiler.rules;

import org.jspecify.annotations.NullMarked;
