package io.sparsedit.cli.quality;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.bundle.Sha256;
import io.sparsedit.passes.CompileOptions;
import io.sparsedit.passes.Instrument;
import io.sparsedit.passes.Pipeline;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Model;
import io.sparsedit.runtime.Schedule;
import io.sparsedit.runtime.SparseDitException;
import io.sparsedit.runtime.Tensor;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Measures candidates: compiles each to a bundle with measuring outputs, runs it in the runtime
 * over all samples, and compares with the dense run from the same noise.
 */
public final class QualitySweep {
  private static final String PLOT = "quality.svg";
  private static final String CURVE = "psnr.svg";
  private static final String PAGE = "quality.html";

  private final Setup setup;
  private final CompileOptions base;
  private final Optional<Consumer<Path>> engineBuilder;
  private final String version;
  private final Path folder;
  private final Progress progress;
  private final Sampler sampler;
  private final Map<String, Tensor> dense = new HashMap<>();

  /**
   * A sweep.
   *
   * @param setup how the model is sampled
   * @param base what is compiled for the dense runs; its method does not matter
   * @param engineBuilder adds an engine to a bundle that is to run on one; empty for ONNX Runtime
   * @param version the compiler's version
   * @param folder where everything is written
   * @param progress told of each run
   */
  public QualitySweep(
      Setup setup,
      CompileOptions base,
      Optional<Consumer<Path>> engineBuilder,
      String version,
      Path folder,
      Progress progress) {
    this.setup = setup;
    this.base = base;
    this.engineBuilder = engineBuilder;
    this.version = version;
    this.folder = folder;
    this.progress = progress;
    this.sampler = new Sampler(setup);
  }

  /**
   * What is done beside the settings.
   *
   * @param floor whether the noise of half precision is measured as well
   * @param fresh whether earlier results in the folder are forgotten
   * @param added folders of other sweeps of the same model and sampling
   */
  public record Scope(boolean floor, boolean fresh, List<Path> added) {
    /** Keeps its own copy. */
    public Scope {
      added = List.copyOf(added);
    }
  }

