package io.sparsedit.passes.drawing;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/**
 * Places the boxes of an acyclic graph in layers, from top to bottom, so that boxes do not overlap
 * and no edge runs through one.
 *
 * <p>The method of Sugiyama, Tagawa and Toda (1981): layers by longest path, an edge over several
 * layers is a chain of points of their own, orders within the layers by barycentres. Places within
 * a layer minimise the squared distances from the mean of the neighbours above, then below, under
 * the order and the gaps, solved exactly by pooling adjacent violators (Ayer et al. 1955). The last
 * sweep goes upwards, so that boxes stand above what reads them.
 */
final class LayeredLayout {
  private static final double BOX_GAP = 28;
  private static final double POINT_WIDTH = 10;
  private static final double LAYER_GAP = 44;
  private static final int SWEEPS = 24;

  /** A chain's point holds its place more than a box, so that long edges are straight. */
  private static final double POINT_WEIGHT = 4;

  /** The size of a box. */
  record Size(double width, double height) {}

  /** An edge from the bottom of one box to the top of another, by their numbers. */
  record Edge(int from, int to) {}

  /** A point, y downwards. */
  record Point(double x, double y) {}

  /**
   * A drawing.
   *
   * @param corners upper left corner of each box
   * @param routes for each edge its points; straight down between the first and second, third and
   *     fourth and so on where they are in one layer
   * @param width of everything
   * @param height of everything
   */
  record Placed(List<Point> corners, List<List<Point>> routes, double width, double height) {}

  /** A box, or a point of a long edge. */
  private static final class Item {
    final double width;
    final double height;
    final int layer;
    final boolean isPoint;
    final List<Item> above = new ArrayList<>();
    final List<Item> below = new ArrayList<>();
    double rank;
    double centre;
    double top;

    Item(double width, double height, int layer, boolean isPoint) {
      this.width = width;
      this.height = height;
      this.layer = layer;
      this.isPoint = isPoint;
    }
  }

  private final List<Edge> edges;
  private final List<Item> boxes = new ArrayList<>();
  private final List<List<Item>> chains = new ArrayList<>();
  private final List<List<Item>> layers = new ArrayList<>();

  private LayeredLayout(List<Size> sizes, List<Edge> edges) {
    this.edges = edges;
    int[] layerOf = layersOf(sizes.size(), edges);
    for (int i = 0; i < sizes.size(); i++) {
      boxes.add(add(new Item(sizes.get(i).width(), sizes.get(i).height(), layerOf[i], false)));
    }
    for (Edge edge : edges) {
      List<Item> chain = new ArrayList<>();
      chain.add(boxes.get(edge.from()));
      for (int layer = layerOf[edge.from()] + 1; layer < layerOf[edge.to()]; layer++) {
        chain.add(add(new Item(POINT_WIDTH, 0, layer, true)));
      }
      chain.add(boxes.get(edge.to()));
      for (int i = 1; i < chain.size(); i++) {
        chain.get(i - 1).below.add(chain.get(i));
        chain.get(i).above.add(chain.get(i - 1));
      }
      chains.add(chain);
    }
  }

  /**
   * Places boxes.
   *
   * @param sizes of the boxes; an edge leads from a box to a later one
   */
  static Placed place(List<Size> sizes, List<Edge> edges) {
    LayeredLayout layout = new LayeredLayout(sizes, edges);
    layout.order();
    layout.placeAcross();
    return layout.placed();
  }

  private Item add(Item item) {
    while (layers.size() <= item.layer) {
      layers.add(new ArrayList<>());
    }
    layers.get(item.layer).add(item);
    return item;
  }

  /** As low as what reads a box allows; what nothing reads, just below what it reads. */
  private static int[] layersOf(int count, List<Edge> edges) {
    int[] fromBottom = new int[count];
    boolean[] isRead = new boolean[count];
    for (int i = count - 1; i >= 0; i--) {
      for (Edge edge : edges) {
        if (edge.from() == i) {
          fromBottom[i] = Math.max(fromBottom[i], fromBottom[edge.to()] + 1);
          isRead[i] = true;
        }
      }
    }
    int deepest = Arrays.stream(fromBottom).max().orElse(0);
    int[] layers = new int[count];
    for (int i = 0; i < count; i++) {
      layers[i] = deepest - fromBottom[i];
      int highest = -1;
      for (Edge edge : edges) {
        if (edge.to() == i) {
          highest = Math.max(highest, layers[edge.from()]);
        }
      }
      if (!isRead[i] && highest >= 0) {
        layers[i] = highest + 1;
      }
    }
    return layers;
  }

  // ---- order within the layers ------------------------------------------------------------------

  private void order() {
    number();
    List<List<Item>> best = copy();
    int fewest = crossings();
    for (int sweep = 0; sweep < SWEEPS && fewest > 0; sweep++) {
      boolean down = sweep % 2 == 0;
      for (int i = 0; i < layers.size(); i++) {
        List<Item> layer = layers.get(down ? i : layers.size() - 1 - i);
        layer.sort(Comparator.comparingDouble(item -> barycentre(item, down)));
        number();
      }
      int now = crossings();
      if (now < fewest) {
        fewest = now;
        best = copy();
      }
    }
    layers.clear();
    layers.addAll(best);
    number();
  }

  private static double barycentre(Item item, boolean down) {
    List<Item> neighbours = down ? item.above : item.below;
    return neighbours.stream().mapToDouble(n -> n.rank).average().orElse(item.rank);
  }

