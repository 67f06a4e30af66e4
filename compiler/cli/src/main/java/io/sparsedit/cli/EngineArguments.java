package io.sparsedit.cli;

import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.bundle.BundleFolder;
import io.sparsedit.compiler.engine.BuildEngine;
import io.sparsedit.compiler.engine.BuildTools;
import io.sparsedit.compiler.engine.BuiltEngine;
import io.sparsedit.compiler.engine.EngineOptions;
import io.sparsedit.compiler.engine.InputRange;
import io.sparsedit.compiler.engine.InputShapes;
import io.sparsedit.compiler.engine.TimingCache;
import io.sparsedit.compiler.legal.DenseAttention;
import io.sparsedit.compiler.legal.Precision;
import io.sparsedit.tensorrt.PluginLibrary;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Options of an engine build. */
final class EngineArguments {
  private static final String PLUGINS = "SPARSEDIT_PLUGINS";
  private static final int MOST_LINES = 10;
  private static final int MAX_LEVEL = 5;

  /** Comes before the name of each site that SparseDiT's kernel computes densely. */
  static final String DENSE = "dense, by SparseDiT's kernel: ";

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
      parameterConsumer = ShapesConsumer.class,
      description =
          "Smallest shapes of inputs with dynamic dimensions, as trtexec or Polygraphy spell them:"
              + " NAME:1x2x3,NAME:4x5 or NAME:[1,2,3] NAME:[4,5]. The state's shapes follow.")
  private @Nullable String minShapes;

  @Option(
      names = "--opt-shapes",
      paramLabel = "SHAPES",
      parameterConsumer = ShapesConsumer.class,
      description = "The shapes to tune for.")
  private @Nullable String optShapes;

  @Option(
      names = "--max-shapes",
      paramLabel = "SHAPES",
      parameterConsumer = ShapesConsumer.class,
      description = "The largest shapes.")
  private @Nullable String maxShapes;

  @Option(
      names = {"--minShapes", "--trt-min-shapes"},
      hidden = true,
      parameterConsumer = ShapesConsumer.class)
  void minShapesByTheirNames(String shapes) {
    minShapes = shapes;
  }

  @Option(
      names = {"--optShapes", "--trt-opt-shapes"},
      hidden = true,
      parameterConsumer = ShapesConsumer.class)
  void optShapesByTheirNames(String shapes) {
    optShapes = shapes;
  }

  @Option(
      names = {"--maxShapes", "--trt-max-shapes"},
      hidden = true,
      parameterConsumer = ShapesConsumer.class)
  void maxShapesByTheirNames(String shapes) {
    maxShapes = shapes;
  }

  @Option(
      names = "--precision",
      paramLabel = "FLOATS",
      defaultValue = "keep",
      description = {
        "keep: what the graph says (default).",
        "bf16, fp16: that in the place of f32, but for reductions, softmax, positions and norms;"
            + " inputs and outputs keep their types. A graph with products in 16 bits stays as it"
            + " is."
      })
  private Precision precision = Precision.KEEP;

  @Option(
      names = "--dense-attention",
      paramLabel = "WHO",
      defaultValue = "auto",
      description = {
        "Who computes attention that is left dense, in self- and cross-attention.",
        "auto: SparseDiT's kernel where it is known to be faster, else TensorRT (default).",
        "plugin: SparseDiT's kernel wherever it can.",
        "tensorrt: TensorRT."
      })
  private DenseAttention attention = DenseAttention.AUTO;

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
      names = "--max-aux-streams",
      paramLabel = "N",
      defaultValue = "-1",
      hideParamSyntax = true,
      description =
          "Streams beside the main one that TensorRT may run layers on. Default: TensorRT's own."
              + " With 0 bench charges each layer with its own time alone.")
  private int auxiliaryStreams;

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

  @Option(
      names = "--check",
      paramLabel = "HOW",
      defaultValue = "auto",
      description = {
        "auto: compare the engine with the portable model over ten steps, where ONNX Runtime takes"
            + " minutes at most (default).",
        "full: whatever it takes.",
        "none: do not compare."
      })
  private EngineCheck.When check = EngineCheck.When.AUTO;

  @Option(
      names = "--max-engine-error",
      paramLabel = "E",
      description =
          "Largest relative L1 error of an output against the portable model; above it the engine is"
              + " taken out of the bundle and the exit code is 3. Default: 0.001, or 0.02 in 16-bit"
              + " floats, where steps by a plan of their own may have five times that, and twice what"
              + " rounding of the inputs does to the portable model.")
  private @Nullable Double maxError;

  /** What becomes of f32. */
  Precision precision() {
    return precision;
  }

  /** Who computes attention that is left dense. */
  DenseAttention attention() {
    return attention;
  }

  /** The sizes that the engine is to take. */
  InputRange range() {
    return new InputRange(
        shapes("--min-shapes", minShapes),
        shapes("--opt-shapes", optShapes),
        shapes("--max-shapes", maxShapes));
  }

  /**
   * Builds the engine of the dense model, which bench compares the other with.
   *
   * @param bundle its folder
   * @param tools what {@link #tools} found
   * @param out told what was built
   */
  void buildDense(Path bundle, BuildTools tools, Progress progress, PrintWriter out) {
    print(
        out,
        bundle,
        BuildEngine.run(
            bundle, tools, toOptions(tools, true), VersionProvider.version(), progress));
  }

  /**
   * Builds an engine and compares it with the portable model.
   *
   * @param bundle its folder
   * @param tools what {@link #tools} found
   * @param out told what was built
   */
  BuiltEngine build(Path bundle, BuildTools tools, Progress progress, PrintWriter out) {
    BuiltEngine built =
        BuildEngine.run(
            bundle, tools, toOptions(tools, false), VersionProvider.version(), progress);
    print(out, bundle, built);
    OptionalDouble tolerance =
        maxError == null ? OptionalDouble.empty() : OptionalDouble.of(maxError);
    new EngineCheck(bundle, built, check, tolerance).run(out, progress);
    return built;
  }

  /** Finds the plugin library, the GPU and TensorRT, after a look at what was typed. */
  BuildTools tools() {
    requireSense();
    return BuildTools.find(library());
  }

  /** The same for a bundle: a folder that is none is told of before a GPU that is missing. */
  BuildTools tools(Path bundle) {
    requireSense();
    BundleFolder.requireBundle(bundle);
    if (layerInfo != null) {
      BundleFolder.requireOutside(bundle, layerInfo);
    }
    return BuildTools.find(library());
  }

  private void requireSense() {
    range();
    if (level < -1 || level > MAX_LEVEL) {
      throw SparsifyException.usage("--optimization-level must be 0 to 5; is " + level);
    }
    if (auxiliaryStreams < -1) {
      throw SparsifyException.usage("--max-aux-streams must be 0 or more; is " + auxiliaryStreams);
    }
    if (maxError != null && !(maxError >= 0)) {
      throw SparsifyException.usage("--max-engine-error must be 0 or more; is " + maxError);
    }
    requireFolder("--layer-info", layerInfo);
  }

  /** An hour's build is not to fail for a folder that is missing. */
  private static void requireFolder(String option, @Nullable Path file) {
    if (file != null) {
      Path folder = file.toAbsolutePath().getParent();
      if (Files.isDirectory(file) || folder == null || !Files.isDirectory(folder)) {
        throw SparsifyException.usage(option + ": " + file + " is no file in an existing folder");
      }
    }
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

  /**
   * The options.
   *
   * @param dense whether every site is to be dense
   */
  private EngineOptions toOptions(BuildTools tools, boolean dense) {
    return new EngineOptions(
        library(),
        range(),
        precision,
        attention,
        dense,
        tf32,
        level,
        auxiliaryStreams,
        timingCache != null
            ? Optional.of(timingCache)
            : TimingCache.defaultFile(System.getenv(), tools.gpu(), tools.tensorRt().version()),
        Optional.ofNullable(layerInfo));
  }

  private static InputShapes shapes(String option, @Nullable String text) {
    return text == null ? InputShapes.NONE : InputShapes.parse(option, text);
  }

  /** Says what was built. */
  private static void print(PrintWriter out, Path bundle, BuiltEngine engine) {
    out.printf(
        Locale.ROOT,
        "Engine %s: %.1f MB, TensorRT %s, for %s, built in %.0f s%n",
        bundle.resolve(engine.file()),
        engine.bytes() / 1e6,
        engine.tensorRt(),
        engine.gpu(),
        engine.seconds());
    printSome(out, DENSE, engine.dense());
    printSome(out, "copy beside a plugin: ", engine.copies());
    printSome(out, "TensorRT: ", engine.warnings());
  }

  static void printSome(PrintWriter out, String what, List<String> lines) {
    int shown = Math.min(lines.size(), MOST_LINES);
    lines.subList(0, shown).forEach(line -> out.println(what + line));
    if (shown < lines.size()) {
      out.println(what + (lines.size() - shown) + " more");
    }
  }
}
