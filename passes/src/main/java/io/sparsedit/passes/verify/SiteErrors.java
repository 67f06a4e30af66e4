package io.sparsedit.passes.verify;

/** Errors of single sites. */
final class SiteErrors {
  private SiteErrors() {}

  /**
   * The errors of a site, with the density and the recall of the plan that it used.
   *
   * @param everythingKept its error with everything kept
   * @param expected what dense attention gives
   */
  static VerificationReport.SiteError of(
      SparseSite site,
      SiteModel.Result result,
      SiteInputs inputs,
      ErrorMetrics everythingKept,
      double[] expected) {
    PlanMetrics plan =
        PlanMetrics.of(
            result.plan(),
            inputs.query(),
            inputs.key(),
            site.scale(),
            new PlanMetrics.Tokens(site.text(), inputs.videoTokens(site), inputs.keyBias()));
    return new VerificationReport.SiteError(
        site.name(),
        site.index(),
        inputs.query().dims()[2],
        everythingKept,
        ErrorMetrics.of(result.output().doubles().orElseThrow(), expected),
        plan.density(),
        plan.minDensity(),
        plan.maxDensity(),
        plan.recall());
  }
}
