package io.sparsedit.cli.quality;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.onnx.TensorFiles;
import io.sparsedit.passes.functions.MeasurePlan;
import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import io.sparsedit.runtime.Session;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.Timetable;
import io.sparsedit.runtime.sampling.FrameQuality;
import io.sparsedit.runtime.sampling.Frames;
import io.sparsedit.runtime.sampling.Roles;
import io.sparsedit.runtime.sampling.SeededInputs;
import io.sparsedit.runtime.sampling.Sigmas;
import io.sparsedit.runtime.sampling.Trajectory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** Runs bundles from noise to samples, and measures them. */
final class Sampler {
  private final Setup setup;

  Sampler(Setup setup) {
    this.setup = setup;
  }

  /**
   * A finished run.
   *
   * @param latents what came out
   * @param timetable what the sites did
   * @param plans density and recall of each step and site
   * @param seconds what the model took
   */
  record Run(Tensor latents, Timetable timetable, List<List<Plan>> plans, double seconds) {}

  /**
   * What was measured of one site at one step.
   *
   * @param density of each head
   * @param recall of each head
   */
  record Plan(List<Double> density, List<Double> recall) {}

  /** Runs one sample. */
  Run run(Model model, Schedule schedule, Setup.Sample sample) {
    Bundle bundle = model.bundle();
    try (Session session = model.newSession(schedule)) {
      Roles roles = roles(bundle);
      int steps = session.timetable().steps();
      Trajectory trajectory =
          new Trajectory(
              session, Sigmas.of(steps, setup.shift()), roles, inputs(bundle, roles, sample));
      List<List<Plan>> plans = new ArrayList<>();
      double seconds = 0;
      for (int step = 0; step < steps; step++) {
        trajectory.evaluate(step);
        plans.add(plans(bundle, trajectory));
        trajectory.advance(step);
        seconds += trajectory.milliseconds() / 1000;
      }
      return new Run(trajectory.latents().orElseThrow(), session.timetable(), plans, seconds);
    } catch (IllegalArgumentException e) {
      throw new SparsifyException(SparsifyException.Kind.USAGE, String.valueOf(e.getMessage()), e);
    }
  }

  private static List<Plan> plans(Bundle bundle, Trajectory trajectory) {
    List<Plan> plans = new ArrayList<>();
    for (Bundle.Site site : bundle.sites()) {
      String density = MeasurePlan.densityOutput(site.index());
      if (bundle.outputs().containsKey(density)) {
        plans.add(
            new Plan(
                numbers(trajectory.output(density)),
                numbers(trajectory.output(MeasurePlan.recallOutput(site.index())))));
      }
    }
    return plans;
  }

  private static List<Double> numbers(Tensor tensor) {
    return IntStream.range(0, tensor.elementCount()).mapToObj(tensor::get).toList();
  }

  private Roles roles(Bundle bundle) {
    Roles roles = setup.names().roles(bundle);
    if (roles.latents().isEmpty()) {
      throw new IllegalArgumentException(
          setup.model()
              + " cannot be sampled: no input has the shape of its output "
              + roles.velocity()
              + ", "
              + bundle.outputs().get(roles.velocity())
              + ". Say which one is denoised with --latents NAME; inputs are "
              + bundle.inputs());
    }
    if (roles.timesteps().isEmpty()) {
      throw new IllegalArgumentException(
          setup.model()
              + " cannot be sampled: no input has 'timestep' in its name. Say which one takes the"
              + " noise level with --timestep NAME; inputs are "
              + bundle.inputs());
    }
    return roles;
  }

  private Map<String, Tensor> inputs(Bundle bundle, Roles roles, Setup.Sample sample) {
    Map<String, Tensor> inputs = SeededInputs.of(bundle, setup.sizes(), sample.seed());
    setup
        .inputs()
        .ifPresent(
            folder ->
                inputs.forEach(
                    (name, tensor) -> {
                      Path file = folder.resolve(name + ".pb");
                      if (Files.isRegularFile(file) && !roles.latents().orElse("").equals(name)) {
                        copy(file, name, tensor);
                      }
                    }));
    sample.condition().ifPresent(c -> c.putInto(inputs, setup.names().condition()));
    return inputs;
  }

  private static void copy(Path file, String name, Tensor tensor) {
    ByteBuffer bytes =
        TensorFiles.read(file)
            .bytes()
            .orElseThrow(() -> SparsifyException.failure(file + " holds no numbers"));
    if (bytes.remaining() != tensor.bytes().remaining()) {
      throw SparsifyException.failure(
          file + " has " + bytes.remaining() + " bytes, input " + name + " is " + tensor);
    }
    tensor.bytes().put(bytes.duplicate());
  }

  // ---- measures ---------------------------------------------------------------------------------

