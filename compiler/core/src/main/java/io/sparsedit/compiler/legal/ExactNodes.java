package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/**
 * Which nodes go on in float32 when a graph is converted to floats of 16 bits.
 *
 * <ul>
 *   <li>Reductions, softmax, powers, roots, exponentials, logarithms, sines and cosines, and what
 *       leads to them alone: means of squares, masked and scaled scores.
 *   <li>What is computed before any projection: positions, frequencies, noise levels and their
 *       tables. A projection is a product with constant weights over 16 or more elements, or a
 *       convolution.
 *   <li>Products of activations with tables of more than one axis (rotary embeddings), and what
 *       elementwise operators make of exact values: normalised values, rotated ones.
 * </ul>
 *
 * A sum of an exact and another value is not exact, or else residual streams would be. Products of
 * matrices never are, once tokens take part.
 */
final class ExactNodes {
  private static final Set<String> EXACT =
      Set.of(
          "CumSum",
          "Cos",
          "Exp",
          "InstanceNormalization",
          "GroupNormalization",
          "IsInf",
          "Log",
          "LogSoftmax",
          "LpNormalization",
          "MeanVarianceNormalization",
          "Pow",
          "Range",
          "Reciprocal",
          "ReduceL1",
          "ReduceL2",
          "ReduceLogSum",
          "ReduceLogSumExp",
          "ReduceMean",
          "ReduceProd",
          "ReduceSum",
          "ReduceSumSquare",
          "Sin",
          "Softmax",
          "Softplus",
          "Sqrt");

  private static final Set<String> PRODUCTS =
      Set.of("MatMul", "Gemm", "Einsum", "Conv", "ConvTranspose");

  private static final Set<String> SUMS = Set.of("Add", "Sub", "Sum");

  private static final Set<String> ELEMENTWISE =
      Set.of(
          "Add",
          "Sub",
          "Sum",
          "Mul",
          "Div",
          "Neg",
          "Abs",
          "Max",
          "Min",
          "Clip",
          "Tanh",
          "Sigmoid",
          "Erf",
          "Relu",
          "Gelu",
          "Mod",
          "Floor",
          "Ceil",
          "Round",
          "Where",
          "Identity",
          "IsNaN");

  /** Results are parts of the inputs. */
  private static final Set<String> MOVES =
      Set.of(
          "Cast",
          "Concat",
          "DepthToSpace",
          "Expand",
          "Flatten",
          "Gather",
          "GatherElements",
          "GatherND",
          "Identity",
          "Pad",
          "Reshape",
          "ScatterElements",
          "ScatterND",
          "Slice",
          "SpaceToDepth",
          "Split",
          "Squeeze",
          "Tile",
          "Transpose",
          "Trilu",
          "Unsqueeze");

  private static final int TOKEN_RANK = 3;
  private static final long PROJECTED = 16;
  private static final float LARGEST_HALF = 65504;

  private final ShapeTable facts;
  private final DataType type;
  private final Set<Node> exact = new HashSet<>();

  /** Values that depend on tokens, or on anything behind a projection. */
  private final Set<Value> activations = new HashSet<>();

  /** Values that are exact already where they are computed. */
  private final Set<Value> exactValues = new HashSet<>();

  private ExactNodes(ShapeTable facts, DataType type) {
    this.facts = facts;
    this.type = type;
  }

  /**
   * The nodes of a graph, its subgraphs left out, whose floats stay float32.
   *
   * @param type what the others get
   */
  static Set<Node> of(Graph graph, ShapeTable facts, DataType type) {
    ExactNodes found = new ExactNodes(facts, type);
    for (Value input : graph.inputs()) {
      int rank = facts.shape(input).map(List::size).orElse(TOKEN_RANK);
      if (facts.elementType(input).isFloating() && rank >= TOKEN_RANK) {
        found.activations.add(input);
      }
    }
    List<Node> nodes = graph.nodeList();
    nodes.forEach(found::forward);
    for (int i = nodes.size() - 1; i >= 0; i--) {
      found.backward(nodes.get(i));
    }
    return found.exact;
  }

  private void forward(Node node) {
    boolean dependent = node.presentInputs().stream().anyMatch(activations::contains);
    boolean projects = PRODUCTS.contains(node.opType()) && projects(node);
    if (dependent || projects) {
      activations.addAll(node.outputs());
    }
    if (isExact(node, dependent, projects)) {
      exact.add(node);
      exactValues.addAll(node.outputs());
    }
  }

