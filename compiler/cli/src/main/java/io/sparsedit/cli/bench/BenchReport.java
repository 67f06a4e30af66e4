package io.sparsedit.cli.bench;

import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Bundle;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * What was measured of a bundle.
 *
 * @param bundle the bundle
 * @param sparse what was measured of its model
 * @param dense what was measured of its dense engine, if it has one
 * @param densities of the plans in the state after a planned step
 * @param runs the schedules, computed from the steps' medians
 * @param whole the bundle's schedule run from first step to last, if asked for
 * @param notes what could not be measured, and why
 */
public record BenchReport(
    Bundle bundle,
    Side sparse,
    Optional<Side> dense,
    List<PlanDensity> densities,
    List<ComputedRun> runs,
    Optional<WholeRun> whole,
    List<String> notes) {

  /**
   * One model.
   *
   * @param backend what ran it
   * @param steps times of each kind of step
   * @param layers the layers of each kind of step, empty where they were not timed
   * @param memory the GPU memory that it takes, if that is known
   */
  record Side(
      String backend,
      Map<Step, Times> steps,
      Map<Step, List<Layer>> layers,
      Optional<Memory> memory) {

    /** Milliseconds of a group of layers in a kind of step. */
    OptionalDouble group(Step step, LayerGroup group) {
      List<Layer> timed = layers.getOrDefault(step, List.of());
      return timed.isEmpty() ? OptionalDouble.empty() : OptionalDouble.of(sum(timed, group));
    }
  }

  /** Milliseconds of the layers of a group. */
  static double sum(List<Layer> layers, LayerGroup group) {
    return layers.stream()
        .filter(layer -> layer.group() == group)
        .mapToDouble(Layer::milliseconds)
        .sum();
  }

  /**
   * GPU memory in bytes.
   *
   * @param engine of the engine with its weights
   * @param session at most, of a session with one branch: context, state, inputs and outputs
   */
  record Memory(long engine, long session) {
    /**
     * Memory as differences of what was free tell it; empty where they cannot be right, since other
     * programs took or gave back memory of the same GPU, and on a CPU.
     */
    static Optional<Memory> ofDifferences(long engine, long session) {
      return engine > 0 && session > 0
          ? Optional.of(new Memory(engine, session))
          : Optional.empty();
    }
  }

  /**
   * A layer of an engine.
   *
   * @param name the engine's name for it
   * @param group what it does
   * @param nodes the ONNX nodes in it
   * @param milliseconds the median of its times
   */
  record Layer(String name, LayerGroup group, List<String> nodes, double milliseconds) {}

  /**
   * Runs from first step to last.
   *
   * @param sparse milliseconds of each step by the bundle's schedule
   * @param dense milliseconds of each step of the dense baseline
   */
  record WholeRun(List<Double> sparse, List<Double> dense) {
    double speedup() {
      return sum(dense) / sum(sparse);
    }

    static double sum(List<Double> steps) {
      return steps.stream().mapToDouble(Double::doubleValue).sum();
    }
  }

  /** The dense baseline's step: of the dense engine, else through the bundle's own model. */
  Times denseStep() {
    return dense
        .map(side -> side.steps().values().iterator().next())
        .orElseGet(() -> time(denseKind()));
  }

  /** The step at which every site is dense. */
  Step denseKind() {
    return Step.of(Action.DENSE, bundle.sites().size());
  }

  private Times time(Step step) {
    Times times = sparse.steps().get(step);
    if (times == null) {
      throw new IllegalStateException("not timed: " + step.label());
    }
    return times;
  }

  /** The dense baseline's attention of the sparse sites, in milliseconds a step. */
  OptionalDouble denseAttention() {
    Side side = dense.orElse(sparse);
    return side.group(denseKind(), LayerGroup.ATTENTION);
  }
}
