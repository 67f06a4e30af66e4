package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import io.sparsedit.passes.functions.SparseOps;
import java.util.List;
import java.util.Optional;

/**
 * A site's mask as a bias of each key, where it is one.
 *
 * <pre>
 *   boolean   mask [B,1,1,S]      key_bias = Where(mask, 0, -inf)
 *   additive  mask [B,1,S,S],     key_bias = Cast(Slice(mask, one row), float32)
 *             all rows the same
 *   either    fewer batches       key_bias = Expand(key_bias, [B,1,1,S])
 * </pre>
 *
 * The mask may differ from one element of the batch to the next, not from head to head nor from
 * query to query, unless it is one of pairs ({@link PairMask}).
 */
final class KeyMask {
  private static final int RANK = 4;
  private static final int BATCH_AXIS = 0;
  private static final int HEAD_AXIS = 1;
  private static final int QUERY_AXIS = 2;
  private static final int KEY_AXIS = 3;

  /** What the canonical node says of a boolean mask that is true where keys are dropped. */
  private static final String DROP = "drop";

  private final Site site;
  private final Value mask;
  private final ValueFacts facts;

  private final boolean drops;

  private KeyMask(Site site, Value mask, boolean drops, ValueFacts facts) {
    this.site = site;
    this.mask = mask;
    this.drops = drops;
    this.facts = facts;
  }

  /** The mask of a site, if it has one; that of the keys, if it is one of pairs. */
  static Optional<KeyMask> of(Site site, ValueFacts facts) {
    return PairMask.of(site, facts)
        .map(pair -> new KeyMask(site, pair.columns(), false, facts))
        .or(
            () ->
                site.mask()
                    .map(
                        mask ->
                            new KeyMask(
                                site,
                                mask,
                                site.attention().stringAttribute("mask_kind", "").equals(DROP),
                                facts)));
  }

  /** Equal for masks whose biases are the same. */
  Object identity() {
    return List.of(mask, drops, site.shape().batch(), site.shape().keyTokens());
  }

  /** Why it is no bias of the keys, if it is none. */
  Optional<String> obstacle() {
    Optional<List<Dim>> shape = facts.shape(mask);
    if (shape.isEmpty() || shape.get().size() > RANK) {
      return Optional.of("the shape of its mask is not known");
    }
    if (!isNumber(facts.elementType(mask))) {
      return Optional.of(
          "its mask is of type " + facts.elementType(mask).shortName() + ", not bool or a number");
    }
    int missing = RANK - shape.get().size();
    RepeatedSlices repeated = new RepeatedSlices(facts);
    if (missing <= QUERY_AXIS && !repeated.along(mask, QUERY_AXIS - missing)) {
      return Optional.of(
          "its mask " + shape.get() + " varies over queries, and only masks of keys are honoured");
    }
    if (missing <= HEAD_AXIS && !repeated.along(mask, HEAD_AXIS - missing)) {
      return Optional.of(
          "its mask " + shape.get() + " varies over heads, and only masks of keys are honoured");
    }
    return Optional.empty();
  }

  private static boolean isNumber(DataType type) {
    return switch (type) {
      case BOOL, FLOAT, FLOAT16, BFLOAT16, DOUBLE -> true;
      default -> false;
    };
  }

  /** Puts nodes before the site that compute f32 {@code [B,1,1,S]}. */
  Value emit() {
    Node before = site.attention();
    Graph graph = before.graph();
    List<Dim> shape = facts.shape(mask).orElseThrow();
    int missing = RANK - shape.size();
    Value rows = mask;
    for (int axis = Math.max(0, HEAD_AXIS - missing); axis < shape.size() - 1; axis++) {
      if (axis + missing >= HEAD_AXIS && !shape.get(axis).is(1)) {
        rows = firstSlice(before, rows, axis);
      }
    }
    if (missing > 0) {
      long[] axes = new long[missing];
      for (int i = 0; i < missing; i++) {
        axes[i] = i;
      }
      Value added = graph.addConstant("mask_axes", Tensor.vector(axes));
      rows = graph.insertBefore(before, "Unsqueeze", rows, added);
    }
    Value bias = facts.elementType(mask) == DataType.BOOL ? ofBool(rows) : cast(rows);
    boolean isWhole =
        missing == 0
            && shape.get(BATCH_AXIS).equals(site.shape().batch())
            && shape.get(KEY_AXIS).equals(site.shape().keyTokens());
    return isWhole ? bias : expanded(before, bias);
  }

  private static Value firstSlice(Node before, Value value, int axis) {
    Graph graph = before.graph();
    return graph.insertBefore(
        before,
        "Slice",
        value,
        graph.addConstant("start", Tensor.vector(0)),
        graph.addConstant("end", Tensor.vector(1)),
        graph.addConstant("axis", Tensor.vector(axis)));
  }

  private Value ofBool(Value rows) {
    Node before = site.attention();
    Graph graph = before.graph();
    Value visible = graph.addConstant("visible", Tensor.scalar(0f));
    Value hidden = graph.addConstant("hidden", Tensor.scalar(Float.NEGATIVE_INFINITY));
    return drops
        ? graph.insertBefore(before, "Where", rows, hidden, visible)
        : graph.insertBefore(before, "Where", rows, visible, hidden);
  }

  private Value cast(Value rows) {
    if (facts.elementType(mask) == DataType.FLOAT) {
      return rows;
    }
    Value cast = site.attention().graph().insertBefore(site.attention(), "Cast", rows);
    cast.producer().orElseThrow().setAttribute("to", DataType.FLOAT.code());
    return cast;
  }

  private Value expanded(Node before, Value bias) {
    Graph graph = before.graph();
    Value one = graph.addConstant("one", Tensor.vector(1));
    Node target =
        graph.insertBefore(
            before,
            "",
            "Concat",
            "",
            List.of(size(before, site.query(), BATCH_AXIS), one, one, size(before, site.key(), 2)));
    target.setAttribute("axis", 0);
    Value dims = target.addOutput(graph.freshName(SparseOps.KEY_BIAS + "_shape"));
    return graph.insertBefore(before, "Expand", bias, dims);
  }

  private static Value size(Node before, Value value, int axis) {
    Graph graph = before.graph();
    Value shape = graph.insertBefore(before, "Shape", value);
    return graph.insertBefore(
        before, "Gather", shape, graph.addConstant("axis", Tensor.vector(axis)));
  }
}
