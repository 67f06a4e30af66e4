package io.sparsedit.runtime.compare;

import io.sparsedit.runtime.Tensor;

/**
 * How far a tensor is from its reference.
 *
 * @param maximum the largest absolute difference over the larger of 1 and the largest absolute
 *     value of the reference; NaN if an element is NaN on one side alone
 * @param relativeL1 the sum of absolute differences over that of absolute values
 * @param cosine the cosine of the angle between the two
 */
public record TensorError(double maximum, double relativeL1, double cosine) {
  /** No difference. */
  public static final TensorError NONE = new TensorError(0, 0, 1);

  /**
   * The difference of two tensors.
   *
   * @throws IllegalArgumentException if they have not as many elements
   */
  public static TensorError of(Tensor found, Tensor wanted) {
    if (found.elementCount() != wanted.elementCount()) {
      throw new IllegalArgumentException(
          found.elementCount() + " elements beside " + wanted.elementCount());
    }
    double largest = 1;
    double worst = 0;
    double difference = 0;
    double magnitude = 0;
    double product = 0;
    double foundSquares = 0;
    double wantedSquares = 0;
    for (int i = 0; i < wanted.elementCount(); i++) {
      double a = found.get(i);
      double b = wanted.get(i);
      double distance = a == b || (Double.isNaN(a) && Double.isNaN(b)) ? 0 : Math.abs(a - b);
      worst = Math.max(worst, distance); // A NaN stays.
      largest = Math.max(largest, Math.abs(b));
      difference += distance;
      magnitude += Math.abs(b);
      product += a * b;
      foundSquares += a * a;
      wantedSquares += b * b;
    }
    if (worst == 0) {
      return NONE;
    }
    return new TensorError(
        worst / largest, difference / magnitude, product / Math.sqrt(foundSquares * wantedSquares));
  }

  /** The worse of each of the three. */
  public TensorError worse(TensorError other) {
    return new TensorError(
        Math.max(maximum, other.maximum),
        Math.max(relativeL1, other.relativeL1),
        Math.min(cosine, other.cosine));
  }
}
