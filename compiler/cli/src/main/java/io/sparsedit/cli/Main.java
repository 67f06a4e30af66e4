package io.sparsedit.cli;

import io.sparsedit.compiler.AtomicFile;
import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.onnx.WeightFiles;
import io.sparsedit.passes.Method;
import io.sparsedit.passes.verify.VerifyMode;
import io.sparsedit.runtime.Action;
import io.sparsedit.runtime.Model;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.logging.Level;
import java.util.logging.Logger;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

/** Entry point of {@code sparsify-model}. */
public final class Main {
  /** ONNX Runtime logs what its exceptions say too, with a stack trace; held, for JUL forgets. */
  private static final Logger ONNX_RUNTIME = Logger.getLogger("ai.onnxruntime");

  private Main() {}

  /** Runs the command line and ends the process with its exit code. */
  public static void main(String[] args) {
    // Not System.out, which does not tell what could not be written.
    CheckedOutput output = new CheckedOutput(new FileOutputStream(FileDescriptor.out));
    PrintWriter err = writer(System.err);
    System.exit(run(args, output, err));
  }

  private static PrintWriter writer(OutputStream stream) {
    return new PrintWriter(new OutputStreamWriter(stream, StandardCharsets.UTF_8), true);
  }

  /** Runs the command line; results that cannot be written are a failure. */
  static int run(String[] args, CheckedOutput output, PrintWriter err) {
    PrintWriter out = writer(output);
    int exitCode = run(args, out, err);
    out.flush();
    if (output.failure().isEmpty()) {
      return exitCode;
    }
    err.println(
        "sparsify-model: the output cannot be written: "
            + AtomicFile.reason(output.failure().get()));
    return exitCode == 0 ? SparsifyException.Kind.FAILURE.exitCode() : exitCode;
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
            .setParameterExceptionHandler(Main::reportUsage)
            .registerConverter(Path.class, new PathConverter())
            .registerConverter(Method.class, text -> choice(Method.class, text))
            .registerConverter(VerifyMode.class, text -> choice(VerifyMode.class, text))
            .registerConverter(Model.Target.class, text -> choice(Model.Target.class, text))
            .registerConverter(Action.class, text -> choice(Action.class, text))
            .registerConverter(
                WeightFiles.Mode.class, text -> choice(WeightFiles.Mode.class, text));
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

  /** The constant that a user spells in lower case. */
  private static <E extends Enum<E>> E choice(Class<E> type, String text) {
    List<String> names = new ArrayList<>();
    for (E constant : type.getEnumConstants()) {
      if (constant.name().equalsIgnoreCase(text)) {
        return constant;
      }
      names.add(constant.name().toLowerCase(Locale.ROOT));
    }
    throw new CommandLine.TypeConversionException(
        "there is no '" + text + "', only " + String.join(", ", names));
  }

  /** {@code sparsify-model wan.onnx -o DIR} means {@code sparsify-model compile ...}. */
  private static String[] withDefaultCommand(String[] args) {
    if (args.length > 0 && args[0].toLowerCase(Locale.ROOT).endsWith(".onnx")) {
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

  private static String usage(CommandLine.ParameterException exception) {
    if (exception instanceof CommandLine.UnmatchedArgumentException unmatched
        && !unmatched.isUnknownOption()) {
      String first = unmatched.getUnmatched().get(0);
      CommandSpec command = exception.getCommandLine().getCommandSpec();
      return command.parent() == null
          ? "there is no command '" + first + "'; there are " + SparsifyModel.commands(command)
          : "'" + first + "' is one argument too many for " + command.name();
    }
    return String.valueOf(exception.getMessage());
  }

  private static int reportUsage(CommandLine.ParameterException exception, String[] args) {
    CommandLine failed = exception.getCommandLine();
    PrintWriter err = failed.getErr();
    err.println("sparsify-model: " + usage(exception));
    Arrays.stream(args)
        .filter(arg -> arg.startsWith("-") && new File(arg).exists())
        .findFirst()
        .ifPresent(
            name ->
                err.println(
                    "There is a file '"
                        + name
                        + "', but what begins with '-' is an option: write"
                        + " ./"
                        + name
                        + "."));
    if (!CommandLine.UnmatchedArgumentException.printSuggestions(exception, err)) {
      err.println("See '" + failed.getCommandSpec().qualifiedName() + " --help'.");
    }
    return SparsifyException.Kind.USAGE.exitCode();
  }
}
