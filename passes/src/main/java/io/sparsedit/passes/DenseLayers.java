package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Which layers stay dense. A layer is a self- or joint-attention site; the first has index 0.
 *
 * @param ranges the layers that the user named, or empty for what is published for the method and
 *     model: a fraction of the layers, rounded down
 */
public record DenseLayers(Optional<List<Range>> ranges) {
  /** The published rule, {@code first_layers_fp} in SVG's and SVG2's scripts. */
  public static final DenseLayers PUBLISHED = new DenseLayers(Optional.empty());

  public DenseLayers {
    ranges = ranges.map(List::copyOf);
  }

  /**
   * Layers {@code first} to {@code last}.
   *
   * @param first the first layer
   * @param last the last layer, inclusive
   */
  public record Range(int first, int last) {}

  /**
   * The layers that a user spells as {@code 0,3-5}, or {@code none}.
   *
   * @throws SparsifyException if they are spelt otherwise
   */
  public static DenseLayers parse(String spelling) {
    if (spelling.equals("none")) {
      return new DenseLayers(Optional.of(List.of()));
    }
    List<Range> ranges = new ArrayList<>();
    try {
      for (String part : spelling.split(",", -1)) {
        String[] ends = part.trim().split("-", -1);
        int first = Integer.parseInt(ends[0]);
        int last = ends.length == 1 ? first : Integer.parseInt(ends[1]);
        if (ends.length > 2 || first < 0 || last < first) {
          throw SparsifyException.usage(misspelt(spelling));
        }
        ranges.add(new Range(first, last));
      }
    } catch (NumberFormatException e) {
      throw new SparsifyException(SparsifyException.Kind.USAGE, misspelt(spelling), e);
    }
    return new DenseLayers(Optional.of(ranges));
  }

  private static String misspelt(String spelling) {
    return "--dense-layers takes layer numbers such as 0,3-5, or none, not '" + spelling + "'";
  }

  /**
   * Checks that the layers exist.
   *
   * @throws SparsifyException if the user named one past the last
   */
  void requireWithin(int layerCount) {
    for (Range range : ranges.orElse(List.of())) {
      if (range.last() >= layerCount) {
        throw SparsifyException.usage(
            "--dense-layers names layer "
                + range.last()
                + ", but the model has "
                + layerCount
                + " self-attention layers, counted from 0");
      }
    }
  }

  /**
   * Whether the layer stays dense.
   *
   * @param layerCount number of layers of the model
   * @param published the fraction of them that stays dense if the user named none
   */
  boolean contains(int layer, int layerCount, double published) {
    if (ranges.isEmpty()) {
      return layer < (int) (published * layerCount);
    }
    return ranges.get().stream().anyMatch(r -> layer >= r.first() && layer <= r.last());
  }
}
