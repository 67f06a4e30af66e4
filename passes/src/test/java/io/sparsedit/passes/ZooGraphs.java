package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.onnx.OnnxWriter;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/** The exported graphs in {@code testdata/zoo}. */
public final class ZooGraphs {
  public static final Path ZOO = Path.of("..", "testdata", "zoo");

  private ZooGraphs() {}

  /** Names of all graphs, sorted. */
  public static List<String> names() {
    try (Stream<Path> entries = Files.list(ZOO)) {
      return entries
          .filter(Files::isDirectory)
          .map(path -> String.valueOf(path.getFileName()))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The same with numbers for weights: the repository keeps some graphs with zeros. */
  static Path weighted(String name, Path folder) {
    Model model = OnnxReader.read(model(name, folder));
    Random random = new Random(1);
    for (Value weights : List.copyOf(model.graph().initializers())) {
      Tensor tensor = weights.constant().orElseThrow();
      if (tensor.type() == DataType.FLOAT && tensor.rank() > 1 && isZero(tensor)) {
        float[] elements = new float[(int) tensor.elementCount()];
        for (int i = 0; i < elements.length; i++) {
          elements[i] = 0.15f * (float) random.nextGaussian();
        }
        Value filled =
            model.graph().addConstant("filled", Tensor.ofFloats(tensor.dims(), elements));
        weights.replaceAllUsesWith(filled);
        model.graph().removeInitializer(weights);
      }
    }
    Path file = folder.resolve(name + ".weighted.onnx");
    OnnxWriter.write(model, file);
    return file;
  }

  private static boolean isZero(Tensor tensor) {
    return tensor.doubles().map(all -> Arrays.stream(all).allMatch(x -> x == 0)).orElse(false);
  }

  /**
   * The model's file; those that are stored compressed are unpacked into the folder, one with
   * weights of its own into a folder in it, so that its weights stay beside it.
   */
  public static Path model(String name, Path folder) {
    Path plain = ZOO.resolve(name).resolve("model.onnx");
    if (Files.exists(plain)) {
      return plain;
    }
    Path weights = ZOO.resolve(name).resolve("model.onnx.data.gz");
    if (Files.exists(weights)) {
      Path own = folder.resolve(name);
      unpack(weights, own.resolve("model.onnx.data"));
      return unpack(ZOO.resolve(name).resolve("model.onnx.gz"), own.resolve("model.onnx"));
    }
    return unpack(ZOO.resolve(name).resolve("model.onnx.gz"), folder.resolve(name + ".onnx"));
  }

  private static Path unpack(Path stored, Path file) {
    try (InputStream in = new GZIPInputStream(Files.newInputStream(stored))) {
      Files.createDirectories(file.getParent());
      if (!Files.exists(file)) {
        Files.copy(in, file);
      }
      return file;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
