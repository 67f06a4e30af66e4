package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.ValueType.DeclaredDim;

/**
 * The dimensions of a self-attention site.
 *
 * @param batch B
 * @param heads H
 * @param tokens S
 * @param headSize D
 */
public record SiteShape(
    DeclaredDim batch, DeclaredDim heads, DeclaredDim tokens, DeclaredDim headSize) {
  /** A site whose dimensions are all known. */
  public static SiteShape of(long batch, long heads, long tokens, long headSize) {
    return new SiteShape(
        new DeclaredDim.Fixed(batch),
        new DeclaredDim.Fixed(heads),
        new DeclaredDim.Fixed(tokens),
        new DeclaredDim.Fixed(headSize));
  }
}