  /** How near a run is to the dense one. */
  static Measurement measure(
      String sample, Run run, Tensor dense, List<String> sites, boolean pixels) {
    FrameQuality quality = quality(run.latents(), dense, pixels);
    Sums all = new Sums();
    Sums sparse = new Sums();
    List<Double> stepDensity = new ArrayList<>();
    List<Double> stepRecall = new ArrayList<>();
    List<Sums[]> heads = new ArrayList<>();
    int steps = run.timetable().steps();
    List<String> actions = new ArrayList<>();
    int denseSteps = steps;
    for (int step = 0; step < steps; step++) {
      actions.add(run.timetable().describe(step));
      Sums ofStep = new Sums();
      for (int site = 0; site < run.plans().get(step).size(); site++) {
        Plan plan = run.plans().get(step).get(site);
        boolean isSparse = run.timetable().action(step, site).isSparse();
        if (heads.size() == site) {
          heads.add(Sums.array(plan.density().size()));
        }
        for (int head = 0; head < plan.density().size(); head++) {
          all.add(plan.density().get(head), plan.recall().get(head));
          ofStep.add(plan.density().get(head), plan.recall().get(head));
          if (isSparse) {
            sparse.add(plan.density().get(head), plan.recall().get(head));
            heads.get(site)[head].add(plan.density().get(head), plan.recall().get(head));
          }
        }
      }
      if (run.timetable().actions(step).stream().anyMatch(Action::isSparse)) {
        denseSteps = Math.min(denseSteps, step);
      }
      stepDensity.add(ofStep.meanDensity());
      stepRecall.add(ofStep.meanRecall());
    }
    if (run.plans().stream().allMatch(List::isEmpty) && denseSteps < steps) {
      return Measurement.ofUnmeasuredPlans(
          sample, quality, relativeL1(run.latents(), dense), run.seconds(), denseSteps, actions);
    }
    List<Measurement.SiteMeasurement> ofSites = new ArrayList<>();
    for (int site = 0; site < heads.size(); site++) {
      ofSites.add(
          new Measurement.SiteMeasurement(
              sites.get(site),
              List.of(heads.get(site)).stream().map(Sums::meanDensity).toList(),
              List.of(heads.get(site)).stream().map(Sums::meanRecall).toList()));
    }
    return new Measurement(
        sample,
        quality.psnr(),
        quality.ssim(),
        relativeL1(run.latents(), dense),
        sparse.meanDensity(),
        all.meanDensity(),
        sparse.meanRecall(),
        run.seconds(),
        denseSteps,
        actions,
        stepDensity,
        stepRecall,
        ofSites);
  }

  /** Sums of density and recall. */
  private static final class Sums {
    private double density;
    private double recall;
    private int count;

    static Sums[] array(int length) {
      Sums[] sums = new Sums[length];
      for (int i = 0; i < length; i++) {
        sums[i] = new Sums();
      }
      return sums;
    }

    void add(double ofDensity, double ofRecall) {
      density += ofDensity;
      recall += ofRecall;
      count++;
    }

    double meanDensity() {
      return count == 0 ? 1 : density / count;
    }

    double meanRecall() {
      return count == 0 ? 1 : recall / count;
    }
  }

  /**
   * PSNR and SSIM. Pixels are -1 to 1 and what is outside of that is cut off; of latents the peak
   * is the range of the dense ones.
   */
  private static FrameQuality quality(Tensor latents, Tensor dense, boolean pixels) {
    double low = Double.POSITIVE_INFINITY;
    double high = Double.NEGATIVE_INFINITY;
    double squares = 0;
    for (int i = 0; i < dense.elementCount(); i++) {
      double difference = latents.get(i) - dense.get(i);
      squares += difference * difference;
      low = Math.min(low, dense.get(i));
      high = Math.max(high, dense.get(i));
    }
    if (pixels) {
      low = -1;
      high = 1;
    }
    boolean frames = Frames.fits(dense);
    long[] dims = dense.dims();
    if (frames
        && dims[dims.length - 1] >= FrameQuality.WINDOW
        && dims[dims.length - 2] >= FrameQuality.WINDOW) {
      return FrameQuality.mean(
          FrameQuality.ofFrames(Frames.of(latents, low, high), Frames.of(dense, low, high)));
    }
    double range = high - low;
    return new FrameQuality(
        -10 * Math.log10(squares / dense.elementCount() / (range * range)), Double.NaN);
  }

  private static double relativeL1(Tensor latents, Tensor dense) {
    double error = 0;
    double magnitude = 0;
    for (int i = 0; i < dense.elementCount(); i++) {
      error += Math.abs(latents.get(i) - dense.get(i));
      magnitude += Math.abs(dense.get(i));
    }
    return error / magnitude;
  }
}
