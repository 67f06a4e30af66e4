package io.sparsedit.passes.verify;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ort.OrtOptions;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ShapeTable;
import io.sparsedit.passes.functions.ActionCode;
import io.sparsedit.passes.functions.SparseOps;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Compares a compiled model with the original, both in ONNX Runtime on the CPU.
 *
 * <p>First with everything kept, which must equal the dense model, then with the settings as
 * chosen. Sites are measured one by one on identical q, k, v, so that errors of one do not show in
 * the next.
 */
public final class Verifier {
  /** Everything kept against dense, float32: sums in another order, nothing else. */
  private static final double TOLERANCE_F32 = 1e-4;

  /** The same where activations are float16. */
  private static final double TOLERANCE_F16 = 2e-2;

  private final Model original;
  private final Model compiled;
  private final VerifyRequest request;
  private final Progress progress;
  private final List<SparseSite> sites;
  private final ShapeTable compiledFacts;

  private Verifier(Model original, Model compiled, VerifyRequest request, Progress progress) {
    this.original = original;
    this.compiled = compiled;
    this.request = request;
    this.progress = progress;
    this.sites = SparseSite.of(compiled);
    this.compiledFacts = ShapeInference.infer(compiled);
  }

  /**
   * Verifies a compiled model.
   *
   * @param original the model it was made from
   * @param compiled the compiled model, whose external data is found next to its source
   * @param request what to run
   * @param progress told of each stage
   */
  public static VerificationReport verify(
      Model original, Model compiled, VerifyRequest request, Progress progress) {
    return new Verifier(original, compiled, request, progress).run();
  }

  /** The file that the user gave, for messages. */
  private String file() {
    return original.source().map(Path::toString).orElse("the model");
  }

  private VerificationReport run() {
    if (request.mode() == VerifyMode.NONE) {
      return report(VerifyMode.NONE, "skipped, as asked", List.of(), List.of(), List.of());
    }
    if (sites.stream().anyMatch(site -> type(site) == DataType.BFLOAT16)) {
      return report(
          VerifyMode.NONE,
          "skipped: ONNX Runtime has no bfloat16 kernels on the CPU",
          List.of(),
          List.of(),
          List.of());
    }
    if (request.mode() == VerifyMode.SITES) {
      return verifySites("every distinct site alone, as asked");
    }
    ShapeTable facts = ShapeInference.infer(original);
    Map<String, Tensor> inputs =
        request.inputs().isPresent()
            ? TestInputs.read(request.inputs().get(), original)
            : TestInputs.random(original, facts);
    Map<String, Long> sizes = sizes(inputs);
    VerificationCost cost = VerificationCost.of(original, facts, sizes);
    if (cost.isTooMuch()) {
      return verifySites(
          "running the whole model would take "
              + cost
              + ", so "
              + (request.inputs().isPresent() ? "--inputs were not used and " : "")
              + "every distinct site was checked alone");
    }
    String note =
        request.inputs().isPresent()
            ? "whole models on the inputs in " + request.inputs().get()
            : "whole models on seeded random inputs";
    return verifyWhole(inputs, sizes, note);
  }

  private VerificationReport report(
      VerifyMode mode,
      String note,
      List<VerificationReport.OutputError> everythingKept,
      List<VerificationReport.OutputError> asChosen,
      List<VerificationReport.SiteError> siteErrors) {
    boolean half =
        sites.stream().anyMatch(site -> type(site) == DataType.FLOAT16)
            || original.graph().outputs().stream()
                .anyMatch(v -> declaredType(v) == DataType.FLOAT16);
    return new VerificationReport(
        mode,
        note,
        half ? TOLERANCE_F16 : TOLERANCE_F32,
        request.maxError(),
        everythingKept,
        asChosen,
        siteErrors);
  }

  private static DataType declaredType(Value value) {
    return value.type().orElse(null) instanceof ValueType.TensorType tensor
        ? tensor.elementType()
        : DataType.UNDEFINED;
  }

  private DataType type(SparseSite site) {
    return compiledFacts.elementType(site.query());
  }

  // ---- whole models -----------------------------------------------------------------------------

  private VerificationReport verifyWhole(
      Map<String, Tensor> inputs, Map<String, Long> sizes, String note) {
    progress.stage("run the original model");
    Map<String, Tensor> reference;
    try {
      reference = OrtRunner.run(original, inputs);
    } catch (SparsifyException e) {
      if (request.inputs().isPresent()) {
        throw e;
      }
      // Exporters write sizes of their example into graphs that they declare dynamic.
      return verifySites(
          "the original does not run on random inputs of the sizes "
              + sizes
              + " ("
              + e.getMessage()
              + "): give inputs that it runs on with --inputs DIR; every distinct site was checked"
              + " alone");
    }

    Map<String, Tensor> compiledInputs = new LinkedHashMap<>(inputs);
    compiledInputs.putAll(extraInputs(sizes));
    progress.stage("run the compiled model with everything kept");
    Set<String> fetch = new LinkedHashSet<>();
    for (SparseSite site : sites) {
      fetch.add(site.query().name());
      fetch.add(site.key().name());
      fetch.add(site.value().name());
      fetch.add(site.output().name());
      Stream.concat(Stream.of(site.geometry()), site.keyBias().stream())
          .filter(value -> value.producer().isPresent())
          .forEach(value -> fetch.add(value.name()));
    }
    Map<String, Tensor> kept;
    try (OrtRunner runner =
        OrtRunner.load(
            KeepEverything.copyOf(compiled), OrtOptions.DEFAULT.withFetch(List.copyOf(fetch)))) {
      kept = runner.run(compiledInputs);
    }
    progress.stage("run the compiled model as chosen");
    Map<String, Tensor> chosen;
    try (OrtRunner runner = OrtRunner.load(compiled)) {
      chosen = runner.run(compiledInputs, reference.keySet());
    }

    List<VerificationReport.SiteError> siteErrors = new ArrayList<>();
    try (DenseReference dense = new DenseReference()) {
      for (SparseSite site : sites) {
        progress.stage("check site " + site.name());
        SiteInputs own = inputs(site, kept, compiledInputs);
        double[] expected = dense.attend(own, site);
        ErrorMetrics everything = ErrorMetrics.of(numbers(tensor(kept, site.output())), expected);
        try (SiteModel model = SiteModel.of(compiled, site, own.query().type(), planner -> {})) {
          siteErrors.add(SiteErrors.of(site, model.run(own), own, everything, expected));
        }
      }
    }
    return report(
        VerifyMode.FULL, note, outputs(kept, reference), outputs(chosen, reference), siteErrors);
  }

