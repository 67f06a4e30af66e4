package io.sparsedit.passes;

import io.sparsedit.compiler.rules.match.Match;

/**
 * A match that is no attention all the same.
 *
 * @param match where a rule fits
 * @param reason why that is not taken for attention
 */
public record Rejection(Match match, String reason) {}
