/**
 * What stands in front of Q and K of an attention site: QK-norm and rotary position embedding
 * (RoPE).
 *
 * <p>Norms are found by rules ({@code rules/qknorm.rules}). RoPE has too many spellings for rules:
 * pairs of lanes may be split, sliced, negated, concatenated, stacked, scattered. So {@link
 * io.sparsedit.passes.qk.ElementTrace} follows single elements of Q back to where they come from,
 * and {@link io.sparsedit.passes.qk.RopeMatcher} looks at the resulting expression alone: whatever
 * computes {@code x[d] cos[d] - x[p] sin[d]} is RoPE.
 */
@NullMarked
package io.sparsedit.passes.qk;

import org.jspecify.annotations.NullMarked;
