package io.sparsedit.cli;

import java.util.Stack;
import java.util.regex.Pattern;
import picocli.CommandLine.IParameterConsumer;
import picocli.CommandLine.MissingParameterException;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** Takes what follows an option of shapes: one argument, and all that Polygraphy's users add. */
final class ShapesConsumer implements IParameterConsumer {
  /** As in {@code x:[1,2,3]}, which is neither an option nor a bundle. */
  private static final Pattern MORE = Pattern.compile(".+:\\[[\\d,\\s]*\\],?");

  @Override
  public void consumeParameters(Stack<String> arguments, ArgSpec option, CommandSpec command) {
    if (arguments.isEmpty()) {
      throw new MissingParameterException(
          command.commandLine(), option, "'" + name(option) + "' needs shapes behind it");
    }
    StringBuilder shapes = new StringBuilder(arguments.pop());
    while (!arguments.isEmpty() && MORE.matcher(arguments.peek()).matches()) {
      shapes.append(' ').append(arguments.pop());
    }
    option.setValue(shapes.toString());
  }

  private static String name(ArgSpec option) {
    return option instanceof OptionSpec spec ? spec.longestName() : option.paramLabel();
  }
}
