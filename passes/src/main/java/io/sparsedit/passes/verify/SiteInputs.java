package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.Tensor;
import java.util.Optional;

/**
 * What a site reads beside its state.
 *
 * @param query [B,H,S,D]
 * @param key [B,H,S,D]
 * @param value [B,H,S,D]
 * @param geometry i32 [3]: frames, height and width of the video tokens
 * @param keyBias f32 [B,1,1,S], where keys are masked
 */
record SiteInputs(
    Tensor query, Tensor key, Tensor value, Tensor geometry, Optional<Tensor> keyBias) {
  /** Number of video tokens of a site. */
  int videoTokens(SparseSite site) {
    if (site.text().segments() == 0) {
      return (int) query.dims()[2];
    }
    long tokens = 1;
    for (long extent : geometry.longs().orElseThrow()) {
      tokens *= extent;
    }
    return Math.toIntExact(tokens);
  }
}