  private void number() {
    for (List<Item> layer : layers) {
      for (int i = 0; i < layer.size(); i++) {
        layer.get(i).rank = (i + 0.5) / layer.size();
      }
    }
  }

  private List<List<Item>> copy() {
    List<List<Item>> copy = new ArrayList<>();
    layers.forEach(layer -> copy.add(new ArrayList<>(layer)));
    return copy;
  }

  private int crossings() {
    int crossings = 0;
    for (List<Item> layer : layers) {
      List<double[]> steps = new ArrayList<>();
      for (Item item : layer) {
        item.below.forEach(next -> steps.add(new double[] {item.rank, next.rank}));
      }
      for (int i = 0; i < steps.size(); i++) {
        for (int j = 0; j < i; j++) {
          double above = steps.get(i)[0] - steps.get(j)[0];
          double below = steps.get(i)[1] - steps.get(j)[1];
          crossings += above * below < 0 ? 1 : 0;
        }
      }
    }
    return crossings;
  }

  // ---- places -----------------------------------------------------------------------------------

  private void placeAcross() {
    for (List<Item> layer : layers) {
      double x = 0;
      for (Item item : layer) {
        item.centre = x + item.width / 2;
        x += item.width + BOX_GAP;
      }
    }
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
      for (int i = 0; i < layers.size(); i++) {
        boolean down = sweep % 2 == 0;
        place(layers.get(down ? i : layers.size() - 1 - i), down);
      }
    }
    double left = Double.POSITIVE_INFINITY;
    for (List<Item> layer : layers) {
      for (Item item : layer) {
        left = Math.min(left, item.centre - item.width / 2);
      }
    }
    double y = 0;
    for (List<Item> layer : layers) {
      for (Item item : layer) {
        item.centre -= left;
        item.top = y;
      }
      y += heightOf(layer) + LAYER_GAP;
    }
  }

  private static double heightOf(List<Item> layer) {
    return layer.stream().mapToDouble(item -> item.height).max().orElse(0);
  }

  /** Nearest to the mean of the neighbours above or below, in order and with gaps. */
  private static void place(List<Item> layer, boolean down) {
    double[] offsets = new double[layer.size()];
    List<double[]> pools = new ArrayList<>();
    for (int i = 0; i < layer.size(); i++) {
      Item item = layer.get(i);
      if (i > 0) {
        Item before = layer.get(i - 1);
        offsets[i] = offsets[i - 1] + (before.width + item.width) / 2 + BOX_GAP;
      }
      List<Item> neighbours = down ? item.above : item.below;
      double wanted =
          neighbours.stream().mapToDouble(n -> n.centre).average().orElse(item.centre) - offsets[i];
      double weight = item.isPoint ? POINT_WEIGHT : 1;
      // A pool: sum of wants, sum of weights, number of items.
      pools.add(new double[] {wanted * weight, weight, 1});
      while (pools.size() > 1 && mean(pools.get(pools.size() - 2)) > mean(last(pools))) {
        double[] right = pools.remove(pools.size() - 1);
        double[] left = last(pools);
        for (int part = 0; part < left.length; part++) {
          left[part] += right[part];
        }
      }
    }
    int next = 0;
    for (double[] pool : pools) {
      for (int i = 0; i < (int) pool[2]; i++, next++) {
        layer.get(next).centre = mean(pool) + offsets[next];
      }
    }
  }

  private static double[] last(List<double[]> pools) {
    return pools.get(pools.size() - 1);
  }

  private static double mean(double[] pool) {
    return pool[0] / pool[1];
  }

  // ---- result -----------------------------------------------------------------------------------

  private Placed placed() {
    List<Point> corners = new ArrayList<>();
    double width = 0;
    for (List<Item> layer : layers) {
      for (Item item : layer) {
        width = Math.max(width, item.centre + item.width / 2);
      }
    }
    for (Item box : boxes) {
      corners.add(new Point(box.centre - box.width / 2, box.top));
    }
    List<List<Point>> routes = new ArrayList<>();
    for (int i = 0; i < edges.size(); i++) {
      routes.add(route(i));
    }
    double height = 0;
    for (List<Item> layer : layers) {
      height = Math.max(height, layer.isEmpty() ? 0 : layer.get(0).top + heightOf(layer));
    }
    return new Placed(List.copyOf(corners), Collections.unmodifiableList(routes), width, height);
  }

  private List<Point> route(int edge) {
    List<Item> chain = chains.get(edge);
    Item from = chain.get(0);
    Item to = chain.get(chain.size() - 1);
    List<Point> points = new ArrayList<>();
    points.add(new Point(from.centre, from.top + from.height));
    points.add(new Point(from.centre, from.top + heightOf(layers.get(from.layer))));
    for (Item point : chain.subList(1, chain.size() - 1)) {
      points.add(new Point(point.centre, point.top));
      points.add(new Point(point.centre, point.top + heightOf(layers.get(point.layer))));
    }
    points.add(new Point(entry(edge, to), to.top));
    return points;
  }

  /** Where an edge enters the top of its box: spread in the order in which edges arrive. */
  private double entry(int edge, Item to) {
    List<Integer> arriving = new ArrayList<>();
    for (int i = 0; i < edges.size(); i++) {
      if (edges.get(i).to() == edges.get(edge).to()) {
        arriving.add(i);
      }
    }
    arriving.sort(
        Comparator.comparingDouble(i -> chains.get(i).get(chains.get(i).size() - 2).centre));
    double part = (arriving.indexOf(edge) + 1.0) / (arriving.size() + 1);
    return to.centre + (part - 0.5) * to.width;
  }
}
