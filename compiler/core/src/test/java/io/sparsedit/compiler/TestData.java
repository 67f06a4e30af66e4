package io.sparsedit.compiler;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/** Finds the repository's test data. */
public final class TestData {
  private static final Comparator<Path> GRAPH_LAST =
      Comparator.comparing((Path file) -> file.endsWith("model.onnx.gz"))
          .thenComparing(file -> file);

  private TestData() {}

  /** The folder {@code testdata} at the root of the repository. */
  public static Path root() {
    for (Path folder = Path.of("").toAbsolutePath(); folder != null; folder = folder.getParent()) {
      if (Files.isDirectory(folder.resolve("testdata/zoo"))) {
        return folder.resolve("testdata");
      }
    }
    throw new IllegalStateException("no testdata/zoo above " + Path.of("").toAbsolutePath());
  }

  /** The model file of a graph of the zoo; its recorded inputs and outputs are beside it. */
  public static Path model(String name) {
    Path folder = root().resolve("zoo").resolve(name);
    Path plain = folder.resolve("model.onnx");
    return Files.exists(plain) ? plain : unpacked(folder);
  }

  /**
   * A copy, under {@code target/}, of a folder whose graph is stored compressed, its weights too.
   */
  private static Path unpacked(Path folder) {
    Path target = Path.of("target", "zoo", String.valueOf(folder.getFileName())).toAbsolutePath();
    Path model = target.resolve("model.onnx");
    if (Files.exists(model)) {
      return model;
    }
    try (Stream<Path> files = Files.walk(folder)) {
      // The graph comes last: where it is, everything is.
      for (Path file : files.filter(Files::isRegularFile).sorted(GRAPH_LAST).toList()) {
        String name = folder.relativize(file).toString();
        Path copy = target.resolve(name.replaceFirst("\\.gz$", ""));
        Files.createDirectories(copy.getParent());
        try (InputStream stored = Files.newInputStream(file);
            InputStream in = name.endsWith(".gz") ? new GZIPInputStream(stored) : stored) {
          Path whole = Files.createTempFile(target, "part", ".tmp");
          Files.copy(in, whole, StandardCopyOption.REPLACE_EXISTING);
          Files.move(whole, copy, StandardCopyOption.REPLACE_EXISTING);
        }
      }
      return model;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * The graphs of the zoo that have recorded inputs and outputs. With {@code -Dsparsedit.zoo=DIR}
   * those of another folder: every graph of the full archive, say.
   */
  public static List<Path> zoo() {
    String other = System.getProperty("sparsedit.zoo", "");
    Path folder = other.isEmpty() ? root().resolve("zoo") : Path.of(other);
    try (Stream<Path> graphs = Files.list(folder)) {
      return graphs
          .filter(graph -> Files.exists(graph.resolve("meta.json")))
          .map(
              graph ->
                  other.isEmpty()
                      ? model(String.valueOf(graph.getFileName()))
                      : graph.resolve("model.onnx"))
          .filter(Files::exists)
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
