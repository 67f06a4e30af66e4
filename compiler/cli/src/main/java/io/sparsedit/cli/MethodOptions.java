package io.sparsedit.cli;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.rules.syntax.Source;
import io.sparsedit.passes.AdaSpaSettings;
import io.sparsedit.passes.CompileOptions;
import io.sparsedit.passes.DenseLayers;
import io.sparsedit.passes.Method;
import io.sparsedit.passes.MethodSettings;
import io.sparsedit.passes.Preset;
import io.sparsedit.passes.ReferenceSettings;
import io.sparsedit.passes.SitePlan;
import io.sparsedit.passes.Svg2Settings;
import io.sparsedit.passes.SvgSettings;
import io.sparsedit.passes.TextTokens;
import io.sparsedit.passes.VideoGeometry;
import io.sparsedit.passes.functions.FrameSink;
import io.sparsedit.passes.functions.Selection;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParseResult;

/** Options that say what a compilation does; {@code inspect} has them to show the outcome. */
final class MethodOptions {
  @Option(
      names = "--method",
      paramLabel = "NAME",
      defaultValue = "svg2",
      description = {
        "Sparse attention method. Default: ${DEFAULT-VALUE}.",
        "svg2: clusters of similar tokens (arXiv 2505.18875).",
        "adaspa: blocks found by exact search at a few steps (arXiv 2502.21079).",
        "svg: a band over frames or over patches, by head (arXiv 2502.01776).",
        "oracle, random: the most massive and random blocks, to measure methods against."
      })
  private Method method = Method.SVG2;

  @Option(
      names = "--density",
      paramLabel = "FRACTION",
      description = {
        "Kept part of the pairs of video tokens, a head: a budget.",
        "Default: svg2: 0.25, with --top-p or --preset none; adaspa: 0.2; svg: that of the preset,"
            + " by the published formula."
      })
  private @Nullable Float density;

