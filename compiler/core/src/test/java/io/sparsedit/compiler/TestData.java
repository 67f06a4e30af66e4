package io.sparsedit.compiler;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Finds the repository's test data. */
public final class TestData {
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

  /** The model file of a graph of the zoo. */
  public static Path model(String name) {
    return root().resolve("zoo").resolve(name).resolve("model.onnx");
  }

  /**
   * All graphs of the zoo. With {@code -Dsparsedit.zoo=DIR} those of another folder: every graph of
   * the full archive, say.
   */
  public static List<Path> zoo() {
    String other = System.getProperty("sparsedit.zoo", "");
    Path folder = other.isEmpty() ? root().resolve("zoo") : Path.of(other);
    try (Stream<Path> graphs = Files.list(folder)) {
      return graphs.map(g -> g.resolve("model.onnx")).filter(Files::exists).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
