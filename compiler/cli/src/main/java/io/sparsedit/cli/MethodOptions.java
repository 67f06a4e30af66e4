package io.sparsedit.cli;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.rules.syntax.Source;
import io.sparsedit.passes.CompileOptions;
import io.sparsedit.passes.DenseLayers;
import io.sparsedit.passes.Method;
import io.sparsedit.passes.MethodSettings;
import io.sparsedit.passes.SitePlan;
import io.sparsedit.passes.Svg2Settings;
import io.sparsedit.passes.VideoGeometry;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
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
      description =
          "Sparse attention method: svg2 (semantic-aware permutation). Default: ${DEFAULT-VALUE}.")
  private Method method = Method.SVG2;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      defaultValue = "0.9",
      description = {
        "Attention mass that a query cluster's kept key clusters must exceed; 1 or more keeps all.",
        "Default: ${DEFAULT-VALUE}, as published."
      })
  private float topP;

  @Option(
      names = "--min-kept",
      paramLabel = "FRACTION",
      defaultValue = "0.1",
      description =
          "Fraction of the key clusters kept in any case. Default: ${DEFAULT-VALUE}, as published.")
  private float minKept;

  @Option(
      names = "--clusters",
      paramLabel = "QUERY,KEY",
      description =
          "Clusters a head. Default: one for 256 query tokens (2 to 400), one for 64 key tokens"
              + " (8 to 1000).")
  private @Nullable String clusters;

  @Option(
      names = "--compensate",
      description =
          "Represent each skipped key segment by one pseudo-key, its centroid (SVG-EAR). Default:"
              + " off.")
  private boolean compensate;

  @Option(
      names = "--dense-layers",
      paramLabel = "LAYERS",
      description =
          "Self-attention layers that stay dense, such as 0,3-5, or none. Default: the first 3 %%,"
              + " rounded down, as published.")
  private @Nullable String denseLayers;

  @Option(
      names = "--video",
      paramLabel = "FxHxW",
      description =
          "Extent of the video in tokens: latent frames x rows x columns after patching, such as"
              + " 21x45x80. Only needed where the graph does not tell.")
  private @Nullable String video;

  @Option(
      names = "--rules",
      paramLabel = "DIR",
      description =
          "Folder with recognition rules of your own (*.rules, docs/rules.md), tried beside the"
              + " built-in ones.")
  private @Nullable Path rules;

  /** Options that say how the model is read, not what becomes of a site; a plan leaves them. */
  private static final Set<String> BESIDE_A_PLAN = Set.of("--video", "--rules");

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
    return new CompileOptions(
        settings(),
        Optional.ofNullable(video).map(VideoGeometry::parse),
        denseLayers == null ? DenseLayers.PUBLISHED : DenseLayers.parse(denseLayers),
        common.debug(),
        rules == null ? List.of() : Source.readDirectory(rules),
        Optional.empty());
  }

  private MethodSettings settings() {
    return switch (method) {
      case SVG2 -> {
        Svg2Settings published = Svg2Settings.PUBLISHED;
        yield new Svg2Settings(
            topP,
            minKept,
            Optional.ofNullable(clusters).map(Svg2Settings.Clusters::parse),
            published.iterations(),
            published.initIterations(),
            compensate);
      }
    };
  }
}
