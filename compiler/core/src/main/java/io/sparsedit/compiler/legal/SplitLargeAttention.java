package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Computes dense attention over very many tokens in parts of its heads, or of its queries where one
 * head is too much.
 *
 * <pre>
 *   before   s = MatMul(q, k)                  q: [B,H,Sq,D]   k: [B,H,D,Sk]   s: [B,H,Sq,Sk]
 *            o = MatMul(Softmax(Add(s, bias)), v)
 *   after    o1 = MatMul(Softmax(Add(MatMul(q[:,:N], k[:,:N]), bias)), v[:,:N])
 *            o2 = MatMul(Softmax(Add(MatMul(q[:,N:], k[:,N:]), bias)), v[:,N:])
 *            o = Concat(o1, o2, axis = 1)
 * </pre>
 *
 * Heads know nothing of each other, and a row of the result needs one query alone, so that parts
 * change no number. TensorRT 10.6 makes one kernel of each form, which keeps no scores in memory.
 * But its builder does not end with every graph that has such sites whole: with HunyuanVideo's at
 * 720p, 24 heads and 119,056 tokens, it had not after 90 s while patch embedding was a convolution.
 * Heads go first because the kernel for fewer queries than keys is a slower one: a dense step of
 * two blocks takes 668 ms with parts of heads, 1,630 with parts of queries, and 676 with sites
 * whole (H200). Applies to sites whose sizes the graph fixes.
 */
final class SplitLargeAttention implements Pass<EngineModel> {
  /** Scores of one product: 2^40 bytes as f32. Two Wan 14B blocks at 720p, 2.3e11, stay whole. */
  private static final long MOST_SCORES = 1L << 38;

  /** Parts of queries are multiples of so many, but for the last one. */
  private static final long GRANULE = 128;

  /** Operators that make each row of their result of the same row of their operands. */
  private static final Set<String> ROW_WISE =
      Set.of(
          "Add",
          "Cast",
          "Div",
          "Identity",
          "IsNaN",
          "Max",
          "Min",
          "Mul",
          "Neg",
          "Softmax",
          "Sub",
          "Tanh",
          "Where");

  private final long mostScores;

  SplitLargeAttention() {
    this(MOST_SCORES);
  }

  /** Splits attention of more scores than that. */
  SplitLargeAttention(long mostScores) {
    this.mostScores = mostScores;
  }

