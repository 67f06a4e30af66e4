package io.sparsedit.cli;

import java.io.PrintWriter;
import picocli.CommandLine.Option;

/** Options that every command has. */
final class CommonOptions {
  @Option(
      names = {"-q", "--quiet"},
      description = "Print nothing but errors.")
  private boolean quiet;

  @Option(
      names = "--debug",
      description = "Print each stage and stack traces, and check the graph after each pass.")
  private boolean debug;

  boolean quiet() {
    return quiet;
  }

  boolean debug() {
    return debug;
  }

  /** Progress on the error stream: one changing line on a terminal, lines with --debug. */
  ConsoleProgress progress(PrintWriter err) {
    if (quiet) {
      return new ConsoleProgress(err, ConsoleProgress.Style.NONE);
    }
    return new ConsoleProgress(
        err, debug ? ConsoleProgress.Style.LINES : ConsoleProgress.Style.detect());
  }
}
