package io.sparsedit.compiler.engine;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.bundle.Sha256;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.legal.AttendDensely;
import io.sparsedit.compiler.legal.DenseSites;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.tensorrt.EngineBuilder;
import io.sparsedit.tensorrt.PluginLibrary;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Builds a TensorRT engine of a bundle's model and puts it into the bundle, with the plugin library
 * that it needs.
 *
 * <p>The engine is strongly typed: precision is a property of the graph. It is for the kind of GPU
 * and the version of TensorRT that build it.
 */
public final class BuildEngine {
  private static final int NAME_DIGITS = 12;

  private BuildEngine() {}

  /**
   * Builds the engine. An interrupt of the calling thread stops that within seconds.
   *
   * @param folder the bundle
   * @param tools what {@link BuildTools#find} found
   * @param compiler the compiler's version
   * @param progress told of each stage, and of TensorRT's phases
   * @throws SparsifyException if the bundle is bad, an operator has no plugin, the shapes do not
   *     fit, TensorRT refuses the model or the build is stopped; the bundle is then what it was
   */
  public static BuiltEngine run(
      Path folder, BuildTools tools, EngineOptions options, String compiler, Progress progress) {
    progress.stage("read " + folder);
    EngineEntries entries = EngineEntries.read(folder);
    Model model = OnnxReader.read(entries.model());
    if (options.dense()) {
      AttendDensely.in(model);
    }
    PluginLibrary plugins = tools.plugins();
    List<String> dense =
        EngineGraph.of(
            model,
            plugins.operators(),
            plugins.pluginVersion(),
            plugins.file().toString(),
            options.precision(),
            sites(options, tools));
    Map<String, EngineBuilder.Shapes> shapes = ShapeProfile.of(model.graph(), options.range());
    byte[] onnx = OnnxWriter.toBytes(model);

    long start = System.nanoTime();
    Path engine = AtomicFile.temporaryFor(folder.resolve("engine.plan"));
    Path library = AtomicFile.temporaryFor(folder.resolve("plugins.so"));
    List<String> warnings = new ArrayList<>();
    try (EngineProcess process = EngineProcess.start(entries.model(), List.of(engine, library))) {
      EngineJob job =
          new EngineJob(
              plugins.file(),
              entries.model(),
              onnx.length,
              engine,
              shapes,
              options.tf32(),
              options.level(),
              options.auxiliaryStreams(),
              options.timingCache());
      String layers = process.build(job, onnx, warnings, progress);
      options.layers().ifPresent(file -> write(file, layers));
      List<EngineLayers.Copy> copies = EngineLayers.copies(layers);
      progress.stage("complete " + folder);
      copy(plugins.file(), library);
      ObjectNode entry = describe(engine, library, entries, tools, options, shapes, compiler);
      describe(copies, entry.putArray("copies"));
      dense.forEach(entry.putArray("denseAttention")::add);
      String engineFile = entry.path("file").asText();
      String pluginFile = entry.path("plugins").path("file").asText();
      long bytes = size(engine);
      EngineEntries now = readAgain(folder, entries);
      move(engine, folder.resolve(engineFile));
      move(library, folder.resolve(pluginFile));
      now.put(entry, options.dense());
      return new BuiltEngine(
          engineFile,
          pluginFile,
          bytes,
          tools.gpu().toString(),
          tools.tensorRt().version(),
          options.precision(),
          (System.nanoTime() - start) / 1e9,
          usual(shapes),
          dense,
          copies.stream().map(BuildEngine::text).toList(),
          warnings);
    }
  }

  /** The description as it is after a build that took long: others may have written to it. */
  private static EngineEntries readAgain(Path folder, EngineEntries before) {
    EngineEntries now = EngineEntries.read(folder);
    if (!now.modelSha256().equals(before.modelSha256())) {
      throw SparsifyException.failure(
          folder
              + " was compiled anew while its engine was built, which does not fit it any more."
              + " Build again.");
    }
    return now;
  }

  /** A dense engine is TensorRT's alone: others are compared with it. */
  private static Optional<DenseSites> sites(EngineOptions options, BuildTools tools) {
    return options.dense()
        ? Optional.empty()
        : options
            .attention()
            .sites(tools.gpu().capability(), options.precision(), tools.plugins().pluginVersion());
  }

