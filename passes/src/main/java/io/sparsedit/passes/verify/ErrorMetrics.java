package io.sparsedit.passes.verify;

/**
 * How far one tensor is from its reference.
 *
 * @param maxError largest absolute difference
 * @param meanError mean absolute difference
 * @param normalizedMax {@code maxError / max(1, largest absolute reference)}: what tolerances apply
 *     to
 * @param relativeL1 sum of absolute differences over sum of absolute references
 * @param cosine cosine of the angle between the two; 1 when both are zero
 * @param psnr peak signal-to-noise ratio in dB, the peak being the reference's range; infinite when
 *     they are equal
 * @param finite whether every element of the tensor is a finite number where the reference is
 */
public record ErrorMetrics(
    double maxError,
    double meanError,
    double normalizedMax,
    double relativeL1,
    double cosine,
    double psnr,
    boolean finite) {

  /** Compares two tensors of the same size, element by element. */
  public static ErrorMetrics of(double[] actual, double[] reference) {
    if (actual.length != reference.length) {
      throw new IllegalArgumentException(
          actual.length + " elements against " + reference.length + " in the reference");
    }
    double max = 0;
    double sum = 0;
    double squares = 0;
    double referenceSum = 0;
    double referenceMax = 0;
    double low = Double.POSITIVE_INFINITY;
    double high = Double.NEGATIVE_INFINITY;
    double dot = 0;
    double actualNorm = 0;
    double referenceNorm = 0;
    boolean finite = true;
    for (int i = 0; i < actual.length; i++) {
      double a = actual[i];
      double r = reference[i];
      if (!Double.isFinite(a) || !Double.isFinite(r)) {
        finite &= Double.compare(a, r) == 0;
        continue;
      }
      double difference = Math.abs(a - r);
      max = Math.max(max, difference);
      sum += difference;
      squares += difference * difference;
      referenceSum += Math.abs(r);
      referenceMax = Math.max(referenceMax, Math.abs(r));
      low = Math.min(low, r);
      high = Math.max(high, r);
      dot += a * r;
      actualNorm += a * a;
      referenceNorm += r * r;
    }
    int n = Math.max(1, actual.length);
    double norm = Math.sqrt(actualNorm) * Math.sqrt(referenceNorm);
    double cosine = norm > 0 ? dot / norm : actualNorm == referenceNorm ? 1 : 0;
    double range = high > low ? high - low : Math.max(referenceMax, Double.MIN_NORMAL);
    double meanSquare = squares / n;
    double psnr =
        meanSquare == 0 ? Double.POSITIVE_INFINITY : 10 * Math.log10(range * range / meanSquare);
    double relative =
        referenceSum > 0 ? sum / referenceSum : sum == 0 ? 0 : Double.POSITIVE_INFINITY;
    return new ErrorMetrics(
        max, sum / n, max / Math.max(1, referenceMax), relative, cosine, psnr, finite);
  }

  /** Whether the tensor is finite and within the tolerance, as {@link #normalizedMax} measures. */
  public boolean isWithin(double tolerance) {
    return finite && normalizedMax <= tolerance;
  }
}
