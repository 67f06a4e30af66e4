package io.sparsedit.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.engine.BuildEngine;
import io.sparsedit.compiler.engine.BuiltEngine;
import io.sparsedit.compiler.legal.Precision;
import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Dim;
import io.sparsedit.runtime.ElementType;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.SparseDitException;
import io.sparsedit.runtime.TensorType;
import io.sparsedit.runtime.compare.BackendComparison;
import io.sparsedit.runtime.compare.ComparedStep;
import io.sparsedit.runtime.compare.TensorError;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * Compares a new engine with the portable model in ONNX Runtime: ten steps on the same inputs, each
 * side with its own state. What was found goes into the bundle's description; an engine that is
 * further off than it may be is taken out of the bundle.
 *
 * @param folder the bundle
 * @param engine the engine that was built
 * @param when whether it is compared
 * @param tolerance the largest relative L1 error of an output; empty: by its precision
 */
record EngineCheck(Path folder, BuiltEngine engine, When when, OptionalDouble tolerance) {
  /** When an engine is compared. */
  enum When {
    /** Where the portable model takes minutes at most. */
    AUTO,
    /** Whatever it takes. */
    FULL,
    /** Never. */
    NONE
  }

  /** Largest relative L1 errors, by what the engine computes in. */
  private static final double SINGLE = 1e-3;

  private static final double HALF = 2e-2;

  /**
   * Where both sides round differently, a token between two clusters falls to either, and the plans
   * differ: steps that are sparse by their own plan may be so much further off than dense ones.
   */
  private static final double BY_PLAN = 5;

  /**
   * What two sides that compute in f32, or in 16-bit floats, do to each other's inputs at least.
   */
  private static final double ROUNDING = 1e-5;

  private static final double HALF_ROUNDING = 2e-3;

  /** How often as far off as the portable model is from itself an engine may be. */
  private static final double AS_FAR = 2;

  /** Farther off no engine may be, whatever the portable model does. */
  private static final double FARTHEST = 0.2;

  /** Floating-point operations a second that two cores of a small server reach at least. */
  private static final double RATE = 30e9;

  private static final double MAX_SECONDS = 180;

