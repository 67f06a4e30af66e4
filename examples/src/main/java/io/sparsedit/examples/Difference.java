package io.sparsedit.examples;

import io.sparsedit.runtime.Tensor;

/**
 * How far a tensor is from a reference.
 *
 * @param relativeL1 sum of absolute errors over sum of absolute reference values
 * @param psnr peak signal-to-noise ratio in dB, the peak being the reference's range; infinite
 *     where both are equal
 */
record Difference(double relativeL1, double psnr) {
  static Difference of(Tensor tensor, Tensor reference) {
    double error = 0;
    double squares = 0;
    double magnitude = 0;
    double low = Double.POSITIVE_INFINITY;
    double high = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < reference.elementCount(); i++) {
      double wanted = reference.get(i);
      double distance = tensor.get(i) - wanted;
      error += Math.abs(distance);
      squares += distance * distance;
      magnitude += Math.abs(wanted);
      low = Math.min(low, wanted);
      high = Math.max(high, wanted);
    }
    if (error == 0) {
      return new Difference(0, Double.POSITIVE_INFINITY);
    }
    double rootMeanSquare = Math.sqrt(squares / reference.elementCount());
    return new Difference(error / magnitude, 20 * Math.log10((high - low) / rootMeanSquare));
  }

  @Override
  public String toString() {
    return relativeL1 == 0 ? "   equal" : String.format("%.2e  %.1f dB", relativeL1, psnr);
  }
}
