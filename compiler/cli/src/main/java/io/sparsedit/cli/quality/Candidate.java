package io.sparsedit.cli.quality;

import io.sparsedit.passes.CompileOptions;
import java.util.List;
import java.util.OptionalDouble;

/**
 * One setting of one method, to be measured.
 *
 * @param series the curve that it is a point of
 * @param arguments the options that make it, as typed
 * @param options what they mean to the compiler
 * @param denseWarmup fraction of the steps that runs dense first, where it differs from the sweep's
 * @param alwaysCold whether every plan is made from nothing, as if it were the first
 */
public record Candidate(
    String series,
    List<String> arguments,
    CompileOptions options,
    OptionalDouble denseWarmup,
    boolean alwaysCold) {
  /** Keeps its own copy. */
  public Candidate {
    arguments = List.copyOf(arguments);
  }

  /** The options in one line. */
  public String settings() {
    return arguments.isEmpty() ? "(defaults)" : String.join(" ", arguments);
  }
}
