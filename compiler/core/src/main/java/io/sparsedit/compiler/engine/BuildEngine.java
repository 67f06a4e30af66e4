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
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.tensorrt.Engine;
import io.sparsedit.tensorrt.EngineBuilder;
import io.sparsedit.tensorrt.PluginLibrary;
import io.sparsedit.tensorrt.TensorRt;
import io.sparsedit.tensorrt.TensorRtException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;

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
   * Builds the engine.
   *
   * @param folder the bundle
   * @param tools what {@link BuildTools#find} found
   * @param compiler the compiler's version
   * @param progress told of each stage, and of TensorRT's phases
   * @throws SparsifyException if the bundle is bad, an operator has no plugin, the shapes do not
   *     fit or TensorRT refuses the model; the bundle is then what it was
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
    EngineGraph.of(
        model,
        plugins.operators(),
        plugins.pluginVersion(),
        plugins.file().toString(),
        options.precision());
    Map<String, EngineBuilder.Shapes> shapes = ShapeProfile.of(model.graph(), options.range());

    long start = System.nanoTime();
    Path engine = AtomicFile.temporaryFor(folder.resolve("engine.plan"));
    Path library = AtomicFile.temporaryFor(folder.resolve("plugins.so"));
    List<String> warnings = new ArrayList<>();
    // Also where the process is told to stop in between.
    Thread cleanUp = new Thread(() -> deleteBoth(engine, library), "remove " + engine);
    Runtime.getRuntime().addShutdownHook(cleanUp);
    try {
      build(entries.model(), model, shapes, tools, options, engine, warnings, progress);
      String layers = layers(tools.tensorRt(), engine);
      options.layers().ifPresent(file -> write(file, layers));
      List<EngineLayers.Copy> copies = EngineLayers.copies(layers);
      progress.stage("complete " + folder);
      copy(plugins.file(), library);
      ObjectNode entry = describe(engine, library, entries, tools, options, shapes, compiler);
      describe(copies, entry.putArray("copies"));
      String engineFile = entry.path("file").asText();
      String pluginFile = entry.path("plugins").path("file").asText();
      long bytes = size(engine);
      move(engine, folder.resolve(engineFile));
      move(library, folder.resolve(pluginFile));
      entries.put(entry, options.dense());
      return new BuiltEngine(
          engineFile,
          pluginFile,
          bytes,
          tools.gpu().toString(),
          tools.tensorRt().version(),
          options.precision(),
          (System.nanoTime() - start) / 1e9,
          usual(shapes),
          copies.stream().map(BuildEngine::text).toList(),
          warnings);
    } finally {
      deleteBoth(engine, library);
      removeHook(cleanUp);
    }
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

  private static void deleteBoth(Path engine, Path library) {
    AtomicFile.deleteQuietly(engine);
    AtomicFile.deleteQuietly(library);
  }

  private static void removeHook(Thread hook) {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The process is stopping: the hook does the work.
    }
  }

  private static void build(
      Path location,
      Model model,
      Map<String, EngineBuilder.Shapes> shapes,
      BuildTools tools,
      EngineOptions options,
      Path file,
      List<String> warnings,
      Progress progress) {
    TensorRt tensorRt = tools.tensorRt();
    Set<String> said = new LinkedHashSet<>();
    progress.stage("start TensorRT " + tensorRt.version());
    try (EngineBuilder builder = tensorRt.newBuilder()) {
      progress.stage("parse " + location);
      parse(builder, model, location, tensorRt.version());
      if (!shapes.isEmpty()) {
        builder.addProfile(shapes);
      }
      builder.configure(
          new EngineBuilder.Settings(
              options.tf32(), true, options.level(), options.auxiliaryStreams(), 0));
      TimingCache cache = new TimingCache(options.timingCache());
      cache.lend(builder);
      builder.build(file, watcher(progress));
      cache.keep(builder).ifPresent(said::add);
    } catch (TensorRtException e) {
      throw new SparsifyException(
          e.reason() == TensorRtException.Reason.TENSORRT
              ? SparsifyException.Kind.NO_GPU
              : SparsifyException.Kind.FAILURE,
          "TensorRT "
              + tensorRt.version()
              + " builds no engine of "
              + location
              + ": "
              + e.getMessage(),
          e);
    } finally {
      for (TensorRt.Message message : tensorRt.takeMessages()) {
        if (message.severity() == System.Logger.Level.WARNING && !isExpected(message.text())) {
          said.add(message.text());
        }
      }
      warnings.addAll(said);
    }
  }

  private static void parse(EngineBuilder builder, Model model, Path location, String version) {
    try {
      builder.parse(direct(OnnxWriter.toBytes(model)), location);
    } catch (TensorRtException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          "TensorRT "
              + version
              + "'s ONNX parser does not take "
              + location
              + ": "
              + e.getMessage()
              + ". Each line begins with the operator and ends with its node. Export the model"
              + " without that operator or attribute, or as standard operators of opset 20 or"
              + " lower; docs/tensorrt.md lists what SparseDiT rewrites for the parser.",
          e);
    }
  }

  /** What TensorRT's parser says of every model with our plugins and 64-bit inputs. */
  private static boolean isExpected(String warning) {
    return warning.contains("not found in plugin node") || warning.contains("has Int64 binding");
  }

  /** Tells of a phase when it begins; on the way TensorRT reports thousands of steps. */
  private static java.util.function.Consumer<EngineBuilder.Stage> watcher(Progress progress) {
    AtomicReference<String> last = new AtomicReference<>("");
    return stage -> {
      String text = "build engine: " + stage.phase();
      if (!text.equals(last.getAndSet(text))) {
        progress.stage(text);
      }
    };
  }

  /** The layers of an engine as TensorRT describes them. */
  private static String layers(TensorRt tensorRt, Path engine) {
    try (Engine loaded = tensorRt.load(engine)) {
      return loaded.layers();
    } catch (TensorRtException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE,
          "TensorRT does not load the engine that it has built: " + e.getMessage(),
          e);
    }
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

  private static ByteBuffer direct(byte[] bytes) {
    return ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
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
