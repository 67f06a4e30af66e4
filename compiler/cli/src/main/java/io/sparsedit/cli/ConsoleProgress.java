package io.sparsedit.cli;

import io.sparsedit.compiler.Progress;
import java.io.PrintWriter;
import java.util.Locale;

/** Shows the stage of the work and how long the one before took. */
final class ConsoleProgress implements Progress, AutoCloseable {
  /** How progress looks. */
  enum Style {
    /** One line that changes. */
    TERMINAL,
    /** One line a stage. */
    LINES,
    /** Nothing. */
    NONE;

    /** A changing line only where somebody watches: the launcher says whether stderr is a tty. */
    static Style detect() {
      return Boolean.getBoolean("sparsify.terminal") ? TERMINAL : NONE;
    }
  }

  private static final String CLEAR_LINE = "\r\u001b[2K";

  private final PrintWriter err;
  private final Style style;
  private final long start = System.nanoTime();
  private String current = "";

  ConsoleProgress(PrintWriter err, Style style) {
    this.err = err;
    this.style = style;
  }

  @Override
  public void stage(String stage) {
    current = stage;
    switch (style) {
      case TERMINAL -> replace(line(stage));
      case LINES -> err.println(line(stage));
      case NONE -> {}
    }
  }

  @Override
  public void detail(String detail) {
    if (style == Style.TERMINAL) {
      replace(line(current) + ", " + detail);
    }
  }

  private String line(String text) {
    return String.format(Locale.ROOT, "[%5.1f s] %s", (System.nanoTime() - start) / 1e9, text);
  }

  private void replace(String line) {
    err.print(CLEAR_LINE + line);
    err.flush();
  }

  /** Leaves the terminal's line empty for what follows. */
  @Override
  public void close() {
    if (style == Style.TERMINAL) {
      err.print(CLEAR_LINE);
      err.flush();
    }
  }
}
