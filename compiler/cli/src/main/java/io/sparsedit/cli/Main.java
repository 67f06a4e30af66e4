package io.sparsedit.cli;

import io.sparsedit.compiler.SparsifyException;
import java.io.OutputStreamWriter;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;
import picocli.CommandLine;

/** Entry point of {@code sparsify-model}. */
public final class Main {
  /** ONNX Runtime logs what its exceptions say too, with a stack trace; held, for JUL forgets. */
  private static final Logger ONNX_RUNTIME = Logger.getLogger("ai.onnxruntime");

  private Main() {}

  /** Runs the command line and ends the process with its exit code. */
  public static void main(String[] args) {
    PrintWriter out = writer(System.out);
    PrintWriter err = writer(System.err);
    System.exit(run(args, out, err));
  }

  private static PrintWriter writer(PrintStream stream) {
    return new PrintWriter(new OutputStreamWriter(stream, StandardCharsets.UTF_8), true);
  }

  /**
   * Runs the command line.
   *
   * @param args its arguments
   * @param out where results go
   * @param err where progress and errors go
   * @return the exit code: 0 ok, 1 failure, 2 usage, 3 out of tolerance, 4 nothing to sparsify, 5
   *     no usable GPU
   */
  static int run(String[] args, PrintWriter out, PrintWriter err) {
    ONNX_RUNTIME.setLevel(Level.OFF);
    CommandLine commandLine =
        new CommandLine(new SparsifyModel())
            .setCaseInsensitiveEnumValuesAllowed(true)
            .setUsageHelpAutoWidth(true)
            .setOut(out)
            .setErr(err)
            .setExecutionExceptionHandler(
                (exception, failed, parsed) -> report(exception, failed, args))
            .setParameterExceptionHandler(Main::reportUsage);
    try {
      return commandLine.execute(withDefaultCommand(args));
    } catch (OutOfMemoryError | StackOverflowError e) {
      err.println(
          "sparsify-model: out of memory ("
              + e.getMessage()
              + "). Give it more with SPARSIFY_JAVA_OPTS=-Xmx8g, or -Xss16m for a deep stack.");
      return SparsifyException.Kind.FAILURE.exitCode();
    }
  }

  /** {@code sparsify-model wan.onnx -o DIR} means {@code sparsify-model compile ...}. */
  private static String[] withDefaultCommand(String[] args) {
    if (args.length > 0 && args[0].endsWith(".onnx")) {
      List<String> all = new ArrayList<>(List.of("compile"));
      all.addAll(Arrays.asList(args));
      return all.toArray(String[]::new);
    }
    return args;
  }

  private static int report(Exception exception, CommandLine failed, String[] args) {
    PrintWriter err = failed.getErr();
    boolean debug = Arrays.asList(args).contains("--debug");
    if (exception instanceof SparsifyException known) {
      err.println("sparsify-model: " + known.getMessage());
      if (debug) {
        known.printStackTrace(err);
      }
      return known.kind().exitCode();
    }
    err.println("sparsify-model: unexpected error: " + exception);
    if (debug) {
      exception.printStackTrace(err);
    } else {
      err.println("This is a fault of SparseDiT. Please run again with --debug and report it.");
    }
    return SparsifyException.Kind.FAILURE.exitCode();
  }

  private static int reportUsage(CommandLine.ParameterException exception, String[] args) {
    CommandLine failed = exception.getCommandLine();
    PrintWriter err = failed.getErr();
    err.println("sparsify-model: " + exception.getMessage());
    if (!CommandLine.UnmatchedArgumentException.printSuggestions(exception, err)) {
      err.println("See '" + failed.getCommandSpec().qualifiedName() + " --help'.");
    }
    return SparsifyException.Kind.USAGE.exitCode();
  }
}
