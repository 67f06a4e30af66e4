package io.sparsedit.passes.functions;

import java.util.Locale;

/** Which lanes of a head a rotary position embedding rotates together. */
public enum RopeForm {
  /** Neighbours: 0 with 1, 2 with 3, … */
  INTERLEAVED,
  /** Lane i with lane i + R/2 of R rotated lanes. */
  HALF;

  /** The value of the attribute {@code rope}. */
  public String attributeValue() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The other lane of a lane's pair. */
  public int partner(int lane, int lanes) {
    return switch (this) {
      case INTERLEAVED -> lane ^ 1;
      case HALF -> (lane + lanes / 2) % lanes;
    };
  }
}
