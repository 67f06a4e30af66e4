package io.sparsedit.examples;

import io.sparsedit.runtime.SparseDitException;
import io.sparsedit.tensorrt.TensorRtException;
import java.io.IOException;
import java.io.PrintStream;
import java.util.List;
import java.util.function.Function;

/** A program whose arguments are understood. */
interface Program {
  /**
   * Does what the program is for.
   *
   * @return whether the outcome is a good one
   */
  boolean run(PrintStream out) throws IOException;

  /**
   * Runs a program and returns its exit code: 0, 1 for a failure or a bad outcome, 2 for wrong
   * usage.
   *
   * @param reader makes the program of its arguments
   */
  static int run(
      List<String> arguments,
      String usage,
      Function<Arguments, Program> reader,
      PrintStream out,
      PrintStream err) {
    Program program;
    try {
      program = reader.apply(new Arguments(arguments));
    } catch (IllegalArgumentException e) {
      err.println(e.getMessage());
      err.println(usage);
      return 2;
    }
    try {
      return program.run(out) ? 0 : 1;
    } catch (SparseDitException | TensorRtException | IllegalArgumentException | IOException e) {
      err.println(e.getMessage());
      return 1;
    }
  }
}
