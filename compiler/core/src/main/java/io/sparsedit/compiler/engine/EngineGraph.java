package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.Progress;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.legal.AttendDensely;
import io.sparsedit.compiler.legal.Legalisation;
import io.sparsedit.compiler.legal.Precision;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import io.sparsedit.compiler.onnx.WeightFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * The graph that TensorRT gets: SparseDiT's operators call plugins, and the others are such as its
 * ONNX parser knows.
 */
public final class EngineGraph {
  /** The version of the plugins that a graph asks for where no plugin library says so. */
  private static final int PLUGIN_VERSION = 1;

  private EngineGraph() {}

  /**
   * Makes the graph of a portable model, in its place.
   *
   * @param model the model
   * @param plugins the operators that there are plugins for
   * @param version the version of the plugins
   * @param library what messages call the plugin library
   * @param precision what becomes of f32
   */
  static void of(
      Model model, List<String> plugins, int version, String library, Precision precision) {
    CallPlugins.in(model, plugins, version, library);
    OmitNeutralAttributes.in(model.graph());
    Legalisation.apply(model);
    // Between a transposition and a plugin there is no Cast yet.
    PrepareTokenMajor.in(model.graph());
    ReadTokenMajor.in(model.graph());
    Legalisation.convert(model, precision);
  }

  /**
   * Writes the graph of a bundle as ONNX, for programs that build engines themselves. Needs neither
   * TensorRT nor a GPU nor the plugin library.
   *
   * @param folder the bundle
   * @param dense whether all sites are to be dense
   * @param precision what becomes of f32
   * @param file where to; external weights are linked or copied beside it
   * @param progress told of each stage
   * @return the names of the files that were written
   * @throws SparsifyException if the folder is no bundle, or a file cannot be written
   */
  public static List<String> write(
      Path folder, boolean dense, Precision precision, Path file, Progress progress) {
    progress.stage("read " + folder);
    Model model = OnnxReader.read(EngineEntries.read(folder).model());
    if (dense) {
      AttendDensely.in(model);
    }
    Set<String> operators = new TreeSet<>();
    CallPlugins.calls(model.graph()).forEach(node -> operators.add(node.opType()));
    of(model, List.copyOf(operators), PLUGIN_VERSION, "the plugin library", precision);
    progress.stage("write " + file);
    Path target = file.toAbsolutePath().normalize();
    Path parent = Optional.ofNullable(target.getParent()).orElse(target);
    try {
      Files.createDirectories(parent);
    } catch (IOException e) {
      throw new SparsifyException(
          SparsifyException.Kind.FAILURE, parent + ": cannot be made: " + AtomicFile.reason(e), e);
    }
    List<String> files = new ArrayList<>();
    for (WeightFiles.Placed placed : WeightFiles.of(model).placeIn(parent, WeightFiles.Mode.LINK)) {
      files.add(placed.location());
    }
    OnnxWriter.write(model, target);
    files.add(0, String.valueOf(target.getFileName()));
    return files;
  }
}
