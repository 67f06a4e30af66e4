package io.sparsedit.cli.quality;

import io.sparsedit.compiler.SparsifyException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A series of settings: a curve of the plot.
 *
 * <pre>
 *   SVG2, many clusters: --clusters 32,128 --top-p {.5|.7|.9} --compensate
 * </pre>
 *
 * Behind the name stand options of {@code compile}; each choice in braces makes settings of its
 * own, all combinations of them.
 *
 * @param name the series' name
 * @param settings the options of each setting
 */
public record SweepLine(String name, List<List<String>> settings) {
  private static final Pattern CHOICE = Pattern.compile("\\{([^{}]*)\\}");

  /** Keeps its own copy. */
  public SweepLine {
    settings = settings.stream().map(List::copyOf).toList();
  }

  /**
   * Reads one line.
   *
   * @throws SparsifyException if it has no name or its braces do not match
   */
  public static SweepLine parse(String line) {
    int colon = line.indexOf(':');
    if (colon < 1 || line.substring(0, colon).isBlank()) {
      throw SparsifyException.usage(
          "a line of a sweep is NAME: OPTIONS, such as 'SVG2: --top-p {.5|.9}', not '"
              + line
              + "'");
    }
    List<String> expanded = expand(line.substring(colon + 1).strip());
    if (expanded.stream().anyMatch(options -> options.matches(".*[{}].*"))) {
      throw SparsifyException.usage("braces that do not match in '" + line + "'");
    }
    return new SweepLine(
        line.substring(0, colon).strip(),
        expanded.stream()
            .map(options -> options.isEmpty() ? List.<String>of() : List.of(options.split("\\s+")))
            .toList());
  }

  /** Reads a file's text; empty lines and those that start with {@code #} do not count. */
  public static List<SweepLine> parseAll(String text) {
    return text.lines()
        .map(String::strip)
        .filter(line -> !line.isEmpty() && !line.startsWith("#"))
        .map(SweepLine::parse)
        .toList();
  }

  private static List<String> expand(String options) {
    Matcher choice = CHOICE.matcher(options);
    if (!choice.find()) {
      return List.of(options);
    }
    List<String> expanded = new ArrayList<>();
    for (String one : choice.group(1).split("\\|", -1)) {
      expanded.addAll(
          expand(options.substring(0, choice.start()) + one + options.substring(choice.end())));
    }
    return expanded;
  }
}
