package io.sparsedit.cli.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.bundle.BundleFolder;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.BackendException;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import io.sparsedit.runtime.ScheduleException;
import io.sparsedit.runtime.SparseDitException;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.sampling.SeededInputs;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Measures a bundle: its steps of each kind and those of its dense engine, in two passes that take
 * turns so that a machine that warms up shows in the spread; then the layers in them, and whole
 * runs.
 */
public final class Benchmark {
  private static final int PASSES = 2;

  /** A sum of layers this much above the step is no matter of spread. */
  private static final double OVERLAP = .02;

  private final BenchSetup setup;
  private final Progress progress;

  /**
   * A benchmark.
   *
   * @param progress told of each measurement
   */
  public Benchmark(BenchSetup setup, Progress progress) {
    this.setup = setup;
    this.progress = progress;
  }

  /**
   * Measures.
   *
   * @throws SparsifyException if the bundle cannot be run here, or has no such schedule
   */
  public BenchReport run() {
    try {
      Bundle bundle = Bundle.open(setup.bundle());
      List<ComputedRun> runs = new Schedules(bundle, setup).runs();
      Set<Step> steps = new LinkedHashSet<>(steps(bundle));
      runs.forEach(run -> steps.addAll(Step.counts(run.timetable()).keySet()));
      return measure(bundle, runs, List.copyOf(steps));
    } catch (ScheduleException | IllegalArgumentException e) {
      throw new SparsifyException(SparsifyException.Kind.USAGE, String.valueOf(e.getMessage()), e);
    } catch (BackendException e) {
      throw new SparsifyException(kind(e.reason()), String.valueOf(e.getMessage()), e);
    } catch (SparseDitException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, String.valueOf(e.getMessage()), e);
    }
  }

  private static SparsifyException.Kind kind(BackendException.Reason reason) {
    return switch (reason) {
      case NO_GPU, UNAVAILABLE -> SparsifyException.Kind.NO_GPU;
      case NO_ENGINE, MISMATCH, LOAD_FAILED, OUT_OF_MEMORY, RUN_FAILED ->
          SparsifyException.Kind.FAILURE;
    };
  }

  /** The kinds of steps whose times are wanted by themselves. */
  private List<Step> steps(Bundle bundle) {
    boolean keepsPlans = bundle.sites().stream().allMatch(Bundle.Site::planInState);
    List<Step> steps = new ArrayList<>();
    for (Action action : Action.values()) {
      boolean wanted = setup.actions().isEmpty() || setup.actions().contains(action);
      // Without a dense engine this is what the others are compared with.
      if (action == Action.DENSE || (wanted && (keepsPlans || action != Action.REUSE_SPARSE))) {
        steps.add(Step.of(action, bundle.sites().size()));
      } else if (action == Action.REUSE_SPARSE && setup.actions().contains(action)) {
        throw new IllegalArgumentException(
            "this bundle's state does not hold its plans, so none can be re-used; compile with"
                + " --replan-interval above 1");
      }
    }
    return steps;
  }

  private BenchReport measure(Bundle bundle, List<ComputedRun> runs, List<Step> steps) {
    Map<String, Tensor> inputs = SeededInputs.of(bundle, setup.sizes(), setup.seed());
    LayerGroups groups =
        new LayerGroups(OnnxReader.readGraph(bundle.modelPath()).graph(), bundle.sites());
    List<PlanDensity> densities = new ArrayList<>();
    List<String> notes = new ArrayList<>();
    Optional<BenchReport.WholeRun> whole;
    Optional<MeasuredModel> dense;
    MeasuredModel sparse;
    long loaded;
    long withoutSparse;
    progress.stage("load " + setup.bundle());
    try (Baseline baseline = Baseline.load(baseline(bundle), setup.options())) {
      try (Model model = Model.load(setup.bundle(), setup.options())) {
        sparse = new MeasuredModel(model, inputs, groups, progress);
        dense = baseline.model().map(own -> new MeasuredModel(own, inputs, groups, progress));
        loaded = sparse.freeGpuMemory();
        List<Step> denseSteps = List.of(Step.of(Action.DENSE, bundle.sites().size()));
        for (int pass = 0; pass < PASSES; pass++) {
          int timed = (setup.repeat() + PASSES - 1 - pass) / PASSES;
          dense.ifPresent(
              side -> side.timer().time(denseSteps, setup.warmUp(), timed, session -> {}));
          densities.clear();
          sparse
              .timer()
              .time(
                  steps,
                  setup.warmUp(),
                  timed,
                  session -> densities.addAll(PlanDensity.of(session, bundle, description())));
        }
        if (setup.layers()) {
          sparse.timeLayers(steps);
          dense.ifPresent(side -> side.timeLayers(denseSteps));
        }
        whole = setup.whole() ? Optional.of(whole(bundle, sparse, dense)) : Optional.empty();
      }
      boolean gpu = loaded > 0;
      notes.addAll(gpu ? baseline.notes() : onCpu(bundle));
      withoutSparse = sparse.freeGpuMemory();
    }
    long free = sparse.freeGpuMemory();
    if (densities.size() < bundle.sites().size()) {
      notes.add(
          (bundle.sites().size() - densities.size())
              + " sites keep no plan in their state, where its density could be measured; compile"
              + " with --replan-interval 2 to see it");
    }
    BenchReport.Side side = sparse.toSide(loaded, withoutSparse - loaded);
    Optional<BenchReport.Side> denseSide =
        dense.map(own -> own.toSide(loaded, free - withoutSparse));
    boolean unknown =
        side.memory().isEmpty() || denseSide.filter(own -> own.memory().isEmpty()).isPresent();
    if (loaded > 0 && unknown) {
      notes.add(
          "some GPU memory is not told, since what was free changed for other reasons, too: other"
              + " programs use this GPU");
    }
    overlap("this bundle's engine", side).ifPresent(notes::add);
    denseSide.flatMap(own -> overlap("the dense engine", own)).ifPresent(notes::add);
    return new BenchReport(bundle, side, denseSide, densities, runs, whole, List.copyOf(notes));
  }

  private List<String> onCpu(Bundle bundle) {
    List<String> notes = new ArrayList<>();
    notes.add(
        "these are times of ONNX Runtime, which runs the portable model to check it and whose"
            + " layers are not timed; what a sparse step saves shows on a GPU with an engine:"
            + " sparsify-model build "
            + bundle.folder());
    if (!setup.against().equals(setup.bundle())) {
      notes.add("the dense engine of " + setup.against() + " was not run: engines need a GPU");
    }
    return notes;
  }

  /** Says so where layers were charged for time that they ran beside others. */
  private static Optional<String> overlap(String engine, BenchReport.Side side) {
    double most = 0;
    for (Map.Entry<Step, Times> step : side.steps().entrySet()) {
      List<BenchReport.Layer> layers = side.layers().getOrDefault(step.getKey(), List.of());
      double sum = layers.stream().mapToDouble(BenchReport.Layer::milliseconds).sum();
      most = Math.max(most, sum / step.getValue().median() - 1);
    }
    return most < OVERLAP
        ? Optional.empty()
        : Optional.of(
            String.format(
                Locale.ROOT,
                "the layers of %s sum up to %.0f %% more than its steps: TensorRT runs some beside"
                    + " others, and a short layer that ends after a long one is charged with both"
                    + " (build --max-aux-streams 0 keeps them apart)",
                engine,
                100 * most));
  }

  /**
   * The bundle of the dense engine.
   *
   * @throws IllegalArgumentException if its model takes other inputs, or another bundle than the
   *     one that is measured has no dense engine
   */
  private Bundle baseline(Bundle bundle) {
    if (setup.against().equals(setup.bundle())) {
      return bundle;
    }
    Bundle other = Bundle.open(setup.against());
    if (!other.inputs().equals(bundle.inputs()) || !other.outputs().equals(bundle.outputs())) {
      throw new IllegalArgumentException(
          setup.against() + " is no bundle of the same model: its inputs or outputs are others");
    }
    if (!other.hasDenseEngine()) {
      throw new IllegalArgumentException(
          setup.against()
              + " has no dense engine to compare with; build one: sparsify-model build "
              + setup.against()
              + " --dense");
    }
    return other;
  }

  private BenchReport.WholeRun whole(
      Bundle bundle, MeasuredModel sparse, Optional<MeasuredModel> dense) {
    Schedule schedule = new Schedules(bundle, setup).own();
    int steps = schedule.resolve(bundle).steps();
    return new BenchReport.WholeRun(
        sparse.timer().runWhole(schedule),
        dense.orElse(sparse).timer().runWhole(Schedule.dense(steps)));
  }

  private JsonNode description() {
    try {
      return new ObjectMapper().readTree(setup.bundle().resolve(BundleFolder.DESCRIPTION).toFile());
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, setup.bundle() + " cannot be read: " + e.getMessage(), e);
    }
  }
}
