package io.sparsedit.cli.quality;

import io.sparsedit.passes.CompileOptions;
import java.util.List;

/**
 * One setting of one method, to be measured.
 *
 * @param series the curve that it is a point of
 * @param arguments the options that make it, as typed
 * @param options what they and the sweep's own mean to the compiler
 */
public record Candidate(String series, List<String> arguments, CompileOptions options) {
  /** Keeps its own copy. */
  public Candidate {
    arguments = List.copyOf(arguments);
  }

  /** The options in one line. */
  public String settings() {
    return arguments.isEmpty() ? "(defaults)" : String.join(" ", arguments);
  }
}
