package io.sparsedit.passes.drawing;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.passes.drawing.LayeredLayout.Edge;
import io.sparsedit.passes.drawing.LayeredLayout.Placed;
import io.sparsedit.passes.drawing.LayeredLayout.Point;
import io.sparsedit.passes.drawing.LayeredLayout.Size;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class LayeredLayoutTest {
  @Test
  void chainStandsInOneColumn() {
    Placed placed =
        LayeredLayout.place(
            List.of(new Size(100, 40), new Size(60, 20), new Size(80, 30)),
            List.of(new Edge(0, 1), new Edge(1, 2)));

    assertThat(placed.corners().stream().map(Point::x)).containsExactly(0.0, 20.0, 10.0);
    assertThat(placed.corners().get(1).y()).isGreaterThan(40);
    assertThat(placed.width()).isEqualTo(100);
  }

  @Test
  void nothingIsNothing() {
    assertThat(LayeredLayout.place(List.of(), List.of()).height()).isZero();
  }

  /** No box overlaps another, no edge enters a box but at its ends, all edges lead downwards. */
  @Test
  void randomGraphsKeepApart() {
    Random random = new Random(7);
    for (int graph = 0; graph < 200; graph++) {
      List<Size> sizes = new ArrayList<>();
      List<Edge> edges = new ArrayList<>();
      int count = 1 + random.nextInt(40);
      for (int i = 0; i < count; i++) {
        sizes.add(new Size(20 + random.nextInt(200), 20 + random.nextInt(80)));
        for (int input = random.nextInt(4); input > 0 && i > 0; input--) {
          edges.add(new Edge(random.nextInt(i), i));
        }
      }

      Placed placed = LayeredLayout.place(sizes, edges);

      for (int i = 0; i < count; i++) {
        Point corner = placed.corners().get(i);
        Size size = sizes.get(i);
        assertThat(corner.x()).isGreaterThanOrEqualTo(-1e-6);
        assertThat(corner.x() + size.width()).isLessThanOrEqualTo(placed.width() + 1e-6);
        assertThat(corner.y() + size.height()).isLessThanOrEqualTo(placed.height() + 1e-6);
        for (int j = 0; j < i; j++) {
          assertThat(apart(corner, size, placed.corners().get(j), sizes.get(j))).isTrue();
        }
      }
      for (int e = 0; e < edges.size(); e++) {
        List<Point> route = placed.routes().get(e);
        for (int p = 1; p < route.size(); p++) {
          assertThat(route.get(p).y()).isGreaterThanOrEqualTo(route.get(p - 1).y());
        }
        for (int p = 0; p + 1 < route.size(); p += 2) {
          assertThat(route.get(p).x()).isEqualTo(route.get(p + 1).x());
          for (int box = 0; box < count; box++) {
            boolean own = box == edges.get(e).from() || box == edges.get(e).to();
            assertThat(own || misses(route.get(p), placed.corners().get(box), sizes.get(box)))
                .isTrue();
          }
        }
      }
    }
  }

  private static boolean apart(Point a, Size sizeOfA, Point b, Size sizeOfB) {
    return a.x() + sizeOfA.width() <= b.x() + 1e-6
        || b.x() + sizeOfB.width() <= a.x() + 1e-6
        || a.y() + sizeOfA.height() <= b.y() + 1e-6
        || b.y() + sizeOfB.height() <= a.y() + 1e-6;
  }

  private static boolean misses(Point point, Point corner, Size size) {
    return point.x() < corner.x()
        || point.x() > corner.x() + size.width()
        || point.y() < corner.y()
        || point.y() > corner.y() + size.height();
  }
}
