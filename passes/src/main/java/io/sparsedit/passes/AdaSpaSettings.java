package io.sparsedit.passes;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.passes.functions.AdaSpaPlan;
import io.sparsedit.passes.functions.Planner;
import java.util.List;

/**
 * Settings of AdaSpa (arXiv 2502.21079).
 *
 * @param density kept part of the blocks in the mean over heads; the paper's sparsity is 1 less
 *     this
 * @param recallThreshold recall above which a head gives up density to others
 * @param blockSize tokens of a block
 * @param compensate whether each skipped key block is represented by one pseudo-key
 */
public record AdaSpaSettings(
    float density, float recallThreshold, int blockSize, boolean compensate)
    implements MethodSettings {

  /** The paper's settings: sparsity 0.8, recall above 0.8, blocks of 64. */
  public static final AdaSpaSettings PUBLISHED =
      new AdaSpaSettings(
          AdaSpaPlan.PUBLISHED_DENSITY,
          AdaSpaPlan.PUBLISHED_RECALL_THRESHOLD,
          AdaSpaPlan.PUBLISHED_BLOCK_SIZE,
          false);

  /** Steps 10 and 30 of 50 in the paper, which counts from 1. */
  private static final List<Integer> PUBLISHED_SEARCHES = List.of(9, 29);

  private static final int PUBLISHED_STEPS = 50;

  public AdaSpaSettings {
    MethodSettings.requireDensity(density);
    if (!(recallThreshold >= 0) || Float.isInfinite(recallThreshold)) {
      throw SparsifyException.usage(
          "--recall-threshold must be 0 or more, but is " + recallThreshold);
    }
    MethodSettings.requireBlockSize(blockSize);
  }

  @Override
  public Method method() {
    return Method.ADASPA;
  }

  @Override
  public Planner planner(PlannedSite site) {
    return new AdaSpaPlan(
        site.index(),
        site.layout(),
        site.scale(),
        blockSize,
        density,
        recallThreshold,
        site.text(),
        site.masked(),
        site.keepsPlan());
  }

  @Override
  public SiteSchedule schedule(ScheduleOptions options, Preset preset) {
    if (options.planDuringWarmup().orElse(false)) {
      throw SparsifyException.usage(
          "--plan-during-warmup does nothing for adaspa: its first search ends the warm-up");
    }
    return options.searches(preset, PUBLISHED_SEARCHES, PUBLISHED_STEPS);
  }

  /** None: the paper leaves no layer dense. */
  @Override
  public double denseLayers(Preset preset) {
    return 0;
  }

  /** The settings that a plan gives; those that it does not name are as published. */
  static AdaSpaSettings read(PlanObject plan) {
    return new AdaSpaSettings(
        (float) MethodSettings.density(plan).orElse(PUBLISHED.density),
        (float)
            plan.number("recallThreshold", "a number from 0 on", r -> r >= 0)
                .orElse(PUBLISHED.recallThreshold),
        plan.integer("blockSize", 1).orElse(PUBLISHED.blockSize),
        plan.flag("compensate").orElse(PUBLISHED.compensate));
  }

  @Override
  public ObjectNode describe(PlannedSite site) {
    return JsonNodeFactory.instance
        .objectNode()
        .put("density", MethodSettings.rounded(density))
        .put("recallThreshold", MethodSettings.rounded(recallThreshold))
        .put("blockSize", blockSize)
        .put("compensate", compensate);
  }
}
