package io.sparsedit.cli.bench;

import java.util.List;

/**
 * Measured times.
 *
 * @param milliseconds each of them, ascending
 */
record Times(List<Double> milliseconds) {
  Times {
    if (milliseconds.isEmpty()) {
      throw new IllegalArgumentException("no times");
    }
    milliseconds = milliseconds.stream().sorted().toList();
  }

  double median() {
    return quantile(.5);
  }

  /** The time that a fraction of the runs stays below, between the two nearest of them. */
  double quantile(double fraction) {
    double at = fraction * (milliseconds.size() - 1);
    int below = (int) at;
    int above = Math.min(below + 1, milliseconds.size() - 1);
    double low = milliseconds.get(below);
    return low + (at - below) * (milliseconds.get(above) - low);
  }

  int count() {
    return milliseconds.size();
  }
}