  private boolean isExact(Node node, boolean dependent, boolean projects) {
    boolean standard = node.domain().isEmpty();
    if (node.domain().equals(Microsoft.DOMAIN) || !node.subgraphs().isEmpty()) {
      return true;
    }
    if (!standard || projects || node.is("LayerNormalization")) {
      return false;
    }
    if (!dependent || EXACT.contains(node.opType()) || hasLargeConstant(node)) {
      return true;
    }
    if (PRODUCTS.contains(node.opType())) {
      return false;
    }
    List<Value> floats = floats(node);
    boolean all = !floats.isEmpty() && floats.stream().allMatch(exactValues::contains);
    boolean any = floats.stream().anyMatch(exactValues::contains);
    if (MOVES.contains(node.opType()) || SUMS.contains(node.opType())) {
      return all;
    }
    return ELEMENTWISE.contains(node.opType())
        && (any || (node.is("Mul") && node.presentInputs().stream().anyMatch(this::isTable)));
  }

  /** What is read by exact nodes alone, and computed element by element, is exact too. */
  private void backward(Node node) {
    boolean elementwise = ELEMENTWISE.contains(node.opType()) && node.domain().isEmpty();
    if (!elementwise
        || exact.contains(node)
        || node.outputs().stream().anyMatch(Value::isGraphOutput)) {
      return;
    }
    boolean read = node.outputs().stream().anyMatch(output -> !output.uses().isEmpty());
    boolean always =
        node.outputs().stream()
            .flatMap(output -> output.uses().stream())
            .allMatch(use -> exact.contains(use.node()));
    if (read && always) {
      exact.add(node);
    }
  }

  /** Inputs that are floats and no constants. */
  private List<Value> floats(Node node) {
    return node.presentInputs().stream()
        .filter(value -> facts.elementType(value) == DataType.FLOAT)
        .filter(value -> !isConstant(value))
        .toList();
  }

  private static boolean isConstant(Value value) {
    return value.constant().isPresent()
        || value.producer().filter(node -> node.is("Constant")).isPresent();
  }

  /** A constant that differs along more than one axis. */
  private boolean isTable(Value value) {
    Optional<List<Dim>> shape = facts.shape(value);
    return isConstant(value)
        && facts.elementType(value) == DataType.FLOAT
        && shape.isPresent()
        && shape.get().stream().filter(dim -> !dim.is(1)).count() > 1;
  }

  /** Whether a product is one with constant weights over enough elements. */
  private boolean projects(Node node) {
    if (node.is("Conv") || node.is("ConvTranspose")) {
      return true;
    }
    if (node.is("Einsum")) {
      return false; // Of weights it is a product of tokens; else of positions and frequencies.
    }
    for (Value input : node.presentInputs()) {
      if (isConstant(input)) {
        List<Dim> shape = facts.shape(input).orElse(List.of());
        if (shape.size() >= 2 && (contracted(node, shape) >= PROJECTED)) {
          return true;
        }
      }
    }
    return false;
  }

  private static long contracted(Node node, List<Dim> weights) {
    boolean turned = node.is("Gemm") && node.intAttribute("transB", 0) != 0;
    OptionalLong size = weights.get(weights.size() - (turned ? 1 : 2)).constant();
    return size.orElse(PROJECTED);
  }

  /** Whether float16 has no room for a constant. */
  private boolean hasLargeConstant(Node node) {
    return type == DataType.FLOAT16
        && node.presentInputs().stream()
            .filter(value -> facts.elementType(value) == DataType.FLOAT)
            .flatMap(value -> facts.constant(value).stream())
            .flatMap(tensor -> tensor.doubles().stream())
            .anyMatch(ExactNodes::isLarge);
  }

  private static boolean isLarge(double[] elements) {
    for (double element : elements) {
      if (Math.abs(element) > LARGEST_HALF && !Double.isInfinite(element)) {
        return true;
      }
    }
    return false;
  }

  /** Whether a tensor fits a type: used before its elements are rounded to it. */
  static boolean fits(Tensor tensor, DataType type) {
    return type != DataType.FLOAT16 || tensor.doubles().filter(ExactNodes::isLarge).isEmpty();
  }
}