  /**
   * Adds to the entry of an engine in the bundle's description what was found by running it.
   *
   * @param file the engine
   * @param check what was found
   */
  public static void record(Path folder, String file, ObjectNode check) {
    EngineEntries.read(folder).add(file, "check", check);
  }

  /** Takes an engine out of the bundle again. */
  public static void remove(Path folder, String file) {
    EngineEntries.read(folder).remove(file);
  }

  private static void write(Path file, String text) {
    AtomicFile.write(file, out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
  }

  private static void describe(List<EngineLayers.Copy> copies, ArrayNode array) {
    for (EngineLayers.Copy copy : copies) {
      array
          .addObject()
          .put("layer", copy.layer())
          .put(copy.before() ? "before" : "behind", copy.plugin())
          .put("tensor", copy.tensor())
          .put("bytes", copy.bytes());
    }
  }

  /** As in {@code "layer" copies 1.2 MB before blocks.0.attn1.plan}. */
  private static String text(EngineLayers.Copy copy) {
    return String.format(
        Locale.ROOT,
        "%s copies %s %s %s",
        copy.layer(),
        copy.bytes() == 0
            ? copy.tensor()
            : String.format(Locale.ROOT, "%.1f MB", copy.bytes() / 1e6),
        copy.before() ? "before" : "behind",
        copy.plugin());
  }

  /** The shapes that the engine is tuned for. */
  private static Map<String, List<Long>> usual(Map<String, EngineBuilder.Shapes> shapes) {
    Map<String, List<Long>> usual = new LinkedHashMap<>();
    shapes.forEach((input, range) -> usual.put(input, range.usual()));
    return usual;
  }

  private static ObjectNode describe(
      Path engine,
      Path library,
      EngineEntries entries,
      BuildTools tools,
      EngineOptions options,
      Map<String, EngineBuilder.Shapes> shapes,
      String compiler) {
    String engineSum = Sha256.of(engine);
    String librarySum = Sha256.of(library);
    ObjectNode entry = JsonNodeFactory.instance.objectNode();
    entry
        .put(
            "file",
            (options.dense() ? "dense-sm_" : "engine-sm_")
                + tools.gpu().capability()
                + "-"
                + shortened(engineSum)
                + ".plan")
        .put("bytes", size(engine))
        .put("sha256", engineSum)
        .put("modelSha256", entries.modelSha256());
    entry
        .putObject("plugins")
        .put("file", "plugins-" + shortened(librarySum) + ".so")
        .put("sha256", librarySum)
        .put("version", tools.plugins().pluginVersion())
        .put("targets", tools.plugins().targets());
    entry
        .put("tensorrt", tools.tensorRt().version())
        .put("gpu", tools.gpu().name())
        .put("computeCapability", tools.gpu().computeCapability())
        .put("cudaNeeded", tools.plugins().cudaNeeded())
        .put("precision", options.precision().name().toLowerCase(Locale.ROOT))
        .put("tf32", options.tf32())
        .put("compiler", compiler);
    ObjectNode ranges = entry.putObject("shapes");
    shapes.forEach(
        (input, range) -> {
          ObjectNode node = ranges.putObject(input);
          addAll(node.putArray("min"), range.smallest());
          addAll(node.putArray("opt"), range.usual());
          addAll(node.putArray("max"), range.largest());
        });
    return entry;
  }

  private static void addAll(ArrayNode array, List<Long> dims) {
    dims.forEach(array::add);
  }

  private static String shortened(String sum) {
    return sum.substring(0, NAME_DIGITS);
  }

  private static long size(Path file) {
    try {
      return Files.size(file);
    } catch (IOException e) {
      throw unwritable(file, e);
    }
  }

  private static void copy(Path from, Path to) {
    try {
      Files.copy(from, to);
    } catch (IOException e) {
      throw unwritable(to, e);
    }
  }

  private static void move(Path temporary, Path file) {
    try {
      AtomicFile.moveIntoPlace(temporary, file);
    } catch (IOException e) {
      throw unwritable(file, e);
    }
  }

  private static SparsifyException unwritable(Path file, IOException e) {
    return new SparsifyException(
        SparsifyException.Kind.FAILURE, file + ": cannot be written: " + AtomicFile.reason(e), e);
  }
}
