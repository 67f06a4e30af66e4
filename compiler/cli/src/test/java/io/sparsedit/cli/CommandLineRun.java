package io.sparsedit.cli;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.Arrays;

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

  /** A zoo graph's model. */
  static Path zoo(String graph) {
    return ZOO.resolve(graph).resolve("model.onnx");
  }
}
