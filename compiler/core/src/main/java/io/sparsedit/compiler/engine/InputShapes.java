package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.SparsifyException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * Shapes of inputs by name, as trtexec spells them, {@code latents:2x16x21x90x160,text:2x512x4096},
 * or as Polygraphy does, {@code latents:[2,16,21,90,160] text:[2,512,4096]}.
 *
 * @param dims the dimensions of each input; none for a scalar
 */
public record InputShapes(Map<String, List<Long>> dims) {
  /** Between inputs: a comma or blanks, none within brackets. */
  private static final Pattern SEPARATOR = Pattern.compile("(?:\\s*,\\s*|\\s+)(?![^\\[]*\\])");

  private static final Pattern SIZE_SEPARATOR = Pattern.compile("\\s*[x,]\\s*");
  private static final Pattern PRODUCT = Pattern.compile("(\\d{1,18}(x\\d{1,18})*)?");
  private static final Pattern LIST =
      Pattern.compile("\\[\\s*(\\d{1,18}(\\s*,\\s*\\d{1,18})*)?\\s*\\]");

  /** No shapes. */
  public static final InputShapes NONE = new InputShapes(Map.of());

  /** Keeps its own copy. */
  public InputShapes {
    dims = Map.copyOf(dims);
  }

  /**
   * Reads an option's value.
   *
   * @param option the option's name, for messages
   * @throws SparsifyException if it is spelt wrong
   */
  public static InputShapes parse(String option, String text) {
    Map<String, List<Long>> dims = new LinkedHashMap<>();
    for (String part : SEPARATOR.split(text.strip(), -1)) {
      int colon = part.lastIndexOf(':');
      String name = colon < 0 ? "" : unquoted(part.substring(0, colon).strip());
      String shape = part.substring(colon + 1).strip();
      boolean listed = LIST.matcher(shape).matches();
      if (name.isEmpty() || !(listed || PRODUCT.matcher(shape).matches())) {
        throw SparsifyException.usage(
            option
                + " must be NAME:1x2x3 or NAME:[1,2,3] for each input, with commas between them; is "
                + text);
      }
      String sizes = listed ? shape.substring(1, shape.length() - 1).strip() : shape;
      if (dims.put(name, sizes(sizes)) != null) {
        throw SparsifyException.usage(option + " names " + name + " twice");
      }
      if (dims.getOrDefault(name, List.of()).contains(0L)) {
        throw SparsifyException.usage(option + ": " + part + " has no elements; sizes begin at 1");
      }
    }
    return new InputShapes(dims);
  }

  /** A name without the single quotes that trtexec allows around it. */
  private static String unquoted(String name) {
    boolean quoted = name.length() > 2 && name.startsWith("'") && name.endsWith("'");
    return quoted ? name.substring(1, name.length() - 1) : name;
  }

  private static List<Long> sizes(String text) {
    List<Long> sizes = new ArrayList<>();
    for (String size : text.isEmpty() ? new String[0] : SIZE_SEPARATOR.split(text, -1)) {
      sizes.add(Long.parseLong(size));
    }
    return sizes;
  }

  /** Whether nothing is given. */
  public boolean isEmpty() {
    return dims.isEmpty();
  }

  /** As in {@code 2x16}. */
  static String text(List<Long> dims) {
    return String.join("x", dims.stream().map(String::valueOf).toList());
  }
}
