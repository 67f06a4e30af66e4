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

  /** Of a line; more nobody waits for. */
  private static final int MOST_SETTINGS = 10_000;

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
    requireFew(line);
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

  /**
   * Reads a file's text; empty lines and those that start with {@code #} do not count.
   *
   * @param file its name, for messages
   * @throws SparsifyException naming the first line that cannot be read
   */
  public static List<SweepLine> parseAll(String file, String text) {
    List<SweepLine> all = new ArrayList<>();
    List<String> lines = text.lines().map(String::strip).toList();
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i);
      if (!line.isEmpty() && !line.startsWith("#")) {
        try {
          all.add(parse(line));
        } catch (SparsifyException e) {
          throw new SparsifyException(e.kind(), file + ":" + (i + 1) + ": " + e.getMessage(), e);
        }
      }
    }
    return all;
  }

  private static void requireFew(String line) {
    double settings = 1;
    for (Matcher choice = CHOICE.matcher(line); choice.find(); ) {
      settings *= choice.group(1).split("\\|", -1).length;
    }
    if (settings > MOST_SETTINGS) {
      throw SparsifyException.usage(
          "the choices in '"
              + line
              + "' make more than "
              + MOST_SETTINGS
              + " settings; leave some out");
    }
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
