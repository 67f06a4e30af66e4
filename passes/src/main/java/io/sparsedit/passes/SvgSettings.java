package io.sparsedit.passes;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.passes.functions.FrameSink;
import io.sparsedit.passes.functions.Planner;
import io.sparsedit.passes.functions.SvgPlan;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * Settings of SVG (Sparse VideoGen, arXiv 2502.01776) as the published scripts name them.
 *
 * @param density kept part of the pairs; empty for that of the preset
 * @param budget whether band and sink together must not exceed the density; else the width of the
 *     band alone follows from it by the published formula
 * @param sampledRows rows of each head that its class is told from
 * @param profileFrames half width of the bands that tell the classes apart, in frames; empty for
 *     that of the published code
 * @param sink the keys that every query attends to, or empty for those of the published code
 * @param blockSize tokens of a block
 * @param compensate whether each skipped key block is represented by one pseudo-key
 */
public record SvgSettings(
    Optional<Float> density,
    boolean budget,
    int sampledRows,
    Optional<Float> profileFrames,
    Optional<FrameSink> sink,
    int blockSize,
    boolean compensate)
    implements MethodSettings {

  /** The published settings: 64 sampled rows, blocks of 128, density and sink by model. */
  public static final SvgSettings PUBLISHED =
      new SvgSettings(
          Optional.empty(),
          false,
          SvgPlan.PUBLISHED_SAMPLED_ROWS,
          Optional.empty(),
          Optional.empty(),
          SvgPlan.PUBLISHED_BLOCK_SIZE,
          false);

  public SvgSettings {
    density.ifPresent(MethodSettings::requireDensity);
    if (sampledRows < 1) {
      throw SparsifyException.usage("--sampled-rows must be at least 1, not " + sampledRows);
    }
    if (sampledRows > MOST_TOKENS) {
      throw SparsifyException.usage(
          "--sampled-rows must be at most " + MOST_TOKENS + ", not " + sampledRows);
    }
    MethodSettings.requireBlockSize(blockSize);
  }

  @Override
  public Method method() {
    return Method.SVG;
  }

  @Override
  public Planner planner(PlannedSite site) {
    return new SvgPlan(
        site.index(),
        site.layout(),
        site.scale(),
        blockSize,
        density(site),
        budget,
        sampledRows,
        profileFrames(site),
        sink(site),
        site.text(),
        site.masked(),
        site.keepsPlan());
  }

  private float density(PlannedSite site) {
    return density.orElse(site.preset().svgDensity());
  }

  private float profileFrames(PlannedSite site) {
    return profileFrames.orElse(SvgPlan.publishedProfileFrames(site.text()));
  }

  private FrameSink sink(PlannedSite site) {
    return sink.orElse(SvgPlan.publishedSink(site.text()));
  }

  /** A plan in every sparse step: the authors found that reused head classes cost quality. */
  @Override
  public SiteSchedule schedule(ScheduleOptions options, Preset preset) {
    return options.periodic(preset, false);
  }

  @Override
  public double denseLayers(Preset preset) {
    return preset.denseLayers();
  }

  /** The settings that a plan gives; those that it does not name are as published. */
  static SvgSettings read(PlanObject plan) {
    OptionalDouble density = MethodSettings.density(plan);
    OptionalDouble frames = plan.number("profileFrames", "a number above 0", f -> f > 0);
    return new SvgSettings(
        floatOf(density),
        plan.flag("budget").orElse(PUBLISHED.budget),
        plan.integer("sampledRows", 1).orElse(PUBLISHED.sampledRows),
        floatOf(frames),
        plan.text("frameSink")
            .map(
                name ->
                    FrameSink.of(name)
                        .orElseThrow(
                            () ->
                                plan.error(
                                    "'frameSink' must be none, published or corrected, not '"
                                        + name
                                        + "'"))),
        plan.integer("blockSize", 1).orElse(PUBLISHED.blockSize),
        plan.flag("compensate").orElse(PUBLISHED.compensate));
  }

  private static Optional<Float> floatOf(OptionalDouble number) {
    return number.isPresent() ? Optional.of((float) number.getAsDouble()) : Optional.empty();
  }

  @Override
  public ObjectNode describe(PlannedSite site) {
    return JsonNodeFactory.instance
        .objectNode()
        .put("density", MethodSettings.rounded(density(site)))
        .put("budget", budget)
        .put("sampledRows", sampledRows)
        .put("profileFrames", MethodSettings.rounded(profileFrames(site)))
        .put("frameSink", sink(site).attributeValue())
        .put("blockSize", blockSize)
        .put("compensate", compensate);
  }
}
