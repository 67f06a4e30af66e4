package io.sparsedit.passes;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.passes.functions.AdaSpaPlan;
import io.sparsedit.passes.functions.Planner;
import io.sparsedit.passes.functions.ReferencePlan;

/**
 * Settings of the references that methods are measured against: the truly most massive blocks,
 * which take longer to find than dense attention takes, and random ones.
 *
 * @param method {@link Method#ORACLE} or {@link Method#RANDOM}
 * @param density kept part of the pairs
 * @param blockSize tokens of a block
 * @param compensate whether each skipped key block is represented by one pseudo-key
 */
public record ReferenceSettings(Method method, float density, int blockSize, boolean compensate)
    implements MethodSettings {
  private static final int SEED = 0;

  public ReferenceSettings {
    if (method != Method.ORACLE && method != Method.RANDOM) {
      throw new IllegalArgumentException(method + " is no reference");
    }
    MethodSettings.requireDensity(density);
    MethodSettings.requireBlockSize(blockSize);
  }

  /** AdaSpa's density and blocks. */
  public static ReferenceSettings of(Method method) {
    return new ReferenceSettings(
        method, AdaSpaPlan.PUBLISHED_DENSITY, AdaSpaPlan.PUBLISHED_BLOCK_SIZE, false);
  }

  @Override
  public Planner planner(PlannedSite site) {
    return new ReferencePlan(
        site.index(),
        site.layout(),
        site.scale(),
        blockSize,
        density,
        method == Method.ORACLE ? ReferencePlan.Choice.MOST_MASS : ReferencePlan.Choice.RANDOM,
        SEED,
        site.text(),
        site.masked());
  }

  /** A plan in every sparse step. */
  @Override
  public SiteSchedule schedule(ScheduleOptions options, Preset preset) {
    SiteSchedule schedule = options.periodic(preset, false);
    if (schedule.reusesPlans()) {
      throw SparsifyException.usage(
          method.label()
              + " plans in every sparse step: leave out --replan-interval and --search-steps");
    }
    return schedule;
  }

  @Override
  public double denseLayers(Preset preset) {
    return preset.denseLayers();
  }

  /** The settings that a plan gives. */
  static ReferenceSettings read(Method method, PlanObject plan) {
    ReferenceSettings defaults = of(method);
    return new ReferenceSettings(
        method,
        (float) MethodSettings.density(plan).orElse(defaults.density),
        plan.integer("blockSize", 1).orElse(defaults.blockSize),
        plan.flag("compensate").orElse(defaults.compensate));
  }

  @Override
  public ObjectNode describe(PlannedSite site) {
    return JsonNodeFactory.instance
        .objectNode()
        .put("density", MethodSettings.rounded(density))
        .put("blockSize", blockSize)
        .put("compensate", compensate);
  }
}
