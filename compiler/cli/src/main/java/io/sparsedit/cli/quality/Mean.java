package io.sparsedit.cli.quality;

import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * Means over the samples of one candidate.
 *
 * @param psnr in dB; infinite where a sample is equal to its reference
 * @param psnrError standard error of that mean; 0 if there is but one sample
 * @param ssim mean SSIM, NaN where it does not exist
 * @param relativeL1 mean relative L1 error
 * @param density of the sparse steps
 * @param totalDensity of all steps
 * @param recall of the sparse steps
 * @param seconds a run
 */
record Mean(
    double psnr,
    double psnrError,
    double ssim,
    double relativeL1,
    double density,
    double totalDensity,
    double recall,
    double seconds) {
  static Mean of(List<Measurement> runs) {
    double psnr = mean(runs, Measurement::psnr);
    double squares = mean(runs, run -> (run.psnr() - psnr) * (run.psnr() - psnr));
    double error = runs.size() < 2 ? 0 : Math.sqrt(squares / (runs.size() - 1.0));
    return new Mean(
        psnr,
        error,
        mean(runs, Measurement::ssim),
        mean(runs, Measurement::relativeL1),
        mean(runs, Measurement::density),
        mean(runs, Measurement::totalDensity),
        mean(runs, Measurement::recall),
        mean(runs, Measurement::seconds));
  }

  private static double mean(List<Measurement> runs, ToDoubleFunction<Measurement> what) {
    return runs.stream().mapToDouble(what).average().orElse(Double.NaN);
  }
}