  /**
   * Runs the comparison, records it and says how it went.
   *
   * @throws SparsifyException of kind OUT_OF_TOLERANCE if the engine is too far off
   */
  void run(PrintWriter out, Progress progress) {
    Bundle bundle = Bundle.open(folder);
    Map<String, Long> sizes = sizes(bundle);
    Optional<String> reason = reasonNotTo(bundle, sizes);
    if (reason.isPresent()) {
      BuildEngine.record(
          folder,
          engine.file(),
          JsonNodeFactory.instance.objectNode().put("skipped", reason.get()));
      out.println("Not compared with the portable model: " + reason.get());
      return;
    }
    progress.stage("compare with ONNX Runtime");
    Model.Options options = Model.Options.defaults();
    try (Model found = Model.load(folder, options.withTarget(Model.Target.TENSORRT));
        Model wanted = Model.load(folder, options.withTarget(Model.Target.ONNX_RUNTIME))) {
      List<ComparedStep> steps = BackendComparison.run(found, wanted, sizes, 0, 1, step -> {});
      report(bundle, steps, sparseLimit(bundle, steps, wanted, sizes, progress), wanted, out);
    } catch (SparseDitException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          "the engine is built, but cannot be compared with the portable model: "
              + e.getMessage()
              + " (--check none leaves the comparison out)",
          e);
    }
  }

  /** Sizes of the inputs' symbolic dimensions: those that the engine is tuned for. */
  private Map<String, Long> sizes(Bundle bundle) {
    Map<String, Long> sizes = new LinkedHashMap<>();
    for (Map.Entry<String, TensorType> input : bundle.inputs().entrySet()) {
      List<Long> shape = engine.shapes().getOrDefault(input.getKey(), List.of());
      for (int i = 0; i < shape.size(); i++) {
        if (input.getValue().dims().get(i) instanceof Dim.Symbolic symbolic) {
          sizes.put(symbolic.name(), shape.get(i));
        }
      }
    }
    return sizes;
  }

  /** Why the engine is not compared, if it is not. */
  private Optional<String> reasonNotTo(Bundle bundle, Map<String, Long> sizes) {
    if (when == When.NONE) {
      return Optional.of("as asked");
    }
    if (bundle.inputs().values().stream().anyMatch(type -> type.element() == ElementType.BF16)) {
      return Optional.of("ONNX Runtime has no bf16 on the CPU");
    }
    double seconds = seconds(bundle, sizes);
    return when == When.AUTO && seconds > MAX_SECONDS
        ? Optional.of(
            String.format(
                Locale.ROOT,
                "ONNX Runtime would take %.0f minutes or more; --check full does it all the same",
                seconds / 60))
        : Optional.empty();
  }

  /** What the portable model takes for all steps at least: its dense attention alone. */
  private static double seconds(Bundle bundle, Map<String, Long> sizes) {
    double operations = 0;
    for (Bundle.Site site : bundle.sites()) {
      double tokens = site.tokens().size(sizes).orElse(1);
      double heads = site.heads().size(sizes).orElse(1);
      operations += 4 * tokens * tokens * heads * site.headDim().size(sizes).orElse(1);
    }
    return operations * BackendComparison.actions(bundle).size() / RATE;
  }

  private double limit(Bundle bundle) {
    return tolerance.orElse(isHalf(bundle) ? HALF : SINGLE);
  }

  /**
   * How far off steps may be that are sparse by their own plan. Where that is more than rounding
   * alone does, the portable model is asked: in a trained model a token that falls to another
   * cluster moves the plans of all later layers.
   */
  private double sparseLimit(
      Bundle bundle,
      List<ComparedStep> steps,
      Model portable,
      Map<String, Long> sizes,
      Progress progress) {
    boolean half = isHalf(bundle);
    double limit = half ? BY_PLAN * limit(bundle) : limit(bundle);
    boolean denseFits = worst(steps, true).relativeL1() <= limit(bundle);
    if (tolerance.isPresent() || !denseFits || worst(steps, false).relativeL1() <= limit) {
      return limit;
    }
    progress.stage("compare ONNX Runtime with itself, inputs rounded");
    TensorError own =
        worst(
            BackendComparison.runRounded(portable, sizes, 0, half ? HALF_ROUNDING : ROUNDING),
            false);
    return Math.max(limit, Math.min(AS_FAR * own.relativeL1(), FARTHEST));
  }

  /** The worst output of the steps that are dense and do not plan, or of the others. */
  private static TensorError worst(List<ComparedStep> steps, boolean dense) {
    return steps.stream()
        .filter(step -> (step.action() == Action.DENSE) == dense)
        .map(ComparedStep::output)
        .reduce(TensorError.NONE, TensorError::worse);
  }

  private void report(
      Bundle bundle,
      List<ComparedStep> steps,
      double sparseLimit,
      Model portable,
      PrintWriter out) {
    String reference = portable.backend();
    TensorError dense = worst(steps, true);
    TensorError sparse = worst(steps, false);
    TensorError state = TensorError.NONE;
    Map<String, TensorError> outputs = new LinkedHashMap<>();
    for (ComparedStep step : steps) {
      step.outputs().forEach((name, error) -> outputs.merge(name, error, TensorError::worse));
      state = state.worse(step.worstState());
    }
    double limit = limit(bundle);
    // Not "above": a NaN is no small error.
    boolean within = dense.relativeL1() <= limit && sparse.relativeL1() <= sparseLimit;

    ObjectNode check = JsonNodeFactory.instance.objectNode();
    check.put("reference", reference).put("steps", steps.size()).put("within", within);
    put(check.putObject("dense"), dense).put("tolerance", limit);
    put(check.putObject("sparse"), sparse).put("tolerance", sparseLimit);
    put(check.putObject("state"), state);
    ObjectNode list = check.putObject("outputs");
    outputs.forEach((name, error) -> put(list.putObject(name), error));
    String text =
        String.format(
            Locale.ROOT,
            "relative L1 error %.1e in dense steps (at most %.0e) and %.1e in the others (at most"
                + " %.0e) of %d, against %s",
            dense.relativeL1(),
            limit,
            sparse.relativeL1(),
            sparseLimit,
            steps.size(),
            reference);
    if (!within) {
      BuildEngine.remove(folder, engine.file());
      throw new SparsifyException(
          SparsifyException.Kind.OUT_OF_TOLERANCE,
          "the engine does not compute what the portable model does, and was taken out of the bundle"
              + " again: "
              + text
              + ". --max-engine-error allows more; --check none keeps an engine uncompared.");
    }
    BuildEngine.record(folder, engine.file(), check);
    out.println("Compared with the portable model: " + text);
    outputs.forEach(
        (name, error) ->
            out.printf(
                Locale.ROOT,
                "  %s: relative L1 %.1e, largest %.1e, cosine %.6f%n",
                name,
                error.relativeL1(),
                error.maximum(),
                error.cosine()));
  }

  /** Whether the engine computes in floats of 16 bits. */
  private boolean isHalf(Bundle bundle) {
    return engine.precision() != Precision.KEEP
        || bundle.inputs().values().stream()
            .anyMatch(type -> type.element().isFloating() && type.element().bytes() == 2);
  }

  private static ObjectNode put(ObjectNode node, TensorError error) {
    return node.put("relativeL1", error.relativeL1())
        .put("maximum", error.maximum())
        .put("cosine", error.cosine());
  }
}
