package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.passes.functions.NormGuard;
import io.sparsedit.passes.functions.NormKind;
import java.util.List;
import java.util.Optional;

/**
 * A norm over the last axis of a tensor.
 *
 * @param output the result
 * @param input what is normalised, of the same shape
 * @param kind what is computed
 * @param guard what keeps it from dividing by zero
 * @param size how many elements are normalised together
 * @param weight the factor for each of them, or for each and each head
 * @param bias one summand for each of them
 * @param nodes what computes it
 * @param wide whether weight or bias have a second axis: heads, or else something else than a norm
 */
record NormMatch(
    Value output,
    Value input,
    NormKind kind,
    NormGuard guard,
    long size,
    Optional<NormWeight> weight,
    Optional<Value> bias,
    List<Node> nodes,
    boolean wide) {}
