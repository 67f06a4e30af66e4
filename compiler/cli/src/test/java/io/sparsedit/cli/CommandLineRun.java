package io.sparsedit.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.zip.GZIPInputStream;

/**
 * One run of the command line inside the test's process.
 *
 * @param exitCode its exit code
 * @param out what it printed
 * @param err progress and errors
 */
record CommandLineRun(int exitCode, String out, String err) {
  /** The exported graphs in the repository. */
  static final Path ZOO = Path.of("..", "..", "testdata", "zoo");

  /** Runs {@code sparsify-model} with the arguments. */
  static CommandLineRun of(Object... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    String[] args = Arrays.stream(arguments).map(Object::toString).toArray(String[]::new);
    int exitCode = Main.run(args, new PrintWriter(out), new PrintWriter(err));
    return new CommandLineRun(exitCode, out.toString(), err.toString());
  }

  /** A zoo graph's model; those that are stored compressed are unpacked under {@code target/}. */
  static Path zoo(String graph) {
    Path plain = ZOO.resolve(graph).resolve("model.onnx");
    Path unpacked = Path.of("target", "zoo", graph, "model.onnx");
    if (Files.exists(plain) || Files.exists(unpacked)) {
      return Files.exists(plain) ? plain : unpacked;
    }
    try {
      Files.createDirectories(unpacked.getParent());
      Path weights = unpacked.resolveSibling("model.onnx.data");
      if (Files.exists(ZOO.resolve(graph).resolve("model.onnx.data.gz"))) {
        unpack(ZOO.resolve(graph).resolve("model.onnx.data.gz"), weights);
      }
      return unpack(ZOO.resolve(graph).resolve("model.onnx.gz"), unpacked);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Path unpack(Path stored, Path file) throws IOException {
    try (InputStream in = new GZIPInputStream(Files.newInputStream(stored))) {
      Path whole = Files.createTempFile(file.getParent(), "model", ".tmp");
      Files.copy(in, whole, StandardCopyOption.REPLACE_EXISTING);
      return Files.move(whole, file, StandardCopyOption.REPLACE_EXISTING);
    }
  }
}
