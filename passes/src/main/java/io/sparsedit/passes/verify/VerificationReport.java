package io.sparsedit.passes.verify;

import java.util.List;
import java.util.Optional;

/**
 * What a verification measured.
 *
 * @param mode what was run
 * @param note why not more was run, and on which inputs; never empty
 * @param tolerance what the errors with everything kept must not exceed, as {@link
 *     ErrorMetrics#normalizedMax} measures
 * @param maxError what the relative L1 error of any output with the chosen settings must not
 *     exceed, if the user set that
 * @param everythingKept outputs of the compiled model with everything kept, against the original
 * @param asChosen outputs of the compiled model with the chosen settings, against the original
 * @param sites the sites that were measured
 */
public record VerificationReport(
    VerifyMode mode,
    String note,
    double tolerance,
    Optional<Double> maxError,
    List<OutputError> everythingKept,
    List<OutputError> asChosen,
    List<SiteError> sites) {

  public VerificationReport {
    everythingKept = List.copyOf(everythingKept);
    asChosen = List.copyOf(asChosen);
    sites = List.copyOf(sites);
  }

  /**
   * Error of one model output.
   *
   * @param output its name
   * @param error against the original's
   */
  public record OutputError(String output, ErrorMetrics error) {}

  /**
   * One site on q, k, v of its own, the same for the sparse and the dense attention.
   *
   * @param site the site's name
   * @param index its place in {@code action}
   * @param tokens how many tokens it was measured at
   * @param everythingKept its error with everything kept
   * @param asChosen its error with the chosen settings
   * @param density kept pairs over all pairs, mean over batch and heads
   * @param minDensity the least dense head's
   * @param maxDensity the densest head's
   * @param recall kept softmax mass over all softmax mass
   */
  public record SiteError(
      String site,
      int index,
      long tokens,
      ErrorMetrics everythingKept,
      ErrorMetrics asChosen,
      double density,
      double minDensity,
      double maxDensity,
      double recall) {}

  /** Every reason for which the verification fails; empty if it passes. */
  public List<String> failures() {
    List<String> failures = new java.util.ArrayList<>();
    for (OutputError output : everythingKept) {
      if (!output.error().isWithin(tolerance)) {
        failures.add(
            "output '" + output.output() + "' with everything kept: " + excess(output.error()));
      }
    }
    for (SiteError site : sites) {
      if (!site.everythingKept().isWithin(tolerance)) {
        failures.add(
            "site " + site.site() + " with everything kept: " + excess(site.everythingKept()));
      }
    }
    for (OutputError output : asChosen) {
      checkMaxError("output '" + output.output() + "'", output.error(), failures);
    }
    if (asChosen.isEmpty()) {
      for (SiteError site : sites) {
        checkMaxError("site " + site.site(), site.asChosen(), failures);
      }
    }
    return failures;
  }

  private void checkMaxError(String what, ErrorMetrics error, List<String> failures) {
    if (maxError.isPresent() && !(error.finite() && error.relativeL1() <= maxError.get())) {
      failures.add(
          String.format(
              java.util.Locale.ROOT,
              "%s: relative L1 error %.3g is above --max-error %.3g",
              what,
              error.relativeL1(),
              maxError.get()));
    }
  }

  private String excess(ErrorMetrics error) {
    return error.finite()
        ? String.format(
            java.util.Locale.ROOT,
            "error %.3g is above the tolerance %.3g",
            error.normalizedMax(),
            tolerance)
        : "not a finite number";
  }
}