  @Override
  public String name() {
    return "split large attention";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      // Parts of the attention before have taken the place of some.
      if (node.isAttached() && node.is("MatMul")) {
        Optional<Scores> scores = Scores.of(node, model.facts());
        if (scores.isPresent()
            && scores.get().count() > mostScores
            && scores.get().cuts(mostScores).stream()
                .anyMatch(cut -> split(new Parts(model, scores.get(), cut)))) {
          changed++;
        }
      }
    }
    return changed;
  }

  /**
   * The product of queries and keys.
   *
   * @param product the node
   * @param dims of its result
   */
  private record Scores(Node product, List<Long> dims) {
    /**
     * The product of a node, if the graph fixes its sizes and queries are not spread over heads.
     */
    static Optional<Scores> of(Node node, ShapeTable facts) {
      Optional<List<Long>> dims = facts.fixedShape(node.output());
      Optional<List<Long>> queries = facts.fixedShape(node.requiredInput(0));
      if (dims.isEmpty() || queries.isEmpty() || dims.get().size() < 3) {
        return Optional.empty();
      }
      return queries.get().size() == dims.get().size()
          ? Optional.of(new Scores(node, dims.get()))
          : Optional.empty();
    }

    int rowAxis() {
      return dims.size() - 2;
    }

    long count() {
      return dims.stream().reduce(1L, Math::multiplyExact);
    }

    /** Ways to make parts of at most so many scores, the better first. */
    List<Cut> cuts(long most) {
      List<Cut> cuts = new ArrayList<>();
      int axis = 0;
      for (int other = 1; other < rowAxis(); other++) {
        axis = dims.get(other) > dims.get(axis) ? other : axis;
      }
      long heads = dims.get(axis);
      long atOnce = most / (count() / heads);
      if (atOnce > 0) {
        cuts.add(new Cut(axis, ceilDiv(heads, ceilDiv(heads, atOnce))));
      }
      long rows = ceilDiv(dims.get(rowAxis()), ceilDiv(count(), most));
      cuts.add(new Cut(rowAxis(), ceilDiv(rows, GRANULE) * GRANULE));
      return cuts;
    }
  }

  /**
   * How parts are cut.
   *
   * @param axis of the scores: heads (or whatever else stands in front of the queries), or queries
   * @param step how many there are in a part
   */
  private record Cut(int axis, long step) {}

  /** The nodes from the scores to the product with the values, and how operands are cut. */
  private record Parts(EngineModel model, Scores scores, Cut cut) {
    /**
     * Row-wise nodes in the graph's order, the product with the values last; empty if there is
     * anything else, or no softmax, or something that cannot be cut.
     */
    List<Node> nodes() {
      Graph graph = scores.product().graph();
      Set<Node> reached = new LinkedHashSet<>();
      List<Value> open = new ArrayList<>(List.of(scores.product().output()));
      Optional<Node> end = Optional.empty();
      while (!open.isEmpty()) {
        Value value = open.remove(open.size() - 1);
        if (value.isGraphOutput()) {
          return List.of();
        }
        for (Value.Use use : value.uses()) {
          Node node = use.node();
          boolean weighs = node.is("MatMul") && use.index() == 0;
          boolean known = weighs ? end.isEmpty() || end.get() == node : isRowWise(node);
          if (!known || node.graph() != graph) {
            return List.of();
          }
          if (weighs) {
            end = Optional.of(node);
          } else if (reached.add(node)) {
            open.add(node.output());
          }
        }
      }
      if (end.isEmpty()
          || reached.stream().noneMatch(node -> node.is("Softmax"))
          || rank(end.get().output()) != scores.dims().size()
          || !canBeCut(scores.product())
          || !canBeCut(end.get())) {
        return List.of();
      }
      List<Node> ordered =
          new ArrayList<>(graph.nodeList().stream().filter(reached::contains).toList());
      ordered.add(end.get());
      return ordered;
    }

    private boolean isRowWise(Node node) {
      if (!node.domain().isEmpty() || !ROW_WISE.contains(node.opType())) {
        return false;
      }
      return (!node.is("Softmax") || GuardAfterProduct.isSoftmax(node, model))
          && model.facts().fixedShape(node.output()).filter(scores.dims()::equals).isPresent()
          && canBeCut(node);
    }

    private int rank(Value value) {
      return model.facts().shape(value).map(List::size).orElse(0);
    }

    /** Whether each operand has one of what is cut for all, or as many as the scores. */
    private boolean canBeCut(Node node) {
      for (int i = 0; i < node.inputs().size(); i++) {
        if (!staysWhole(node, i) && !canBeCut(node.requiredInput(i))) {
          return false;
        }
      }
      return true;
    }

    private boolean canBeCut(Value operand) {
      int axis = axisOf(rank(operand));
      return model
          .facts()
          .shape(operand)
          .filter(
              shape ->
                  axis < 0
                      || shape.get(axis).is(1)
                      || shape.get(axis).is(scores.dims().get(cut.axis())))
          .isPresent();
    }

    /** Keys and values, which all queries read. */
    private boolean staysWhole(Node node, int input) {
      return node.is("MatMul") && input == 1 && cut.axis() == scores.rowAxis();
    }

    private int axisOf(int rank) {
      return cut.axis() - (scores.dims().size() - rank);
    }

    /** The part of an operand; all of it where it has no own. */
    Value part(Emit emit, Node node, int input, long start, long end) {
      Value operand = node.requiredInput(input);
      List<Dim> shape = model.facts().shape(operand).orElse(List.of());
      int axis = axisOf(shape.size());
      boolean own = !staysWhole(node, input) && axis >= 0 && !shape.get(axis).is(1);
      return own ? emit.slice(operand, axis, start, end) : operand;
    }
  }

  private static boolean split(Parts parts) {
    List<Node> nodes = parts.nodes();
    Cut cut = parts.cut();
    long count = parts.scores().dims().get(cut.axis());
    if (nodes.isEmpty() || cut.step() >= count) {
      return false;
    }
    Node product = parts.scores().product();
    Node last = nodes.get(nodes.size() - 1);
    Emit emit = new Emit(last, parts.model().model().opset());
    List<Value> results = new ArrayList<>();
    int made = 0;
    for (long start = 0; start < count; start += cut.step()) {
      long end = Math.min(start + cut.step(), count);
      Map<Value, Value> part = new HashMap<>();
      Value some = copy(product, part, parts, emit, start, end);
      name(some, last, made++);
      part.put(product.output(), some);
      for (Node node : nodes) {
        Value copy = copy(node, part, parts, emit, start, end);
        name(copy, last, made++);
        part.put(node.output(), copy);
      }
      results.add(part.get(last.output()));
    }
    emit.replace(List.of(emit.concat(cut.axis(), results.toArray(Value[]::new))));
    return true;
  }

  private static long ceilDiv(long dividend, long divisor) {
    return -Math.floorDiv(-dividend, divisor);
  }

  /** The same node for one part. */
  private static Value copy(
      Node node, Map<Value, Value> part, Parts parts, Emit emit, long start, long end) {
    List<Value> operands = new ArrayList<>();
    for (int i = 0; i < node.inputs().size(); i++) {
      Value known = part.get(node.requiredInput(i));
      operands.add(known != null ? known : parts.part(emit, node, i, start, end));
    }
    Value result = emit.node(node.opType(), operands.toArray(Value[]::new));
    for (Map.Entry<String, Attribute> attribute : node.attributes().entrySet()) {
      Emit.owner(result).setAttribute(attribute.getKey(), attribute.getValue());
    }
    return result;
  }

  /** TensorRT names layers after nodes: parts are named after what they are parts of. */
  private static void name(Value result, Node whole, int number) {
    Node node = Emit.owner(result);
    node.setName(whole.name() + "." + node.opType() + "_" + number);
  }
}
