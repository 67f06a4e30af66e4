package io.sparsedit.runtime;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The command that builds an engine of a bundle, as messages give it: to be pasted into a shell.
 *
 * <pre>
 *   an engine of bf16, for 1 to 2 videos at a time
 *   sparsify-model build wan.sparse --precision bf16 --min-shapes latents:1x16x21x90x160
 *       --opt-shapes latents:2x16x21x90x160 --max-shapes latents:2x16x21x90x160
 * </pre>
 */
final class Rebuild {
  /** The graph's own precision. */
  static final String KEEP = "keep";

  /** What no shell changes. */
  private static final Pattern PLAIN = Pattern.compile("[\\w./:,=+@%-]+");

  private Rebuild() {}

  /**
   * How an engine was built, as far as its entry in the bundle says it.
   *
   * @param dense whether all its sites are dense
   * @param precision what its matrix products compute in, as {@code --precision} spells it
   * @param tf32 whether they may round f32 to TF32
   * @param shapes the range of each of the model's own inputs that has one
   */
  record Options(boolean dense, String precision, boolean tf32, Map<String, Range> shapes) {
    /** Keeps its own copy, in the order of names. */
    Options {
      shapes = new TreeMap<>(shapes);
    }
  }

  /** The shapes of an input that an engine takes. */
  record Range(List<Long> smallest, List<Long> usual, List<Long> largest) {}

  /** The command for a bundle of which nothing was built yet. */
  static String command(Bundle bundle, boolean dense) {
    return String.join(" ", words(bundle, dense));
  }

  /** The command for an engine like one that there is. */
  static String command(Bundle bundle, Bundle.EngineFile engine) {
    Options options = engine.options();
    List<String> words = words(bundle, options.dense());
    if (!options.precision().equals(KEEP)) {
      words.addAll(List.of("--precision", quoted(options.precision())));
    }
    if (options.tf32()) {
      words.add("--allow-tf32");
    }
    if (!options.shapes().isEmpty()) {
      words.addAll(List.of("--min-shapes", shapes(options, Range::smallest)));
      words.addAll(List.of("--opt-shapes", shapes(options, Range::usual)));
      words.addAll(List.of("--max-shapes", shapes(options, Range::largest)));
    }
    return String.join(" ", words);
  }

  private static List<String> words(Bundle bundle, boolean dense) {
    List<String> words =
        new ArrayList<>(List.of("sparsify-model", "build", quoted(bundle.folder().toString())));
    if (dense) {
      words.add("--dense");
    }
    return words;
  }

  private static String shapes(Options options, Function<Range, List<Long>> which) {
    return quoted(
        options.shapes().entrySet().stream()
            .map(
                entry ->
                    entry.getKey()
                        + ":"
                        + which.apply(entry.getValue()).stream()
                            .map(String::valueOf)
                            .collect(Collectors.joining("x")))
            .collect(Collectors.joining(",")));
  }

  private static String quoted(String word) {
    return PLAIN.matcher(word).matches() ? word : "'" + word.replace("'", "'\\''") + "'";
  }
}
