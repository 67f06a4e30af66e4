package io.sparsedit.cli;

import io.sparsedit.compiler.engine.BuildTools;
import io.sparsedit.compiler.engine.BuiltEngine;
import io.sparsedit.compiler.engine.EngineOptions;
import io.sparsedit.compiler.engine.InputShapes;
import io.sparsedit.compiler.engine.TimingCache;
import io.sparsedit.tensorrt.PluginLibrary;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Options of an engine build. */
final class EngineArguments {
  private static final String PLUGINS = "SPARSEDIT_PLUGINS";
  private static final int MOST_WARNINGS = 10;

  @Option(
      names = "--plugin-library",
      paramLabel = "FILE",
      description =
          "SparseDiT's TensorRT plugins. Default: what the environment variable SPARSEDIT_PLUGINS"
              + " names, or build/cuda/plugins/libsparsedit_plugins.so here or beside the command.")
  private @Nullable Path pluginLibrary;

  @Option(
      names = "--min-shapes",
      paramLabel = "SHAPES",
      description =
          "Smallest shapes of inputs with dynamic dimensions, as trtexec spells them:"
              + " NAME:1x2x3,NAME:4x5. The state's shapes follow.")
  private @Nullable String minShapes;

  @Option(names = "--opt-shapes", paramLabel = "SHAPES", description = "The shapes to tune for.")
  private @Nullable String optShapes;

  @Option(names = "--max-shapes", paramLabel = "SHAPES", description = "The largest shapes.")
  private @Nullable String maxShapes;

  @Option(
      names = "--allow-tf32",
      description =
          "Let f32 matrix products round their inputs to TF32: faster, and further from what the"
              + " verification measured.")
  private boolean tf32;

  @Option(
      names = "--optimization-level",
      paramLabel = "0-5",
      defaultValue = "-1",
      hideParamSyntax = true,
      description = "TensorRT's optimisation level. Default: TensorRT's own.")
  private int level;

  @Option(
      names = "--timing-cache",
      paramLabel = "FILE",
      description =
          "Timings kept from build to build. Default: a file for this GPU in the user's cache"
              + " folder.")
  private @Nullable Path timingCache;

  @Option(
      names = "--layer-info",
      paramLabel = "FILE",
      description = "Write TensorRT's description of the engine's layers, as JSON.")
  private @Nullable Path layerInfo;

  /** Finds the plugin library, the GPU and TensorRT, after a look at what was typed. */
  BuildTools tools() {
    shapes("--min-shapes", minShapes);
    shapes("--opt-shapes", optShapes);
    shapes("--max-shapes", maxShapes);
    return BuildTools.find(library());
  }

  private Path library() {
    if (pluginLibrary != null) {
      return pluginLibrary;
    }
    String variable = System.getenv().getOrDefault(PLUGINS, "");
    if (!variable.isEmpty()) {
      return Path.of(variable);
    }
    Path built = Path.of("build", "cuda", "plugins", PluginLibrary.FILE_NAME);
    Path besideCommand = Path.of(System.getProperty("sparsify.home", "")).resolve(built);
    return Files.isRegularFile(built) ? built : besideCommand;
  }

  EngineOptions toOptions(BuildTools tools) {
    return new EngineOptions(
        library(),
        shapes("--min-shapes", minShapes),
        shapes("--opt-shapes", optShapes),
        shapes("--max-shapes", maxShapes),
        tf32,
        level,
        timingCache != null
            ? Optional.of(timingCache)
            : TimingCache.defaultFile(System.getenv(), tools.gpu(), tools.tensorRt().version()),
        Optional.ofNullable(layerInfo));
  }

  private static InputShapes shapes(String option, @Nullable String text) {
    return text == null ? InputShapes.NONE : InputShapes.parse(option, text);
  }

  /** Says what was built. */
  static void print(PrintWriter out, Path bundle, BuiltEngine engine) {
    out.printf(
        Locale.ROOT,
        "Engine %s: %.1f MB, TensorRT %s, for %s, built in %.0f s%n",
        bundle.resolve(engine.file()),
        engine.bytes() / 1e6,
        engine.tensorRt(),
        engine.gpu(),
        engine.seconds());
    int shown = Math.min(engine.warnings().size(), MOST_WARNINGS);
    engine.warnings().subList(0, shown).forEach(warning -> out.println("TensorRT: " + warning));
    if (shown < engine.warnings().size()) {
      out.println("TensorRT: " + (engine.warnings().size() - shown) + " more warnings");
    }
  }
}
