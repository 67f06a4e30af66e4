package io.sparsedit.passes.qk;

import io.sparsedit.compiler.shape.Dim;
import java.util.Optional;

/**
 * A run of Q's or K's tokens and what they are made of.
 *
 * @param fact what was found, in short
 * @param start the first token
 * @param source what is rotated: the norm's result, or a projection
 * @param norm the norm whose result the source is
 * @param rotation the rotation of the rotated tokens
 * @param firstRotated the first rotated token
 */
record FoundPart(
    Prepared.Part fact,
    Dim start,
    HeadTensor source,
    Optional<NormMatch> norm,
    Optional<Rotation> rotation,
    Dim firstRotated) {}