  @Option(
      names = "--ranking",
      paramLabel = "RANKING",
      description = {
        "svg2 with a density: what the budget goes to. Default: mass.",
        "mass: the same part to each query cluster, by attention mass.",
        "mass-per-token: a head's pairs of clusters with the most mass for each key token."
      })
  private @Nullable String ranking;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      description =
          "svg2: instead of a density, attention mass that a query cluster's kept key clusters must"
              + " exceed; 1 or more keeps all. Published, and with --preset the default: 0.9.")
  private @Nullable Float topP;

  @Option(
      names = "--min-kept",
      paramLabel = "FRACTION",
      description =
          "svg2: fraction of the key clusters kept in any case. Default: with --top-p 0.1, as"
              + " published; with a density one cluster.")
  private @Nullable Float minKept;

  @Option(
      names = "--clusters",
      paramLabel = "QUERY,KEY",
      description =
          "svg2: clusters a head. Default: those of --preset if given, else one for 256 query"
              + " tokens and one for 64 key tokens, of short videos up to 100 and 500 of 64 and 16"
              + " tokens.")
  private @Nullable String clusters;

  @Option(
      names = "--kmeans-iterations",
      paramLabel = "WARM,COLD",
      description =
          "svg2: k-means iterations from the last plan's centroids, and from the beginning."
              + " Default: 2,50, as published.")
  private @Nullable String kmeansIterations;

  @Option(
      names = "--recall-threshold",
      paramLabel = "RECALL",
      description =
          "adaspa: recall above which a head gives up density to others; above 1 none does."
              + " Default: 0.8, as published.")
  private @Nullable Float recallThreshold;

  @Option(
      names = "--sampled-rows",
      paramLabel = "ROWS",
      description =
          "svg: query rows of each head that tell whether it is spatial or temporal. Default: 64,"
              + " as published.")
  private @Nullable Integer sampledRows;

  @Option(
      names = "--frame-sink",
      paramLabel = "SINK",
      description = {
        "svg: keys that every query attends to beside its band. Default: published, with text"
            + " none.",
        "none, published (in temporal heads not the first frame), corrected (the first frame)."
      })
  private @Nullable String frameSink;

  @Option(
      names = "--block-size",
      paramLabel = "TOKENS",
      description = "adaspa, svg: tokens of a block. Default: 64 and 128, as published.")
  private @Nullable Integer blockSize;

  @Option(
      names = "--compensate",
      negatable = true,
      description =
          "Represent each skipped key segment by one pseudo-key, its means (SVG-EAR, arXiv"
              + " 2603.08982). Default: on with svg2 unless --preset is given; off with others.")
  private @Nullable Boolean compensate;

  @Option(
      names = "--dense-layers",
      paramLabel = "LAYERS",
      description =
          "Self-attention layers that stay dense, such as 0,3-5, or none. Default: as published for"
              + " the preset, such as the first 3 %%, rounded down; adaspa: none.")
  private @Nullable String denseLayers;

  @Mixin private StepOptions steps;

  @Option(
      names = "--video",
      paramLabel = "FxHxW",
      description =
          "Extent of the video in tokens: latent frames x rows x columns after patching, such as"
              + " 21x45x80. Only needed where the graph does not tell.")
  private @Nullable String video;

  @Option(
      names = "--text",
      paramLabel = "N,first|last",
      description =
          "Text tokens in the sequence of video tokens, and at which end they stand, such as"
              + " 226,first. Only needed where the graph does not tell.")
  private @Nullable String text;

  @Option(
      names = "--rules",
      paramLabel = "DIR",
      description =
          "Folder with recognition rules of your own (*.rules, docs/rules.md), tried beside the"
              + " built-in ones.")
  private @Nullable Path rules;

  @Option(
      names = "--fuse-qk-norm-rope",
      negatable = true,
      defaultValue = "true",
      fallbackValue = "true",
      description =
          "Make QK-norm and rotary embedding of each sparse site one node, sparsedit.QkNormRope,"
              + " which is one kernel in an engine. Default: on.")
  private boolean fuseQkNormRope = true;

  /** Options that no plan holds: how the model is read, and what the steps do. */
  private static final Set<String> BESIDE_A_PLAN =
      Set.of(
          "--video",
          "--text",
          "--rules",
          "--preset",
          "--steps",
          "--dense-warmup",
          "--replan-interval",
          "--plan-during-warmup",
          "--search-steps",
          "--fuse-qk-norm-rope");

  /** The options with a plan, which takes the place of those that say what becomes of sites. */
  CompileOptions toOptions(CommonOptions common, Path plan, CommandSpec spec) {
    ParseResult parsed = spec.commandLine().getParseResult();
    for (OptionSpec option : CommandSpec.forAnnotatedObject(new MethodOptions()).options()) {
      String name = option.longestName();
      if (!BESIDE_A_PLAN.contains(name) && parsed.hasMatchedOption(name)) {
        throw SparsifyException.usage(
            name
                + " and --plan exclude each other: the plan says of each site what becomes of it."
                + " Write the plan with 'inspect --plan "
                + plan
                + " "
                + name
                + " ...', or edit it");
      }
    }
    return toOptions(common).withPlan(SitePlan.read(plan));
  }

  CompileOptions toOptions(CommonOptions common) {
    CompileOptions options =
        new CompileOptions(
                settings(),
                Optional.ofNullable(video).map(VideoGeometry::parse),
                denseLayers == null ? DenseLayers.PUBLISHED : DenseLayers.parse(denseLayers),
                common.debug())
            .withOwnRules(rules == null ? List.of() : Source.readDirectory(rules))
            .withSchedule(steps.toSchedule())
            .withFusedQkNormRope(fuseQkNormRope);
    return text == null ? options : options.withText(TextTokens.parse(text));
  }

  private MethodSettings settings() {
    return switch (method) {
      case SVG2 -> svg2();
      case ADASPA -> adaSpa();
      case SVG -> svg();
      case ORACLE, RANDOM -> reference();
    };
  }

  private Svg2Settings svg2() {
    refuseOthers(
        "--density", "--ranking", "--top-p", "--min-kept", "--clusters", "--kmeans-iterations");
    Svg2Settings defaults =
        steps.preset().isPresent() ? Svg2Settings.PUBLISHED : Svg2Settings.DEFAULT;
    Svg2Settings.Iterations iterations =
        kmeansIterations == null
            ? new Svg2Settings.Iterations(defaults.iterations(), defaults.initIterations())
            : Svg2Settings.Iterations.parse(kmeansIterations);
    Selection selection = selection(defaults.selection());
    return new Svg2Settings(
        selection,
        minKept != null
            ? minKept
            : selection instanceof Selection.Budget ? 0 : Svg2Settings.PUBLISHED.minKept(),
        Optional.ofNullable(clusters)
            .map(Svg2Settings.Clusters::parse)
            .or(() -> steps.preset().map(Preset::clusters)),
        iterations.warm(),
        iterations.cold(),
        compensate == null ? defaults.compensate() : compensate);
  }

  private Selection selection(Selection otherwise) {
    if (topP != null) {
      if (density != null) {
        throw SparsifyException.usage(
            "give either --density or --top-p: each decides what is kept");
      }
      if (ranking != null) {
        throw SparsifyException.usage("--ranking is for a density, not for --top-p");
      }
      return Svg2Settings.topP(topP);
    }
    if (density != null) {
      return Svg2Settings.budget(density, rankingOf(ranking));
    }
    if (ranking == null) {
      return otherwise;
    }
    if (otherwise instanceof Selection.Budget budget) {
      return Svg2Settings.budget(budget.density(), rankingOf(ranking));
    }
    throw SparsifyException.usage(
        "--ranking is for a density, and a preset keeps by top-p: give --density too");
  }

  private static Selection.Ranking rankingOf(@Nullable String label) {
    if (label == null) {
      return Selection.Ranking.MASS;
    }
    return Selection.Ranking.of(label)
        .orElseThrow(
            () ->
                SparsifyException.usage(
                    "--ranking must be mass or mass-per-token, not '" + label + "'"));
  }

  private AdaSpaSettings adaSpa() {
    refuseOthers("--density", "--recall-threshold", "--block-size");
    AdaSpaSettings published = AdaSpaSettings.PUBLISHED;
    return new AdaSpaSettings(
        density == null ? published.density() : density,
        recallThreshold == null ? published.recallThreshold() : recallThreshold,
        blockSize == null ? published.blockSize() : blockSize,
        Boolean.TRUE.equals(compensate));
  }

  private SvgSettings svg() {
    refuseOthers("--density", "--sampled-rows", "--frame-sink", "--block-size");
    SvgSettings published = SvgSettings.PUBLISHED;
    return new SvgSettings(
        Optional.ofNullable(density),
        density != null,
        sampledRows == null ? published.sampledRows() : sampledRows,
        published.profileFrames(),
        Optional.ofNullable(frameSink).map(MethodOptions::sinkOf),
        blockSize == null ? published.blockSize() : blockSize,
        Boolean.TRUE.equals(compensate));
  }

  private ReferenceSettings reference() {
    refuseOthers("--density", "--block-size");
    ReferenceSettings defaults = ReferenceSettings.of(method);
    return new ReferenceSettings(
        method,
        density == null ? defaults.density() : density,
        blockSize == null ? defaults.blockSize() : blockSize,
        Boolean.TRUE.equals(compensate));
  }

  private static FrameSink sinkOf(String label) {
    return FrameSink.of(label)
        .orElseThrow(
            () ->
                SparsifyException.usage(
                    "--frame-sink must be "
                        + Arrays.stream(FrameSink.values())
                            .map(FrameSink::attributeValue)
                            .collect(Collectors.joining(", "))
                        + ", not '"
                        + label
                        + "'"));
  }

  /** A setting that another method has would be without effect: an error. */
  private void refuseOthers(String... own) {
    Map<String, Object> given = new TreeMap<>();
    put(given, "--density", density);
    put(given, "--ranking", ranking);
    put(given, "--top-p", topP);
    put(given, "--min-kept", minKept);
    put(given, "--clusters", clusters);
    put(given, "--kmeans-iterations", kmeansIterations);
    put(given, "--recall-threshold", recallThreshold);
    put(given, "--sampled-rows", sampledRows);
    put(given, "--frame-sink", frameSink);
    put(given, "--block-size", blockSize);
    given.keySet().removeAll(Set.of(own));
    if (!given.isEmpty()) {
      throw SparsifyException.usage(
          String.join(", ", given.keySet())
              + " is no setting of "
              + method.label()
              + ", which has "
              + String.join(", ", own));
    }
  }

  private static void put(Map<String, Object> given, String name, @Nullable Object value) {
    if (value != null) {
      given.put(name, value);
    }
  }
}
