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
 * Computes dense attention over very many tokens in parts of its queries.
 *
 * <pre>
 *   before   s = MatMul(q, k)                  q: [B,H,Sq,D]   k: [B,H,D,Sk]   s: [B,H,Sq,Sk]
 *            o = MatMul(Softmax(Add(s, bias)), v)
 *   after    o1 = MatMul(Softmax(Add(MatMul(Slice(q, 0, R), k), bias)), v)
 *            o2 = MatMul(Softmax(Add(MatMul(Slice(q, R, Sq), k), bias)), v)
 *            o = Concat(o1, o2, axis = 2)
 * </pre>
 *
 * A row of the result needs one query alone, so that parts change no number. TensorRT 10.6 makes
 * one kernel of either form, which keeps no scores in memory; but on HunyuanVideo at 720p, 24 heads
 * and 119,056 tokens, its builder had not ended after 90 s with sites whole, and ends after 38 s
 * with parts (patch embedding was another form of the graph then as well). Applies to sites whose
 * sizes the graph fixes.
 */
final class SplitLargeAttention implements Pass<EngineModel> {
  /** Scores of one product: 2^40 bytes as f32. Two Wan 14B blocks at 720p, 2.3e11, stay whole. */
  private static final long MOST_SCORES = 1L << 38;

  /** Parts are multiples of so many queries, but for the last one. */
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
            && split(scores.get(), new Rows(model, scores.get()))) {
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

    long rows() {
      return dims.get(rowAxis());
    }

    long count() {
      return dims.stream().reduce(1L, Math::multiplyExact);
    }
  }

  /** The nodes from the scores to the product with the values, and how operands are cut. */
  private record Rows(EngineModel model, Scores scores) {
    /**
     * Row-wise nodes in the graph's order, the product with the values last; empty if there is
     * anything else, or no softmax.
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
          || rank(end.get().output()) != scores.dims().size()) {
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
      long last = scores.dims().size() - 1L;
      long axis = node.intAttribute("axis", model.model().opset() < 13 ? 1 : -1);
      return (!node.is("Softmax") || axis == -1 || axis == last)
          && model.facts().fixedShape(node.output()).filter(scores.dims()::equals).isPresent()
          && node.presentInputs().stream().allMatch(this::canBeCut);
    }

    private int rank(Value value) {
      return model.facts().shape(value).map(List::size).orElse(0);
    }

    /** Whether it has one row for all, or as many as the scores. */
    private boolean canBeCut(Value operand) {
      int axis = scores.rowAxis() - (scores.dims().size() - rank(operand));
      return model
          .facts()
          .shape(operand)
          .filter(shape -> axis < 0 || shape.get(axis).is(1) || shape.get(axis).is(scores.rows()))
          .isPresent();
    }

    /** The rows of an operand that belong to rows of the scores; all of it where it has no own. */
    Value cut(Emit emit, Value operand, long start, long end) {
      List<Dim> shape = model.facts().shape(operand).orElseThrow();
      int axis = scores.rowAxis() - (scores.dims().size() - shape.size());
      boolean own = axis >= 0 && !shape.get(axis).is(1);
      return own ? emit.slice(operand, axis, start, end) : operand;
    }
  }

  private boolean split(Scores scores, Rows rows) {
    List<Node> nodes = rows.nodes();
    if (nodes.isEmpty()) {
      return false;
    }
    Node last = nodes.get(nodes.size() - 1);
    Emit emit = new Emit(last, rows.model().model().opset());
    long parts = ceilDiv(scores.count(), mostScores);
    long step = ceilDiv(ceilDiv(scores.rows(), parts), GRANULE) * GRANULE;
    if (step >= scores.rows()) {
      return false;
    }
    List<Value> results = new ArrayList<>();
    int made = 0;
    for (long start = 0; start < scores.rows(); start += step) {
      long end = Math.min(start + step, scores.rows());
      Node product = scores.product();
      Map<Value, Value> part = new HashMap<>();
      Value queries = emit.slice(product.requiredInput(0), scores.rowAxis(), start, end);
      Value some = emit.node("MatMul", queries, product.requiredInput(1));
      name(some, last, made++);
      part.put(product.output(), some);
      for (Node node : nodes) {
        Value copy = copy(node, part, rows, emit, start, end);
        name(copy, last, made++);
        part.put(node.output(), copy);
      }
      results.add(part.get(last.output()));
    }
    emit.replace(List.of(emit.concat(scores.rowAxis(), results.toArray(Value[]::new))));
    return true;
  }

  private static long ceilDiv(long dividend, long divisor) {
    return -Math.floorDiv(-dividend, divisor);
  }

  /** The same node for some rows. */
  private static Value copy(
      Node node, Map<Value, Value> part, Rows rows, Emit emit, long start, long end) {
    List<Value> operands = new ArrayList<>();
    for (Value input : node.presentInputs()) {
      Value known = part.get(input);
      if (known != null) {
        operands.add(known);
      } else {
        operands.add(node.is("MatMul") ? input : rows.cut(emit, input, start, end));
      }
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
