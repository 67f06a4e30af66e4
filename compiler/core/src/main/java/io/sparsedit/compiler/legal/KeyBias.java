package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.MemoisedTest;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;

/**
 * A tensor that is added to attention's scores, as one number for each key.
 *
 * <pre>
 *   before   mask [B,1,1,S]    bias = Where(Expand(mask, [B,1,S,S]), 0, -inf)
 *   after    key_bias = Cast(Where(mask, 0, -inf), f32)
 * </pre>
 *
 * It may be written with as many rows and heads as the scores have, if they are copies that {@code
 * Expand} or {@code Tile} made, also in front of elementwise operators, and folded to [B*H,1,S] in
 * between.
 */
final class KeyBias {
  private static final int RANK = 4;
  private static final int HEAD_AXIS = 1;
  private static final int QUERY_AXIS = 2;
  private static final int KEY_AXIS = 3;

  /** Operators whose result has, in each place, what their operands have in that place. */
  private static final Set<String> ELEMENTWISE =
      Set.of("Add", "And", "Cast", "Identity", "Mul", "Not", "Or", "Sub", "Where");

  /** Operators that keep the elements in their order. */
  private static final Set<String> FOLDS =
      Set.of("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze");

  private final ShapeTable facts;
  private final MemoisedTest isBias = new MemoisedTest(this::find);
  private final Map<Value, Value> rows = new HashMap<>();

  KeyBias(ShapeTable facts) {
    this.facts = facts;
  }

  /**
   * Whether a tensor that is broadcast to scores [B,H,S,S] is the same for all queries and heads.
   */
  boolean is(Value value) {
    return isBias.test(value);
  }

  private boolean find(Value value, Predicate<Value> test) {
    return isNarrow(value)
        || repeated(value).filter(test).isPresent()
        || elementwise(value).filter(n -> n.presentInputs().stream().allMatch(test)).isPresent();
  }

  /** One row for all queries and heads. */
  private boolean isNarrow(Value value) {
    Optional<List<Dim>> shape = facts.shape(value);
    return shape.isPresent()
        && shape.get().size() <= RANK
        && isOne(shape.get(), HEAD_AXIS)
        && isOne(shape.get(), QUERY_AXIS);
  }

  private static boolean isOne(List<Dim> shape, int axis) {
    int own = axis - (RANK - shape.size());
    return own < 0 || shape.get(own).is(1);
  }

  /** What a tensor repeats, over queries and heads or not at all. */
  private Optional<Value> repeated(Value value) {
    Optional<Node> node = value.producer().filter(n -> n.domain().isEmpty());
    if (node.isEmpty()) {
      return Optional.empty();
    }
    return switch (node.get().opType()) {
      case "Expand" -> Optional.of(node.get().requiredInput(0));
      case "Tile" ->
          facts
              .constant(node.get().requiredInput(1))
              .flatMap(Tensor::longs)
              .filter(KeyBias::areOfQueriesAndHeads)
              .map(repeats -> node.get().requiredInput(0));
      default -> unfolded(value);
    };
  }

  private static boolean areOfQueriesAndHeads(long[] repeats) {
    return repeats.length == RANK && repeats[0] == 1 && repeats[KEY_AXIS] == 1;
  }

  /** The tensor of the same shape that one was made of by other shapes in between. */
  private Optional<Value> unfolded(Value value) {
    Optional<List<Long>> shape = facts.fixedShape(value);
    Value at = value;
    while (shape.isPresent()
        && at.producer()
            .filter(n -> n.domain().isEmpty() && FOLDS.contains(n.opType()))
            .isPresent()) {
      at = at.producer().orElseThrow().requiredInput(0);
      if (facts.fixedShape(at).equals(shape)) {
        return Optional.of(at);
      }
    }
    return Optional.empty();
  }

  private static Optional<Node> elementwise(Value value) {
    return value
        .producer()
        .filter(node -> node.domain().isEmpty() && ELEMENTWISE.contains(node.opType()));
  }

  /** The row of a tensor for which {@link #is} holds, of fewer dimensions maybe. */
  Value row(Emit emit, Value value) {
    if (isNarrow(value)) {
      return value;
    }
    Optional<Value> source = repeated(value);
    if (source.isPresent() && is(source.get())) {
      return row(emit, source.get());
    }
    Value made = rows.get(value);
    if (made != null) {
      return made;
    }
    Node node = elementwise(value).orElseThrow();
    List<Value> operands = new ArrayList<>();
    for (Value input : node.presentInputs()) {
      operands.add(row(emit, input));
    }
    Value result = emit.node(node.opType(), operands.toArray(Value[]::new));
    node.attributes().forEach(Emit.owner(result)::setAttribute);
    rows.put(value, result);
    return result;
  }

  /**
   * The bias as f32 [B,1,1,S].
   *
   * @param row what {@link #row} gave, or something like it
   * @param type its type
   */
  Value whole(Emit emit, Value row, DataType type, long batch, long tokens) {
    Value bias = emit.cast(row, type, DataType.FLOAT);
    boolean isWhole =
        facts
            .shape(row)
            .filter(shape -> shape.size() == RANK)
            .filter(shape -> shape.get(0).is(batch) && shape.get(KEY_AXIS).is(tokens))
            .isPresent();
    return isWhole
        ? bias
        : emit.node("Expand", bias, emit.ints("key_bias_shape", batch, 1, 1, tokens));
  }
}
