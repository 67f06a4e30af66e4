package io.sparsedit.passes;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/** The exported graphs in {@code testdata/zoo}. */
final class ZooGraphs {
  static final Path ZOO = Path.of("..", "testdata", "zoo");

  private ZooGraphs() {}

  /** Names of all graphs, sorted. */
  static List<String> names() {
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

  /** The model's file; those that are stored compressed are unpacked into the folder. */
  static Path model(String name, Path folder) {
    Path plain = ZOO.resolve(name).resolve("model.onnx");
    if (Files.exists(plain)) {
      return plain;
    }
    Path unpacked = folder.resolve(name + ".onnx");
    try (InputStream in =
        new GZIPInputStream(Files.newInputStream(ZOO.resolve(name).resolve("model.onnx.gz")))) {
      Files.createDirectories(folder);
      if (!Files.exists(unpacked)) {
        Files.copy(in, unpacked);
      }
      return unpacked;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
