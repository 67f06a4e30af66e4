package io.sparsedit.passes;

import io.sparsedit.compiler.rules.syntax.Source;
import java.util.List;
import java.util.Optional;

/**
 * What the user asks of a compilation.
 *
 * @param method the method and its settings
 * @param video extent of the video where the user gives it
 * @param denseLayers layers that stay dense
 * @param checkInvariants whether the graph is verified after every pass
 * @param ownRules files with the user's own recognition rules
 * @param plan the user's choices site by site; sites that it does not name are decided by the rest
 */
public record CompileOptions(
    MethodSettings method,
    Optional<VideoGeometry> video,
    DenseLayers denseLayers,
    boolean checkInvariants,
    List<Source> ownRules,
    Optional<SitePlan> plan) {

  /** SVG2 with the published settings. */
  public static final CompileOptions DEFAULT =
      new CompileOptions(Svg2Settings.PUBLISHED, Optional.empty(), DenseLayers.PUBLISHED, false);

  public CompileOptions {
    ownRules = List.copyOf(ownRules);
  }

  /** Options without rules of the user's own and without a plan. */
  public CompileOptions(
      MethodSettings method,
      Optional<VideoGeometry> video,
      DenseLayers denseLayers,
      boolean checkInvariants) {
    this(method, video, denseLayers, checkInvariants, List.of(), Optional.empty());
  }

  /** The same options with a plan. */
  public CompileOptions withPlan(SitePlan newPlan) {
    return new CompileOptions(
        method, video, denseLayers, checkInvariants, ownRules, Optional.of(newPlan));
  }
}
