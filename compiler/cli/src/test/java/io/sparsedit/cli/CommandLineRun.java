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
    try (InputStream in =
        new GZIPInputStream(Files.newInputStream(ZOO.resolve(graph).resolve("model.onnx.gz")))) {
      Files.createDirectories(unpacked.getParent());
      Path whole = Files.createTempFile(unpacked.getParent(), "model", ".tmp");
      Files.copy(in, whole, StandardCopyOption.REPLACE_EXISTING);
      return Files.move(whole, unpacked, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
