package io.sparsedit.compiler.rules.match;

import java.util.Optional;

/**
 * The result of trying one rule at one node: a match, or how far the attempt came.
 *
 * @param match the match
 * @param failure the deepest failure; empty for a match
 * @param steps how many pattern steps it took
 * @param abandoned whether the attempt ended because it took too many steps
 */
public record Outcome(
    Optional<Match> match, Optional<Failure> failure, int steps, boolean abandoned) {}
