package io.sparsedit.runtime.sampling;

/** Noise levels of a flow-matching sampler. */
public final class Sigmas {
  private Sigmas() {}

  /**
   * One level more than there are steps, falling from 1 to 0.
   *
   * @param shift 1 for equal parts; above 1 more of the steps are spent where there is much noise
   */
  public static double[] of(int steps, double shift) {
    double[] sigmas = new double[steps + 1];
    for (int step = 0; step <= steps; step++) {
      double part = 1 - (double) step / steps;
      sigmas[step] = shift * part / (1 + (shift - 1) * part);
    }
    return sigmas;
  }
}
