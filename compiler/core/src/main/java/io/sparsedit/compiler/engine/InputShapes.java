package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.SparsifyException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Shapes of inputs by name, as trtexec spells them: {@code latents:2x16x21x90x160,text:2x512x4096}.
 *
 * @param dims the dimensions of each input; none for a scalar
 */
public record InputShapes(Map<String, List<Long>> dims) {
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
    for (String part : text.split(",", -1)) {
      int colon = part.lastIndexOf(':');
      String name = colon < 0 ? "" : part.substring(0, colon).strip();
      String shape = part.substring(colon + 1).strip();
      if (name.isEmpty() || !shape.matches("(\\d{1,18}(x\\d{1,18})*)?")) {
        throw SparsifyException.usage(
            option + " must be NAME:1x2x3 for each input, with commas between them; is " + text);
      }
      List<Long> sizes = new ArrayList<>();
      for (String size : shape.isEmpty() ? new String[0] : shape.split("x", -1)) {
        sizes.add(Long.parseLong(size));
      }
      if (dims.put(name, sizes) != null) {
        throw SparsifyException.usage(option + " names " + name + " twice");
      }
    }
    return new InputShapes(dims);
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
