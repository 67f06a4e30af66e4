package io.sparsedit.passes.qk;

import io.sparsedit.passes.functions.NormKind;
import io.sparsedit.passes.functions.NormScope;

/**
 * A norm of Q or K.
 *
 * @param kind what is computed
 * @param scope over what
 * @param epsilon what is added to the mean of the squares
 * @param weight whether the result is multiplied with a weight
 * @param bias whether a bias is added
 */
public record QkNorm(NormKind kind, NormScope scope, float epsilon, boolean weight, boolean bias) {
  /** Such as {@code rms over head, eps 1.0E-6}. */
  @Override
  public String toString() {
    return kind.attributeValue() + " over " + scope.attributeValue();
  }
}
