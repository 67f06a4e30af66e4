package io.sparsedit.runtime.compare;

import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import io.sparsedit.runtime.Session;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.TensorType;
import io.sparsedit.runtime.sampling.SeededInputs;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.function.Consumer;

/**
 * Runs a bundle on two back ends, step by step on the same inputs, each with its own state, and
 * compares outputs and state. The steps do everything that a site can do: plan from nothing, plan
 * on, re-use a plan (where the bundle keeps it), dense with and without planning.
 */
public final class BackendComparison {
  private static final double DISTURBANCE = 0.02;
  private static final long DISTURBANCE_SEED = 1000;
  private static final long ROUNDING_SEED = 2000;

  private BackendComparison() {}

  /** What all sites do at each of the ten steps. */
  public static List<Action> actions(Bundle bundle) {
    boolean reuse = bundle.sites().stream().allMatch(site -> bundle.keepsPlan(site.index()));
    Action held = reuse ? Action.REUSE_SPARSE : Action.PLAN_SPARSE;
    return List.of(
        Action.PLAN_SPARSE_COLD,
        Action.PLAN_SPARSE,
        Action.PLAN_SPARSE,
        held,
        Action.DENSE,
        Action.PLAN_DENSE,
        held,
        Action.PLAN_DENSE_COLD,
        Action.PLAN_SPARSE,
        Action.DENSE);
  }

  /**
   * Runs the steps.
   *
   * @param found the model that is compared
   * @param wanted the reference: of the same bundle, or of one of the same graph in other types
   * @param sizes sizes of the inputs' symbolic dimensions
   * @param seed seed of the inputs, which move a little from step to step, as a sampler's do
   * @param rounds how often the steps are run, on other inputs each time
   * @param watcher told of each step when it is done
   * @return all steps
   * @throws IllegalArgumentException if a symbolic dimension has no size, or the reference lacks an
   *     input
   */
  public static List<ComparedStep> run(
      Model found,
      Model wanted,
      Map<String, Long> sizes,
      long seed,
      int rounds,
      Consumer<ComparedStep> watcher) {
    List<Action> actions = actions(found.bundle());
    List<ComparedStep> steps = new ArrayList<>();
    try (Session left = found.newSession(Schedule.listed(actions));
        Session right = wanted.newSession(Schedule.listed(actions))) {
      Pair pair = new Pair(found.bundle(), actions, left, right);
      for (int round = 0; round < rounds; round++) {
        Map<String, Tensor> inputs = SeededInputs.of(found.bundle(), sizes, seed + round);
        for (int step = 0; step < actions.size(); step++) {
          disturb(inputs, seed + DISTURBANCE_SEED + step);
          ComparedStep compared = pair.run(round, step, inputs, convert(inputs, wanted.bundle()));
          watcher.accept(compared);
          steps.add(compared);
        }
      }
    }
    return steps;
  }

  /**
   * Runs the steps of one model twice, the second time with inputs that differ as if they had been
   * rounded. A plan is a choice: where rounding makes another one, everything behind it differs by
   * far more. So the outputs say how far two sides may be apart that round differently and are both
   * right.
   *
   * @param model the model
   * @param sizes sizes of the inputs' symbolic dimensions
   * @param seed seed of the inputs, as in {@link #run}
   * @param rounding standard deviation of the relative difference
   * @return all steps
   * @throws IllegalArgumentException if a symbolic dimension has no size
   */
  public static List<ComparedStep> runRounded(
      Model model, Map<String, Long> sizes, long seed, double rounding) {
    Bundle bundle = model.bundle();
    List<Action> actions = actions(bundle);
    List<ComparedStep> steps = new ArrayList<>();
    try (Session left = model.newSession(Schedule.listed(actions));
        Session right = model.newSession(Schedule.listed(actions))) {
      Pair pair = new Pair(bundle, actions, left, right);
      Map<String, Tensor> inputs = SeededInputs.of(bundle, sizes, seed);
      for (int step = 0; step < actions.size(); step++) {
        disturb(inputs, seed + DISTURBANCE_SEED + step);
        Map<String, Tensor> rounded = round(inputs, rounding, seed + ROUNDING_SEED + step);
        steps.add(pair.run(0, step, rounded, inputs));
      }
    }
    return steps;
  }

  private static Map<String, Tensor> round(Map<String, Tensor> inputs, double rounding, long seed) {
    Random random = new Random(seed);
    Map<String, Tensor> rounded = new LinkedHashMap<>();
    inputs.forEach(
        (name, tensor) -> {
          Tensor copy = Tensor.allocate(tensor.type(), tensor.dims());
          for (int i = 0; i < tensor.elementCount(); i++) {
            double factor = tensor.type().isFloating() ? 1 + rounding * random.nextGaussian() : 1;
            copy.set(i, tensor.get(i) * factor);
          }
          rounded.put(name, copy);
        });
    return rounded;
  }

  /** The two sessions that are compared, and the actions that both run. */
  private record Pair(Bundle bundle, List<Action> actions, Session left, Session right) {
    ComparedStep run(
        int round, int step, Map<String, Tensor> leftInputs, Map<String, Tensor> rightInputs) {
      long start = System.nanoTime();
      Map<String, Tensor> found = left.run(step, 0, leftInputs);
      long middle = System.nanoTime();
      Map<String, Tensor> wanted = right.run(step, 0, rightInputs);
      long end = System.nanoTime();
      Map<String, TensorError> outputs = new LinkedHashMap<>();
      wanted.forEach(
          (name, tensor) ->
              outputs.put(
                  name, TensorError.of(Objects.requireNonNull(found.get(name), name), tensor)));
      Map<String, TensorError> state = new LinkedHashMap<>();
      for (Bundle.StateTensor tensor : bundle.state()) {
        state.put(
            tensor.input(), TensorError.of(left.copyState(0, tensor), right.copyState(0, tensor)));
      }
      return new ComparedStep(
          round,
          step,
          actions.get(step),
          outputs,
          state,
          (middle - start) / 1e6,
          (end - middle) / 1e6);
    }
  }

  /** The same values in the types that a bundle takes. */
  private static Map<String, Tensor> convert(Map<String, Tensor> inputs, Bundle bundle) {
    Map<String, Tensor> converted = new LinkedHashMap<>();
    inputs.forEach(
        (name, tensor) -> {
          TensorType type = bundle.inputs().get(name);
          if (type == null) {
            throw new IllegalArgumentException(bundle + " has no input " + name);
          }
          converted.put(
              name, type.element() == tensor.type() ? tensor : tensor.convert(type.element()));
        });
    return converted;
  }

  /** Moves the inputs a little, as a sampler does from step to step. */
  private static void disturb(Map<String, Tensor> inputs, long seed) {
    Random random = new Random(seed);
    for (Tensor tensor : inputs.values()) {
      if (tensor.type().isFloating()) {
        for (int i = 0; i < tensor.elementCount(); i++) {
          tensor.set(i, tensor.get(i) + DISTURBANCE * random.nextGaussian());
        }
      }
    }
  }
}
