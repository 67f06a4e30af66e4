package io.sparsedit.passes.functions;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** Which key clusters a query cluster of SVG2 keeps, beside the least number of them. */
public sealed interface Selection {
  /**
   * By mass, as published: the fewest clusters whose mass exceeds a threshold.
   *
   * @param topP attention mass, above 0; from 1 on everything is kept
   */
  record TopP(float topP) implements Selection {
    public TopP {
      if (!(topP > 0)) {
        throw new IllegalArgumentException("top-p is above 0, not " + topP);
      }
    }
  }

  /**
   * By a budget: the best clusters until they have a part of the (query, key) pairs.
   *
   * @param density that part, above 0; from 1 on everything is kept
   * @param ranking which clusters are the best
   */
  record Budget(float density, Ranking ranking) implements Selection {
    public Budget {
      if (!(density > 0)) {
        throw new IllegalArgumentException("density is above 0, not " + density);
      }
    }
  }

  /** What a budget goes to first. */
  enum Ranking {
    /** To each query cluster its part: key clusters with the most mass. */
    MASS,
    /** To a head's pairs of clusters with the most mass for each key token. */
    MASS_PER_TOKEN;

    /** The value of the {@code ranking} attribute, and the name on the command line. */
    public String label() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** The ranking of a name. */
    public static Optional<Ranking> of(String label) {
      return Arrays.stream(values()).filter(ranking -> ranking.label().equals(label)).findFirst();
    }
  }
}
