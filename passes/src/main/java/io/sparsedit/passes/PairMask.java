package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * A mask that is true where both the query and the key count, as HunyuanVideo 1.5 hides its
 * padding.
 *
 * <pre>
 *   mask   = And(rows [B,1,Sq,1], columns [B,1,1,Sk])
 *   before out = Attention(q, k, v, mask)
 *   after  out = Where(rows, Attention(q, k, v, columns), nothing)
 * </pre>
 *
 * A query that does not count sees no key. What a softmax without a key gives is what the exporter
 * wrote: zeros where it guards against it ({@code Where(IsNaN(p), 0, p)}), the mean of all values
 * where hidden scores are the lowest number.
 *
 * @param rows bool, true where the query counts; all its columns are the same
 * @param columns bool, true where the key counts; all its rows are the same
 * @param mean whether a query without a key takes the mean of all values, and not zeros
 */
record PairMask(Value rows, Value columns, boolean mean) {
  private static final int RANK = 4;
  private static final int TOKENS = 2;

  /** From which on ReduceMean has its axes as an input. */
  private static final int AXES_INPUT_OPSET = 18;

  /** Scores are lost in a sum with a number that is as low as this. */
  private static final double LOWEST = -3e38;

  /**
   * The lowest of half precision: a score where it replaces one, but no loss of one that is added.
   */
  private static final double LOWEST_HALF = -65504;

  /**
   * A condition.
   *
   * @param hidden what a key that it hides has for a score
   * @param added whether that is added to the score, and does not replace it
   */
  private record Condition(Value keeps, OptionalDouble hidden, boolean added) {}

  /** The pair of masks that a site's mask is made of, if it is. */
  static Optional<PairMask> of(Site site, ValueFacts facts) {
    return site.mask()
        .flatMap(mask -> condition(site, mask, facts))
        .flatMap(condition -> split(site, condition, facts));
  }

  private static Optional<Condition> condition(Site site, Value mask, ValueFacts facts) {
    if (facts.elementType(mask) == DataType.BOOL) {
      // A mask that says where to drop is an Or, not an And.
      boolean keeps = !site.attention().stringAttribute("mask_kind", "").equals("drop");
      return keeps
          ? Optional.of(new Condition(mask, site.recognition().match().number("low"), false))
          : Optional.empty();
    }
    Optional<Node> where = mask.producer().filter(node -> node.is("Where"));
    UniformValues uniform = new UniformValues(facts);
    if (where.isEmpty() || !uniform.is(where.get().requiredInput(1), 0)) {
      return Optional.empty();
    }
    OptionalDouble low = uniform.of(where.get().requiredInput(2));
    return low.isPresent()
        ? Optional.of(new Condition(where.get().requiredInput(0), low, true))
        : Optional.empty();
  }

  private static Optional<PairMask> split(Site site, Condition condition, ValueFacts facts) {
    Value whole = condition.keeps();
    while (whole.producer().filter(PairMask::keepsBooleans).isPresent()
        && facts.elementType(whole.producer().get().requiredInput(0)) == DataType.BOOL) {
      whole = whole.producer().get().requiredInput(0);
    }
    Optional<Node> and = whole.producer().filter(node -> node.is("And"));
    Optional<Boolean> mean = mean(site, condition);
    if (and.isEmpty() || mean.isEmpty()) {
      return Optional.empty();
    }
    RepeatedSlices repeated = new RepeatedSlices(facts);
    Value first = and.get().requiredInput(0);
    Value second = and.get().requiredInput(1);
    if (isOfRows(first, repeated, facts) && isOfColumns(second, repeated, facts)) {
      return Optional.of(new PairMask(first, second, mean.get()));
    }
    return isOfRows(second, repeated, facts) && isOfColumns(first, repeated, facts)
        ? Optional.of(new PairMask(second, first, mean.get()))
        : Optional.empty();
  }

  private static boolean keepsBooleans(Node node) {
    return node.is("Cast") || node.is("Identity");
  }

  private static boolean isOfRows(Value value, RepeatedSlices repeated, ValueFacts facts) {
    return isWhole(value, facts) && repeated.along(value, 1) && repeated.along(value, RANK - 1);
  }

  private static boolean isOfColumns(Value value, RepeatedSlices repeated, ValueFacts facts) {
    return isWhole(value, facts) && repeated.along(value, 1) && repeated.along(value, TOKENS);
  }

  private static boolean isWhole(Value value, ValueFacts facts) {
    return facts.shape(value).map(List::size).filter(rank -> rank == RANK).isPresent();
  }

  /** What a query without a key gets: true for the mean of the values, false for zeros. */
  private static Optional<Boolean> mean(Site site, Condition condition) {
    OptionalDouble hidden = condition.hidden();
    boolean guarded =
        site.recognition().match().nodes().stream().anyMatch(node -> node.is("IsNaN"));
    // ONNX Runtime's operator gives zeros.
    boolean operator = site.attention().stringAttribute("mask_kind", "").equals("onnx");
    if (operator || (guarded && hidden.orElse(0) == Double.NEGATIVE_INFINITY)) {
      return Optional.of(false);
    }
    boolean half = site.elementType() == DataType.FLOAT16 && !condition.added();
    double lowest = half ? LOWEST_HALF : LOWEST;
    boolean isLowest =
        hidden.isPresent()
            && hidden.getAsDouble() <= lowest
            && Double.isFinite(hidden.getAsDouble());
    return isLowest ? Optional.of(true) : Optional.empty();
  }

  /**
   * Puts nodes before the site's canonical node that give queries without a key what they get.
   *
   * @param attended the attention with {@code columns} as mask, [B,H,S,D]
   * @return the attention with the whole mask
   */
  Value restore(Site site, Value attended, Compilation compilation) {
    Node before = site.attention();
    Graph graph = before.graph();
    ValueFacts facts = compilation.facts();
    Value row = one(before, one(before, rows, RANK - 1, facts), 1, facts);
    Value nothing =
        mean
            ? meanOfValues(site, compilation.model().opset())
            : graph.addConstant("no_key", Tensor.scalar(0f));
    Value typed = graph.insertBefore(before, "CastLike", nothing, attended);
    return graph.insertBefore(before, "Where", row, attended, typed);
  }

  /** [B,H,1,D]. */
  private static Value meanOfValues(Site site, long opset) {
    Node before = site.attention();
    Graph graph = before.graph();
    boolean axesAreAnInput = opset >= AXES_INPUT_OPSET;
    List<Value> inputs =
        axesAreAnInput
            ? List.of(site.value(), graph.addConstant("token_axis", Tensor.vector(TOKENS)))
            : List.of(site.value());
    Node reduce = graph.insertBefore(before, "", "ReduceMean", "", inputs);
    if (!axesAreAnInput) {
      reduce.setAttribute("axes", new Attribute.IntList(List.of((long) TOKENS)));
    }
    return reduce.addOutput(graph.freshName("no_key"));
  }

  private static Value one(Node before, Value value, int axis, ValueFacts facts) {
    Optional<Dim> size = facts.shape(value).map(shape -> shape.get(axis));
    if (size.filter(dim -> dim.is(1)).isPresent()) {
      return value;
    }
    Graph graph = before.graph();
    return graph.insertBefore(
        before,
        "Slice",
        value,
        graph.addConstant("start", Tensor.vector(0)),
        graph.addConstant("end", Tensor.vector(1)),
        graph.addConstant("axis", Tensor.vector(axis)));
  }
}
