package io.sparsedit.cli.bench;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.LayerTime;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Groups an engine's layers by the ONNX nodes in them.
 *
 * <p>A node of the bundle's model is known by its operator. A node that is not in it, because the
 * engine was built of another form of the graph, is known by the operator in its name, as exporters
 * write it ({@code /blocks.0/attn1/MatMul_1}).
 */
final class LayerGroups {
  private static final String DOMAIN = "sparsedit";
  private static final String ATTENTION = "BlockSparseAttention";
  private static final String QK_NORM_ROPE = "QkNormRope";

  /** A product of activations with each other rather than with weights, as attention has them. */
  private static final String ACTIVATION_PRODUCT = "ActivationProduct";

  private static final Set<String> ATTENTIONS = Set.of("Softmax", "Attention", ACTIVATION_PRODUCT);
  private static final Set<String> PRODUCTS = Set.of("MatMul", "Gemm", "Einsum");
  private static final Set<String> CONVOLUTIONS = Set.of("Conv", "ConvTranspose");
  private static final Set<String> MOVEMENTS =
      Set.of(
          "Cast",
          "CastLike",
          "Concat",
          "Expand",
          "Flatten",
          "Gather",
          "GatherND",
          "Identity",
          "Pad",
          "Reshape",
          "ScatterND",
          "Shape",
          "Slice",
          "Split",
          "Squeeze",
          "Tile",
          "Transpose",
          "Unsqueeze");
  private static final String GENERATED = "__myl_";
  private static final Pattern OPERATOR = Pattern.compile("([A-Za-z]+)(?:_\\d+)?$");

  private final Map<String, String> operators = new HashMap<>();
  private final Set<String> planners = new HashSet<>();
  private final List<String> sites;

  /**
   * Groups by a bundle.
   *
   * @param graph its model's graph
   * @param sites its sparse sites
   */
  LayerGroups(Graph graph, List<Bundle.Site> sites) {
    this.sites = sites.stream().map(site -> path(site.id()) + ".").toList();
    for (Node node : graph.nodes()) {
      operators.put(node.name(), operator(node));
      if (node.domain().equals(DOMAIN)
          && !node.opType().equals(ATTENTION)
          && !node.opType().equals(QK_NORM_ROPE)) {
        planners.add(node.name());
      }
    }
  }

  private static String operator(Node node) {
    boolean product = PRODUCTS.contains(node.opType());
    return product && node.presentInputs().stream().noneMatch(LayerGroups::isWeight)
        ? ACTIVATION_PRODUCT
        : node.opType();
  }

  /** Whether a value is constant, or made of constants alone as a transposed weight is. */
  private static boolean isWeight(Value value) {
    return value.constant().isPresent()
        || value
            .producer()
            .filter(node -> MOVEMENTS.contains(node.opType()))
            .filter(node -> node.presentInputs().stream().allMatch(LayerGroups::isWeight))
            .isPresent();
  }

  /** Milliseconds of each group in one run. */
  Map<LayerGroup, Double> sum(List<LayerTime> layers) {
    Map<LayerGroup, Double> sums = new EnumMap<>(LayerGroup.class);
    layers.forEach(layer -> sums.merge(of(layer), layer.milliseconds(), Double::sum));
    return sums;
  }

  /** The group of a layer. */
  LayerGroup of(LayerTime layer) {
    List<String> nodes = layer.nodes();
    if (nodes.isEmpty()) {
      if (!operators.containsKey(layer.layer())) {
        return layer.layer().startsWith("Reformatting") ? LayerGroup.COPY : LayerGroup.OTHER;
      }
      nodes = List.of(layer.layer());
    }
    if (nodes.stream().anyMatch(planners::contains)) {
      return LayerGroup.PLANNER;
    }
    Set<String> kinds = new HashSet<>();
    nodes.forEach(node -> kinds.add(operatorOf(node)));
    if (isPointwise(layer.layer())) {
      // TensorRT names the product, too, whose operand such a layer prepares.
      kinds.removeAll(PRODUCTS);
      kinds.remove(ACTIVATION_PRODUCT);
    }
    boolean ofSite = nodes.stream().anyMatch(this::isOfSite);
    if (kinds.contains(ATTENTION)) {
      return LayerGroup.ATTENTION;
    }
    if (kinds.contains(QK_NORM_ROPE)) {
      return LayerGroup.QK_PREPARATION;
    }
    if (kinds.stream().anyMatch(ATTENTIONS::contains)) {
      return ofSite ? LayerGroup.ATTENTION : LayerGroup.OTHER_ATTENTION;
    }
    if (kinds.stream().anyMatch(kind -> PRODUCTS.contains(kind) || CONVOLUTIONS.contains(kind))) {
      return LayerGroup.MATMUL;
    }
    if (MOVEMENTS.containsAll(kinds)) {
      return LayerGroup.COPY;
    }
    return ofSite ? LayerGroup.QK_PREPARATION : LayerGroup.ELEMENTWISE;
  }

  /** Whether TensorRT generated the layer without a product: those with one have {@code Fc}. */
  private static boolean isPointwise(String layer) {
    return layer.startsWith(GENERATED) && !layer.startsWith(GENERATED + "Fc");
  }

  private boolean isOfSite(String node) {
    String path = path(node);
    return sites.stream().anyMatch(path::startsWith);
  }

  private String operatorOf(String node) {
    String known = operators.get(node);
    if (known != null) {
      return known;
    }
    Matcher matcher = OPERATOR.matcher(node);
    return matcher.find() ? matcher.group(1) : node;
  }

  /**
   * A node's name or a site's as one spelling: {@code /blocks.0/attn1/Mul} is blocks.0.attn1.Mul.
   */
  private static String path(String name) {
    String dotted = name.replace('/', '.');
    return dotted.startsWith(".") ? dotted.substring(1) : dotted;
  }
}