  /**
   * Measures what is not measured yet. Everything in the folder is rewritten after each setting, so
   * that a sweep that is stopped leaves what it has found.
   *
   * @param candidates the settings
   * @param scope what else is done
   * @return what is known of all settings, earlier and added ones included
   * @throws SparsifyException if the model cannot be sampled, or a candidate not be compiled
   */
  public Report run(List<Candidate> candidates, Scope scope) {
    Results results = open(scope);
    int todo = candidates.size() * setup.samples().size();
    int done = 0;
    try {
      if (scope.floor()) {
        measureFloor(results);
      }
      for (Candidate candidate : candidates) {
        measure(candidate, results, done, todo);
        done += setup.samples().size();
        new Report(results).write(folder, PLOT, CURVE, PAGE);
      }
    } catch (SparseDitException | IllegalArgumentException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, String.valueOf(e.getMessage()), e);
    }
    return new Report(results);
  }

  /**
   * Writes tables and plots of what is known, without measuring anything.
   *
   * @param candidates the settings that are shown, or none for all that are known
   * @throws SparsifyException if nothing is known of them
   */
  public Report show(List<Candidate> candidates, Scope scope) {
    Results results = open(scope);
    if (!candidates.isEmpty()) {
      results = results.only(candidates.stream().map(QualitySweep::key).toList());
    }
    if (results.curves().isEmpty()) {
      throw SparsifyException.failure(
          "nothing was measured of this sweep in " + folder + " nor in what is added");
    }
    Report report = new Report(results);
    report.write(folder, PLOT, CURVE, PAGE);
    return report;
  }

  private Results open(Scope scope) {
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          "cannot make the folder " + folder + ": " + AtomicFile.reason(e),
          e);
    }
    TemporaryBundle.deleteLeftovers(folder);
    Results results = Results.open(folder, setup.describe(Sha256.of(setup.model())), scope.fresh());
    scope.added().forEach(results::addAll);
    return results;
  }

  private static Results.Key key(Candidate candidate) {
    return new Results.Key(candidate.series(), candidate.settings());
  }

  private void measureFloor(Results results) {
    List<Setup.Sample> missing =
        setup.samples().stream().filter(s -> results.floor(s.label()).isEmpty()).toList();
    if (missing.isEmpty()) {
      return;
    }
    references(missing);
    try (TemporaryBundle bundle = compile(base, Set.of(Instrument.ROUND_ACTIVATIONS));
        Model model = load(bundle)) {
      for (Setup.Sample sample : missing) {
        progress.stage("half precision, " + sample.label());
        Sampler.Run run = sampler.run(model, Schedule.dense(setup.steps()), sample);
        results.addFloor(measurement(model, sample, run));
      }
    }
  }

  private void measure(Candidate candidate, Results results, int done, int todo) {
    Results.Key key = key(candidate);
    List<Setup.Sample> missing =
        setup.samples().stream().filter(s -> results.run(key, s.label()).isEmpty()).toList();
    if (missing.isEmpty()) {
      return;
    }
    references(missing);
    int run = done + setup.samples().size() - missing.size();
    try (TemporaryBundle bundle = compile(candidate.options(), measured());
        Model model = load(bundle)) {
      for (Setup.Sample sample : missing) {
        run++;
        progress.stage(
            String.format(
                "run %d of %d: %s, %s; %s",
                run, todo, candidate.series(), candidate.settings(), sample.label()));
        Sampler.Run finished = sampler.run(model, Schedule.of(model.bundle()), sample);
        results.add(key, measurement(model, sample, finished));
      }
    }
  }

  /** The dense runs, all by one bundle: without instruments they are the original's. */
  private void references(List<Setup.Sample> samples) {
    List<Setup.Sample> missing =
        samples.stream().filter(sample -> !dense.containsKey(sample.label())).toList();
    if (missing.isEmpty()) {
      return;
    }
    try (TemporaryBundle bundle = compile(base, Set.of());
        Model model = load(bundle)) {
      for (Setup.Sample sample : missing) {
        progress.stage("dense, " + sample.label());
        Sampler.Run run = sampler.run(model, Schedule.dense(setup.steps()), sample);
        dense.put(sample.label(), run.latents());
      }
    }
  }

  private Measurement measurement(Model model, Setup.Sample sample, Sampler.Run run) {
    Tensor reference = dense.get(sample.label());
    if (reference == null) {
      throw new IllegalStateException("no dense run of " + sample.label());
    }
    for (int i = 0; i < run.latents().elementCount(); i++) {
      if (!Double.isFinite(run.latents().get(i))) {
        throw SparsifyException.failure(
            "the sample of " + sample.label() + " is not made of finite numbers");
      }
    }
    boolean pixels = reference.rank() > 1 && reference.dims()[1] == 3;
    return Sampler.measure(
        sample.label(),
        run,
        reference,
        model.bundle().sites().stream().map(Bundle.Site::id).toList(),
        pixels);
  }

  private Model load(TemporaryBundle bundle) {
    Model.Options options =
        Model.Options.defaults()
            .withTarget(setup.engine() ? Model.Target.TENSORRT : Model.Target.ONNX_RUNTIME);
    if (setup.threads().isPresent()) {
      options = options.withThreads(setup.threads().getAsInt());
    }
    return Model.load(bundle.folder(), options);
  }

  /** What measures plans is made of standard operators, not all of which engines have. */
  private Set<Instrument> measured() {
    return setup.engine() ? Set.of() : Set.of(Instrument.MEASURE_PLANS);
  }

  private TemporaryBundle compile(CompileOptions options, Set<Instrument> instruments) {
    TemporaryBundle bundle = TemporaryBundle.in(folder);
    try {
      Pipeline.compileInstrumented(
          setup.model(), bundle.folder(), options, instruments, version, Progress.SILENT);
      engineBuilder.ifPresent(builder -> builder.accept(bundle.folder()));
      return bundle;
    } catch (RuntimeException e) {
      bundle.close();
      throw e;
    }
  }

  /** What was measured. */
  public static final class Report {
    private final Results results;

    Report(Results results) {
      this.results = results;
    }

    /** The table's rows, the header first: settings, density, recall, errors. */
    public List<List<String>> rows() {
      return QualityTable.rows(results);
    }

    /** What the table does not say. */
    public List<String> notes() {
      return QualityTable.notes(results);
    }

    void write(Path folder, String plot, String curve, String page) {
      text(folder.resolve(plot), ParetoPlot.all(results));
      text(folder.resolve(curve), ParetoPlot.psnr(results));
      text(folder.resolve(page), QualityHtml.of(results));
    }

    private static void text(Path file, String content) {
      AtomicFile.write(file, out -> out.write(content.getBytes(StandardCharsets.UTF_8)));
    }
  }
}
