package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.SparsifyException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

/** What a first-time user meets: help, and mistakes on the command line. */
final class HelpTest {
  private static final Pattern OPTION = Pattern.compile("(?<![\\w-])(--[a-z][a-z-]+)");
  private static final Pattern DOCUMENTED = Pattern.compile("(?m)(?<![\\w-])(--[a-z][a-z0-9-]+)");

  @ParameterizedTest
  @ValueSource(strings = {"inspect", "compile", "verify", "bench"})
  void helpOfACommandTeachesByExamplesWhoseOptionsExist(String command) {
    CommandLineRun run = CommandLineRun.of(command, "--help");

    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .contains("Examples:")
        .contains("sparsify-model " + command + " ")
        .contains("Exit codes: 0 ok");
    Set<String> known = new TreeSet<>();
    new CommandLine(new SparsifyModel())
        .getSubcommands()
        .values()
        .forEach(
            sub -> {
              for (OptionSpec option : sub.getCommandSpec().options()) {
                known.add(option.longestName());
              }
            });
    Matcher named = OPTION.matcher(run.out().substring(run.out().indexOf("Examples:")));
    while (named.find()) {
      assertThat(known).contains(named.group(1));
    }
    assertThat(run.out()).doesNotContain("%n").doesNotContain("%%");
  }

  /** {@code docs/command-line.md} has each option, and none that there is not. */
  @Test
  void documentationHasEachOption() throws IOException {
    Set<String> options = new TreeSet<>();
    new CommandLine(new SparsifyModel())
        .getSubcommands()
        .forEach(
            (name, command) ->
                command.getCommandSpec().options().stream()
                    .filter(option -> !name.equals("help") && !option.hidden())
                    .forEach(
                        option -> {
                          options.add(option.longestName());
                          if (option.negatable()) {
                            options.add(option.longestName().replaceFirst("--", "--no-"));
                          }
                        }));
    Set<String> documented = new TreeSet<>();
    Matcher named =
        DOCUMENTED.matcher(Files.readString(Path.of("..", "..", "docs", "command-line.md")));
    while (named.find()) {
      documented.add(named.group(1));
    }

    assertThat(documented).isEqualTo(options);
  }

  /** A command line that is broken at the terminal's edge cannot be copied. */
  @Test
  void examplesFitEightyColumns() {
    CommandLine whole = new CommandLine(new SparsifyModel());
    assertThat(whole.getSubcommands()).isNotEmpty();
    for (CommandLine command : whole.getSubcommands().values()) {
      assertThat(command.getCommandSpec().usageMessage().footer())
          .filteredOn(line -> line.startsWith("  "))
          .allMatch(line -> line.length() <= 80);
    }
    assertThat(whole.getCommandSpec().usageMessage().footer())
        .filteredOn(line -> line.startsWith("  "))
        .hasSizeGreaterThan(5)
        .allMatch(line -> line.length() <= 80);
  }

  @Test
  void helpOfTheWholeNamesEachCommand() {
    CommandLineRun run = CommandLineRun.of("--help");

    assertThat(run.exitCode()).isZero();
    assertThat(run.out()).contains("inspect", "compile", "verify", "Exit codes:", "help compile");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "foo                              | there is no command 'foo'; there are inspect, compile, build, verify",
        "inspect a.onnx b.onnx            | 'b.onnx' is one argument too many for inspect",
        "compile a.onnx -o b --verify all | '--verify': there is no 'all', only full, sites, none",
        "compile a.onnx -o b --weights x  | '--weights': there is no 'x', only link, copy",
        "compile a.onnx -o b --method x   | '--method': there is no 'x', only svg2, adaspa, svg",
        "compile a.onnx                   | Missing required option: '--output=DIR'",
        "inspect                          | MODEL.onnx"
      })
  void mistakesAreUsageErrorsInPlainWords(String arguments, String message) {
    CommandLineRun run = CommandLineRun.of((Object[]) arguments.split(" "));

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains(message).doesNotContain("Exception");
    assertThat(run.out()).isEmpty();
  }

  @Test
  void bundleAndModelInTheWrongOrder() {
    CommandLineRun run =
        CommandLineRun.of("verify", CommandLineRun.zoo("wan21_t2v-ts17-static"), "bundle");

    assertThat(run.exitCode()).isEqualTo(1);
    assertThat(run.err()).contains("is a file, not a bundle's folder").contains("the model last");
  }

  @Test
  void progressIsQuietWhereNobodyWatches() {
    CommandLineRun piped =
        CommandLineRun.of("inspect", CommandLineRun.zoo("wan21_t2v-ts17-static"));
    assertThat(piped.err()).isEmpty();

    CommandLineRun debug =
        CommandLineRun.of("inspect", "--debug", CommandLineRun.zoo("wan21_t2v-ts17-static"));
    assertThat(debug.err()).contains("find attention");
  }

  @Test
  void exitCodesAreThoseOfTheDocumentation() throws IOException {
    String documented = Files.readString(Path.of("..", "..", "docs", "errors.md"));
    String help =
        String.join(
            " ", new CommandLine(new SparsifyModel()).getCommandSpec().usageMessage().footer());
    for (SparsifyException.Kind kind : SparsifyException.Kind.values()) {
      assertThat(documented).contains("\n| " + kind.exitCode() + " | ");
      assertThat(help).contains(" " + kind.exitCode() + " ");
    }
    assertThat(documented).contains("\n| 130, 143 | ");
    assertThat(help).contains("130 or 143");
  }
}
