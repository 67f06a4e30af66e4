package io.sparsedit.passes.verify;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeTable;
import io.sparsedit.passes.functions.SparseOps;
import io.sparsedit.passes.functions.Svg2Plan;
import io.sparsedit.passes.functions.TextPosition;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Checks sparse sites one by one, without the model around them: on q, k, v with planted structure,
 * at fewer tokens than the model has, against dense attention by its formula.
 */
final class SitesAlone {
  /** Text tokens of a site of symbolic size. */
  private static final int DEFAULT_TEXT = 64;

  private final Model compiled;
  private final ShapeTable compiledFacts;
  private final String file;
  private final Progress progress;

  /**
   * @param file the file that the user gave, for messages
   */
  SitesAlone(Model compiled, ShapeTable compiledFacts, String file, Progress progress) {
    this.compiled = compiled;
    this.compiledFacts = compiledFacts;
    this.file = file;
    this.progress = progress;
  }

  /** Checks one of those sites that run the same code. */
  List<VerificationReport.SiteError> check(List<SparseSite> sites) {
    Map<String, SparseSite> distinct = new LinkedHashMap<>();
    for (SparseSite site : sites) {
      distinct.putIfAbsent(signature(site), site);
    }
    List<VerificationReport.SiteError> errors = new ArrayList<>();
    try (DenseReference dense = new DenseReference()) {
      for (SparseSite site : distinct.values()) {
        errors.add(check(site, dense));
      }
    }
    return errors;
  }

  private VerificationReport.SiteError check(SparseSite site, DenseReference dense) {
    progress.stage("check site " + site.name() + " alone");
    try {
      return compare(site, dense);
    } catch (SparsifyException e) {
      throw new SparsifyException(
          e.kind(),
          file
              + " cannot be verified, not even its site "
              + site.name()
              + " alone: "
              + e.getMessage()
              + ". Export it for an IR version and opset that ONNX Runtime takes, or leave the"
              + " verification out with --verify none",
          e);
    }
  }

  private VerificationReport.SiteError compare(SparseSite site, DenseReference dense) {
    DataType type = compiledFacts.elementType(site.query());
    List<Dim> shape = compiledFacts.shape(site.query()).orElseThrow();
    int heads = Math.toIntExact(shape.get(1).constant().orElseThrow());
    int headDim = Math.toIntExact(shape.get(3).constant().orElseThrow());
    ReducedVideo video = reduced(site, shape.get(2).constant());
    PlantedSite planted = new PlantedSite(type, heads, video, site.text(), headDim, site.scale());
    SiteInputs inputs =
        new SiteInputs(
            planted.query,
            planted.key,
            planted.value,
            video.geometry(),
            site.keyBias().map(bias -> maskOf(site, video)));
    double[] expected = dense.attend(inputs, site);
    double factor = (double) video.tokens() / shape.get(2).constant().orElse(video.tokens());
    SiteModel.Result everything;
    try (SiteModel model =
        SiteModel.of(
            compiled,
            site,
            type,
            planner -> {
              reduceClusters(planner, factor);
              KeepEverything.set(planner);
            })) {
      everything = model.run(inputs);
    }
    try (SiteModel model =
        SiteModel.of(compiled, site, type, planner -> reduceClusters(planner, factor))) {
      return SiteErrors.of(
          site,
          model.run(inputs),
          inputs,
          ErrorMetrics.of(everything.output().doubles().orElseThrow(), expected),
          expected);
    }
  }

  /** The site's own video and text, or less of both. */
  private static ReducedVideo reduced(SparseSite site, OptionalLong tokens) {
    Optional<long[]> extents = site.geometry().constant().flatMap(Tensor::longs);
    boolean hasText = site.text().segments() > 0;
    if (extents.isEmpty() || tokens.isEmpty()) {
      return ReducedVideo.DEFAULT.withText(hasText ? DEFAULT_TEXT : 0);
    }
    long[] e = extents.get();
    return ReducedVideo.of(e[0], e[1], e[2], hasText ? tokens.getAsLong() - e[0] * e[1] * e[2] : 0);
  }

  /** The mask of a site that is checked alone: the last half of its text, or of a frame. */
  private static Tensor maskOf(SparseSite site, ReducedVideo video) {
    int tokens = video.tokens();
    int hidden = (video.text() > 0 ? video.text() : video.height() * video.width()) / 2;
    int end = site.text() == TextPosition.FIRST ? video.text() : tokens;
    float[] bias = new float[tokens];
    Arrays.fill(bias, end - hidden, end, Float.NEGATIVE_INFINITY);
    return Tensor.ofFloats(new long[] {1, 1, 1, tokens}, bias);
  }

  private static void reduceClusters(Node planner, double factor) {
    for (String clusters : List.of(Svg2Plan.Q_CLUSTERS, Svg2Plan.K_CLUSTERS)) {
      if (planner.attribute(clusters).isPresent()) {
        long full = planner.intAttribute(clusters, 1);
        planner.setAttribute(clusters, Math.max(1, Math.round(full * factor)));
      }
    }
  }

  /** Equal for sites that run the same code: same sizes and settings. */
  private String signature(SparseSite site) {
    Map<String, Object> settings = new LinkedHashMap<>(site.planner().attributes());
    settings.remove(SparseOps.SITE);
    return site.planner().opType()
        + site.planner().overload()
        + compiledFacts.shape(site.query())
        + compiledFacts.elementType(site.query())
        + settings;
  }
}
