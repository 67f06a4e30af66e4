package io.sparsedit.cli.quality;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * A series that was measured.
 *
 * @param name its name
 * @param points its settings
 */
record Curve(String name, List<Point> points) {
  Curve {
    points = List.copyOf(points);
  }

  /**
   * A setting.
   *
   * @param settings its options
   * @param runs its samples
   * @param mean over the samples
   */
  record Point(String settings, List<Measurement> runs, Mean mean) {
    Point {
      runs = List.copyOf(runs);
    }
  }

  /** Whether it is there to compare with: on no front, drawn in grey. */
  boolean isReference() {
    return points.stream().allMatch(p -> p.settings().matches(".*--method (oracle|random)\\b.*"));
  }

  /** The points from sparse to dense. */
  List<Point> byDensity() {
    return points.stream().sorted(Comparator.comparingDouble(p -> p.mean().density())).toList();
  }

  /** The Pareto front: no other point has less density and as much PSNR. */
  static List<Point> front(List<Curve> curves) {
    List<Point> all =
        curves.stream()
            .filter(curve -> !curve.isReference())
            .flatMap(curve -> curve.points().stream())
            .filter(point -> !Double.isNaN(point.mean().density()))
            .sorted(
                Comparator.<Point>comparingDouble(p -> p.mean().density())
                    .thenComparing(p -> -p.mean().psnr()))
            .toList();
    List<Point> front = new ArrayList<>();
    double best = Double.NEGATIVE_INFINITY;
    for (Point point : all) {
      if (point.mean().psnr() > best) {
        front.add(point);
        best = point.mean().psnr();
      }
    }
    return front;
  }
}
