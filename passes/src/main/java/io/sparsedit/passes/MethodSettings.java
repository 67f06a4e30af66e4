package io.sparsedit.passes;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.passes.functions.Planner;

/** The method of a site and its settings. What no setting says is as published. */
public sealed interface MethodSettings permits Svg2Settings {
  /** The method. */
  Method method();

  /** Whether each skipped key segment is represented by one pseudo-key. */
  boolean compensate();

  /** The planner of a site. */
  Planner planner(PlannedSite site);

  /** The settings as {@code bundle.json} has them, those that depend on the site resolved. */
  ObjectNode describe(PlannedSite site);

  /** The settings that a plan gives a method, whose keys are those of {@link #describe}. */
  static MethodSettings read(Method method, PlanObject settings) {
    return switch (method) {
      case SVG2 -> Svg2Settings.read(settings);
    };
  }

  /** A float as the user wrote it: 0.9, not 0.8999999762. */
  static double rounded(float value) {
    return Double.parseDouble(Float.toString(value));
  }
}