  /** What the site read in a run of the whole model. */
  private static SiteInputs inputs(
      SparseSite site, Map<String, Tensor> outputs, Map<String, Tensor> inputs) {
    Map<String, Tensor> known = new HashMap<>(inputs);
    known.putAll(outputs);
    return new SiteInputs(
        tensor(known, site.query()),
        tensor(known, site.key()),
        tensor(known, site.value()),
        tensor(known, site.geometry()),
        site.keyBias().map(bias -> tensor(known, bias)));
  }

  private static Tensor tensor(Map<String, Tensor> known, Value value) {
    return Optional.ofNullable(known.get(value.name())).or(value::constant).orElseThrow();
  }

  private static double[] numbers(Tensor tensor) {
    return tensor.doubles().orElseThrow();
  }

  private static List<VerificationReport.OutputError> outputs(
      Map<String, Tensor> actual, Map<String, Tensor> reference) {
    List<VerificationReport.OutputError> errors = new ArrayList<>();
    reference.forEach(
        (name, expected) ->
            expected
                .doubles()
                .ifPresent(
                    numbers ->
                        errors.add(
                            new VerificationReport.OutputError(
                                name,
                                ErrorMetrics.of(
                                    numbers(Optional.ofNullable(actual.get(name)).orElseThrow()),
                                    numbers)))));
    return errors;
  }

  /** Action and state for a cold planning step. */
  private Map<String, Tensor> extraInputs(Map<String, Long> sizes) {
    Map<String, Tensor> extra = new LinkedHashMap<>();
    extra.put(SparseOps.ACTION, Actions.all(sites.size(), ActionCode.PLAN_SPARSE.cold()));
    for (SparseSite site : sites) {
      for (Value input : site.state().values()) {
        ValueType.TensorType type = (ValueType.TensorType) input.type().orElseThrow();
        extra.put(input.name(), Actions.zeros(type.elementType(), dims(input, sizes)));
      }
    }
    return extra;
  }

  private static long[] dims(Value input, Map<String, Long> sizes) {
    ValueType.TensorType type = (ValueType.TensorType) input.type().orElseThrow();
    List<DeclaredDim> declared = type.dims().orElseThrow();
    long[] dims = new long[declared.size()];
    for (int axis = 0; axis < dims.length; axis++) {
      if (declared.get(axis) instanceof DeclaredDim.Fixed fixed) {
        dims[axis] = fixed.size();
      } else if (declared.get(axis) instanceof DeclaredDim.Named named) {
        dims[axis] =
            Dim.parse(named.name())
                .evaluate(sizes)
                .orElseThrow(
                    () ->
                        SparsifyException.failure(
                            "the size '"
                                + named.name()
                                + "' of "
                                + input.name()
                                + " does not follow from the inputs"));
      }
    }
    return dims;
  }

  /** The sizes that the inputs give to the model's symbolic dimensions. */
  private Map<String, Long> sizes(Map<String, Tensor> inputs) {
    Map<String, Long> sizes = new HashMap<>();
    for (Value input : original.graph().inputs()) {
      Tensor tensor = inputs.get(input.name());
      if (tensor == null
          || !(input.type().orElse(null) instanceof ValueType.TensorType type)
          || type.dims().isEmpty()) {
        continue;
      }
      List<DeclaredDim> dims = type.dims().get();
      for (int axis = 0; axis < Math.min(dims.size(), tensor.rank()); axis++) {
        if (dims.get(axis) instanceof DeclaredDim.Named named) {
          sizes.put(named.name(), tensor.dims()[axis]);
        }
      }
    }
    return sizes;
  }

  // ---- sites alone ------------------------------------------------------------------------------

  private VerificationReport verifySites(String why) {
    List<VerificationReport.SiteError> errors =
        new SitesAlone(compiled, compiledFacts, file(), progress).check(sites);
    long largest = errors.stream().mapToLong(VerificationReport.SiteError::tokens).max().orElse(0);
    String note =
        why
            + ", "
            + errors.size()
            + " of "
            + sites.size()
            + " sites on planted structure at up to "
            + largest
            + " tokens, against dense attention by its formula; clusters reduced in proportion";
    return report(VerifyMode.SITES, note, List.of(), List.of(), errors);
  }
}
