package io.sparsedit.passes.qk;

import io.sparsedit.passes.functions.NormGuard;
import io.sparsedit.passes.functions.NormKind;
import io.sparsedit.passes.functions.NormScope;

/**
 * A norm of Q or K.
 *
 * @param kind what is computed
 * @param scope over what
 * @param guard what keeps it from dividing by zero
 * @param weight whether the result is multiplied with a weight
 * @param bias whether a bias is added
 */
public record QkNorm(
    NormKind kind, NormScope scope, NormGuard guard, boolean weight, boolean bias) {
  /** Such as {@code rms over head}. */
  @Override
  public String toString() {
    return kind.attributeValue() + " over " + scope.attributeValue();
  }
}
