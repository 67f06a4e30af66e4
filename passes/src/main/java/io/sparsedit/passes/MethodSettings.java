package io.sparsedit.passes;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.passes.functions.Planner;
import java.util.OptionalDouble;

/** The method of a site and its settings. What no setting says is as published. */
public sealed interface MethodSettings
    permits Svg2Settings, AdaSpaSettings, SvgSettings, ReferenceSettings {
  /** The method. */
  Method method();

  /** Whether each skipped key segment is represented by one pseudo-key. */
  boolean compensate();

  /** More than there are tokens in any video: what a setting counts of them, memory must hold. */
  int MOST_TOKENS = 1 << 17;

  /** The planner of a site. */
  Planner planner(PlannedSite site);

  /** When a site plans: what the user says, and for the rest what is published. */
  SiteSchedule schedule(ScheduleOptions options, Preset preset);

  /** The fraction of the layers, rounded down, that stays dense as published. */
  double denseLayers(Preset preset);

  /** The settings as {@code bundle.json} has them, those that depend on the site resolved. */
  ObjectNode describe(PlannedSite site);

  /** The settings that a plan gives a method, whose keys are those of {@link #describe}. */
  static MethodSettings read(Method method, PlanObject settings) {
    return switch (method) {
      case SVG2 -> Svg2Settings.read(settings);
      case ADASPA -> AdaSpaSettings.read(settings);
      case SVG -> SvgSettings.read(settings);
      case ORACLE, RANDOM -> ReferenceSettings.read(method, settings);
    };
  }

  /** Refuses a density that is no part of something, such as 25 where 25 % is meant. */
  static void requireDensity(float density) {
    // "not above" also rejects NaN.
    if (!(density > 0 && density <= 1)) {
      throw SparsifyException.usage(
          "a density must be above 0 and at most 1, which keeps everything, not " + density);
    }
  }

  /** The density that a plan gives, if it gives one. */
  static OptionalDouble density(PlanObject plan) {
    return plan.number("density", "a number above 0 and at most 1", d -> d > 0 && d <= 1);
  }

  /** Refuses empty blocks, and such as are longer than any video. */
  static void requireBlockSize(int blockSize) {
    if (blockSize > MOST_TOKENS) {
      throw SparsifyException.usage(
          "--block-size must be at most " + MOST_TOKENS + ", not " + blockSize);
    }
    if (blockSize < 1) {
      throw SparsifyException.usage("--block-size must be at least 1, not " + blockSize);
    }
  }

  /** A float as the user wrote it: 0.9, not 0.8999999762. */
  static double rounded(float value) {
    return Double.parseDouble(Float.toString(value));
  }
}
