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
 * @param schedule what the user says of the schedule
 * @param text which tokens are text where the user says so
 * @param fuseQkNormRope whether QK-norm and RoPE of sparse sites become one node
 */
public record CompileOptions(
    MethodSettings method,
    Optional<VideoGeometry> video,
    DenseLayers denseLayers,
    boolean checkInvariants,
    List<Source> ownRules,
    Optional<SitePlan> plan,
    ScheduleOptions schedule,
    Optional<TextTokens> text,
    boolean fuseQkNormRope) {

  /** SVG2 with its defaults. */
  public static final CompileOptions DEFAULT =
      new CompileOptions(Svg2Settings.DEFAULT, Optional.empty(), DenseLayers.PUBLISHED, false);

  public CompileOptions {
    ownRules = List.copyOf(ownRules);
  }

  /**
   * Options without rules of the user's own and without a plan, with the published schedule, where
   * the graph tells which tokens are text. QK-norm and RoPE are fused.
   */
  public CompileOptions(
      MethodSettings method,
      Optional<VideoGeometry> video,
      DenseLayers denseLayers,
      boolean checkInvariants) {
    this(
        method,
        video,
        denseLayers,
        checkInvariants,
        List.of(),
        Optional.empty(),
        ScheduleOptions.PUBLISHED,
        Optional.empty(),
        true);
  }

  /** The same options with a plan. */
  public CompileOptions withPlan(SitePlan newPlan) {
    return with(ownRules, Optional.of(newPlan), schedule, text, fuseQkNormRope);
  }

  /** The same options with rules of the user's own. */
  public CompileOptions withOwnRules(List<Source> files) {
    return with(files, plan, schedule, text, fuseQkNormRope);
  }

  /** The same options with another schedule. */
  public CompileOptions withSchedule(ScheduleOptions newSchedule) {
    return with(ownRules, plan, newSchedule, text, fuseQkNormRope);
  }

  /** The same options where the user says which tokens are text. */
  public CompileOptions withText(TextTokens tokens) {
    return with(ownRules, plan, schedule, Optional.of(tokens), fuseQkNormRope);
  }

  /** The same options with {@link #fuseQkNormRope()} as given. */
  public CompileOptions withFusedQkNormRope(boolean fuse) {
    return with(ownRules, plan, schedule, text, fuse);
  }

  private CompileOptions with(
      List<Source> newRules,
      Optional<SitePlan> newPlan,
      ScheduleOptions newSchedule,
      Optional<TextTokens> newText,
      boolean newFuse) {
    return new CompileOptions(
        method,
        video,
        denseLayers,
        checkInvariants,
        newRules,
        newPlan,
        newSchedule,
        newText,
        newFuse);
  }
}
