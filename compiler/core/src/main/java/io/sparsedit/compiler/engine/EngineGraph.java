package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.bundle.BundleFolder;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.legal.AttendDensely;
import io.sparsedit.compiler.legal.DenseAttention;
import io.sparsedit.compiler.legal.DenseSites;
import io.sparsedit.compiler.legal.Legalisation;
import io.sparsedit.compiler.legal.PadHeadDimension;
import io.sparsedit.compiler.legal.Precision;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.tensorrt.EngineBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * The graph that TensorRT gets: SparseDiT's operators call plugins, and the others are such as its
 * ONNX parser knows.
 */
public final class EngineGraph {
  /** The version of the plugins that a graph asks for where no plugin library says so. */
  private static final int PLUGIN_VERSION = 1;

  private static final int NO_GPU = 0;

  private EngineGraph() {}

  /**
   * Makes the graph of a portable model, in its place.
   *
   * @param model the model
   * @param plugins the operators that there are plugins for
   * @param version the version of the plugins
   * @param library what messages call the plugin library
   * @param precision what becomes of f32
   * @param attention who computes attention that is left dense; of a dense model TensorRT
   * @return the names of what calls a plugin instead of being left dense
   */
  static List<String> of(
      Model model,
      List<String> plugins,
      int version,
      String library,
      Precision precision,
      Optional<DenseSites> attention) {
    PadHeadDimension.in(model);
    CallPlugins.in(model, plugins, version, library);
    OmitNeutralAttributes.in(model.graph());
    List<Node> sites = CallPlugins.calls(model.graph());
    Legalisation.apply(model, attention);
    List<String> added =
        CallPlugins.calls(model.graph()).stream()
            .filter(node -> !sites.contains(node))
            .map(Node::name)
            .toList();
    // Between a transposition and a plugin there is no Cast yet.
    PrepareTokenMajor.in(model.graph());
    ReadTokenMajor.in(model.graph());
    Legalisation.convert(model, precision);
    ProjectApart.in(model);
    return added;
  }

  /**
   * Writes the graph of a bundle as ONNX, for programs that build engines themselves. Needs neither
   * TensorRT nor a GPU nor the plugin library.
   *
   * @param folder the bundle
   * @param dense whether all sites are to be dense
   * @param precision what becomes of f32
   * @param attention who computes attention that is left dense; TensorRT, if that depends on the
   *     GPU
   * @param range the sizes that its engine is to take; none: they are left open
   * @param file where to; external weights are linked or copied beside it
   * @param progress told of each stage
   * @throws SparsifyException if the folder is no bundle, the sizes do not fit, a file cannot be
   *     written, or another model's weights stand where these belong
   */
  public static Export write(
      Path folder,
      boolean dense,
      Precision precision,
      DenseAttention attention,
      InputRange range,
      Path file,
      Progress progress) {
    progress.stage("read " + folder);
    EngineEntries entries = EngineEntries.read(folder);
    Path target = file.toAbsolutePath().normalize();
    Path parent = Optional.ofNullable(target.getParent()).orElse(target);
    BundleFolder.requireOutside(folder, file);
    if (Files.isDirectory(target) || AtomicFile.isDevice(target)) {
      throw SparsifyException.usage(
          file
              + (Files.isDirectory(target) ? " is a folder" : " is no regular file")
              + "; name a file");
    }
    Model model = OnnxReader.read(entries.model());
    if (dense) {
      AttendDensely.in(model);
    }
    Set<String> operators = new TreeSet<>();
    CallPlugins.calls(model.graph()).forEach(node -> operators.add(node.opType()));
    Optional<DenseSites> sites =
        dense ? Optional.empty() : attention.sites(NO_GPU, precision, PLUGIN_VERSION);
    List<String> added =
        of(model, List.copyOf(operators), PLUGIN_VERSION, "the plugin library", precision, sites);
    Map<String, EngineBuilder.Shapes> shapes =
        range.isEmpty() ? Map.of() : ShapeProfile.of(model.graph(), range);
    progress.stage("write " + file);
    WeightFiles weights = WeightFiles.of(model);
    Optional<Path> obstacle = weights.obstacleIn(parent);
    if (obstacle.isPresent()) {
      throw SparsifyException.failure(
          obstacle.get()
              + " is not the weights of "
              + folder
              + ", which "
              + target.getFileName()
              + " would need under that name; name a file in another folder");
    }
    try {
      Files.createDirectories(parent);
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, parent + ": cannot be made: " + AtomicFile.reason(e), e);
    }
    List<String> files = new ArrayList<>();
    for (WeightFiles.Placed placed : weights.placeIn(parent, WeightFiles.Mode.LINK)) {
      files.add(placed.location());
    }
    OnnxWriter.write(model, target);
    files.add(0, String.valueOf(target.getFileName()));
    return new Export(
        files, added, shapes, range.isEmpty() ? ShapeProfile.open(model.graph()) : List.of());
  }

  /**
   * What was written.
   *
   * @param files the names of the files, the model first
   * @param dense attention that is left dense and calls SparseDiT's plugin
   * @param shapes the sizes of every dynamic input, the state's too
   * @param open the inputs whose sizes are left open, as in {@code latents [batch, 16]}, without
   *     those that follow from others
   */
  public record Export(
      List<String> files,
      List<String> dense,
      Map<String, EngineBuilder.Shapes> shapes,
      List<String> open) {
    /** Keeps its own copies. */
    public Export {
      files = List.copyOf(files);
      dense = List.copyOf(dense);
      shapes = Collections.unmodifiableMap(new TreeMap<>(shapes));
      open = List.copyOf(open);
    }

    /** The sizes as trtexec spells them; none for a model of fixed shapes. */
    public List<String> trtexecOptions() {
      return shapes.isEmpty()
          ? List.of()
          : List.of(
              "--minShapes=" + text(EngineBuilder.Shapes::smallest),
              "--optShapes=" + text(EngineBuilder.Shapes::usual),
              "--maxShapes=" + text(EngineBuilder.Shapes::largest));
    }

    private String text(Function<EngineBuilder.Shapes, List<Long>> which) {
      return String.join(
          ",",
          shapes.entrySet().stream()
              .map(input -> input.getKey() + ":" + InputShapes.text(which.apply(input.getValue())))
              .toList());
    }
  }
}
