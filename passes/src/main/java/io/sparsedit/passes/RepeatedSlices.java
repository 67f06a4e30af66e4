package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * Whether a value is the same slice over and over along one of its axes, as a mask is along its
 * queries that was expanded from one row.
 *
 * <pre>
 *   keys [B,1,1,S] -> Expand -> [B,1,S,S]       repeated along axis 2
 *   rows [B,1,S,1] And columns [B,1,1,S]        not
 * </pre>
 *
 * Follows elementwise operators, shape operators and constants; what it does not know it takes for
 * different.
 */
final class RepeatedSlices {
  /** Chains of plumbing are shorter. */
  private static final int MAX_DEPTH = 64;

  private static final Set<String> ELEMENTWISE =
      Set.of(
          "Cast",
          "Identity",
          "Not",
          "Neg",
          "Abs",
          "Exp",
          "Log",
          "IsNaN",
          "Add",
          "Sub",
          "Mul",
          "Div",
          "Pow",
          "Mod",
          "Min",
          "Max",
          "And",
          "Or",
          "Xor",
          "Equal",
          "Less",
          "LessOrEqual",
          "Greater",
          "GreaterOrEqual",
          "Where");

  /** They keep the elements and their order. */
  private static final Set<String> RESHAPING =
      Set.of("Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity");

  private record Axis(Value value, int axis) {}

  private final ValueFacts facts;
  private final UniformValues uniform;
  private final Map<Axis, Boolean> known = new HashMap<>();

  RepeatedSlices(ValueFacts facts) {
    this.facts = facts;
    this.uniform = new UniformValues(facts);
  }

  /** Whether it is known that all slices along the axis are equal. */
  boolean along(Value value, int axis) {
    return along(value, axis, 0);
  }

  private boolean along(Value value, int axis, int depth) {
    Axis key = new Axis(value, axis);
    Boolean before = known.get(key);
    if (before != null) {
      return before;
    }
    boolean found = depth <= MAX_DEPTH && find(value, axis, depth);
    known.put(key, found);
    return found;
  }

  private boolean find(Value value, int axis, int depth) {
    Optional<List<Dim>> shape = facts.shape(value);
    if (shape.isEmpty() || axis < 0 || axis >= shape.get().size()) {
      return false;
    }
    if (shape.get().get(axis).is(1) || uniform.of(value).isPresent()) {
      return true;
    }
    Optional<Tensor> constant = facts.constant(value).or(value::constant);
    if (constant.isPresent()) {
      return ofTensor(constant.get(), axis);
    }
    if (value.producer().isEmpty() || !value.producer().get().domain().isEmpty()) {
      return false;
    }
    Node node = value.producer().get();
    int rank = shape.get().size();
    if (ELEMENTWISE.contains(node.opType())) {
      return node.presentInputs().stream().allMatch(in -> aligned(in, axis, rank, depth));
    }
    if (RESHAPING.contains(node.opType())) {
      return throughReshapes(value, shape.get(), axis, depth);
    }
    Value data = node.inputCount() == 0 ? value : node.requiredInput(0);
    return switch (node.opType()) {
      case "Expand", "CastLike", "Clip" -> aligned(data, axis, rank, depth);
      case "Tile", "Slice" -> along(data, axis, depth + 1);
      case "Transpose" -> along(data, permuted(node, axis, rank), depth + 1);
      case "Concat" ->
          concatAxis(node, rank) != axis
              && node.presentInputs().stream().allMatch(in -> along(in, axis, depth + 1));
      case "Gather" -> throughGather(node, data, axis, depth);
      default -> false;
    };
  }

  /** The same of an input that broadcasts to the rank. */
  private boolean aligned(Value input, int axis, int rank, int depth) {
    Optional<List<Dim>> shape = facts.shape(input);
    if (shape.isEmpty()) {
      return false;
    }
    int own = axis - (rank - shape.get().size());
    return own < 0 || along(input, own, depth + 1);
  }

  /** Upstream of reshapes, the first shape in which the axis is an axis too. */
  private boolean throughReshapes(Value value, List<Dim> shape, int axis, int depth) {
    Value source = value;
    for (int i = 0; i < MAX_DEPTH; i++) {
      Optional<Node> producer = source.producer();
      if (producer.isEmpty()
          || !producer.get().domain().isEmpty()
          || !RESHAPING.contains(producer.get().opType())) {
        return false;
      }
      source = producer.get().requiredInput(0);
      Optional<List<Dim>> from = facts.shape(source);
      if (from.isEmpty()) {
        return false;
      }
      OptionalInt same = AxisMap.same(from.get(), shape, axis);
      if (same.isPresent() && along(source, same.getAsInt(), depth + 1)) {
        return true;
      }
    }
    return false;
  }

  private boolean throughGather(Node node, Value data, int axis, int depth) {
    Optional<List<Dim>> from = facts.shape(data);
    Optional<List<Dim>> indices = facts.shape(node.requiredInput(1));
    if (from.isEmpty() || indices.isEmpty()) {
      return false;
    }
    int gathered = Math.floorMod((int) node.intAttribute("axis", 0), from.get().size());
    int inserted = indices.get().size();
    if (axis < gathered) {
      return along(data, axis, depth + 1);
    }
    return axis >= gathered + inserted
        ? along(data, axis - inserted + 1, depth + 1)
        : along(data, gathered, depth + 1);
  }

  private static int permuted(Node transpose, int axis, int rank) {
    return transpose
        .intsAttribute("perm")
        .map(perm -> perm.get(axis).intValue())
        .orElse(rank - 1 - axis);
  }

  private static int concatAxis(Node concat, int rank) {
    return Math.floorMod((int) concat.intAttribute("axis", 0), rank);
  }

  private static boolean ofTensor(Tensor tensor, int axis) {
    Optional<double[]> elements = tensor.doubles();
    if (elements.isEmpty()) {
      return false;
    }
    long[] dims = tensor.dims();
    int inner = 1;
    for (int i = axis + 1; i < dims.length; i++) {
      inner *= (int) dims[i];
    }
    int stride = inner * (int) dims[axis];
    double[] all = elements.get();
    for (int i = 0; i < all.length; i++) {
      int first = i - i % stride + i % inner;
      if (Double.compare(all[i], all[first]) != 0) {
        return false;
      }
    }
    return true;
  }
}
