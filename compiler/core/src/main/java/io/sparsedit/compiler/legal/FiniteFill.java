package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.MemoisedTest;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Masks of keys that hide them with a large finite number instead of -inf, made exact for a kernel
 * that knows -inf alone.
 *
 * <pre>
 *   before   row [B,1,1,T], of 0 and -1e9, say
 *   after    top  = Max(ReduceMax(row), lowest)
 *            bias = Where(row - top <= -1e4, -inf, row - top)
 *            v2   = Where(top <= -1e8, ReduceMean(v, tokens), v)
 * </pre>
 *
 * A softmax does not see what is added to all scores of a row, so that {@code top} may go. Where no
 * key is left, the large number has taken the scores' place, or has swallowed them in f32: all keys
 * weigh the same, and the result is the mean of the values.
 */
final class FiniteFill {
  /** In f32 nothing is left of scores to which this is added: its neighbours are 8 apart. */
  private static final double SWALLOWS = -1e8;

  private static final int TOKEN_AXIS = 2;
  private static final int KEY_AXIS = 3;
  private static final List<Long> SWAP = List.of(0L, 2L, 1L, 3L);

  /** Operators whose result has no other numbers than their first operand. */
  private static final Set<String> MOVES =
      Set.of("Expand", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze");

  private final ShapeTable facts;
  private final MemoisedTest harmless = new MemoisedTest(this::isHarmless);

  FiniteFill(ShapeTable facts) {
    this.facts = facts;
  }

  /** Whether a mask hides keys by nothing but -inf, as far as the graph tells. */
  boolean isAbsent(DenseSite.Mask mask) {
    return mask instanceof DenseSite.Mask.Choice choice
        ? isHarmless(choice.instead())
        : harmless.test(mask.value());
  }

  private static boolean isHarmless(double number) {
    return number > DenseSite.NOTHING || number == Double.NEGATIVE_INFINITY;
  }

  private boolean isHarmless(Value value, Predicate<Value> test) {
    Optional<double[]> elements = facts.constant(value).flatMap(Tensor::doubles);
    if (elements.isPresent()) {
      return Arrays.stream(elements.get()).allMatch(FiniteFill::isHarmless);
    }
    Optional<Node> node = value.producer().filter(n -> n.domain().isEmpty());
    if (node.isEmpty()) {
      return false;
    }
    return switch (node.get().opType()) {
      case "Where" ->
          test.test(node.get().requiredInput(1)) && test.test(node.get().requiredInput(2));
      case "Cast" -> {
        Value source = node.get().requiredInput(0);
        yield facts.elementType(source) == DataType.BOOL || test.test(source);
      }
      default -> MOVES.contains(node.get().opType()) && test.test(node.get().requiredInput(0));
    };
  }

  /** What the kernel gets. */
  record Exact(Value bias, Value values) {}

  /**
   * The bias and the values with which the kernel gives what the graph does.
   *
   * @param row f32 [B,1,1,T], the mask
   * @param values [B,H,T,D]
   */
  static Exact exact(Emit emit, DenseSite.Mask mask, Value row, Value values) {
    Value lowest = emit.real("lowest", Emit.lowest(DataType.FLOAT), DataType.FLOAT);
    Value top = emit.node("Max", emit.reduce("ReduceMax", row, KEY_AXIS), lowest);
    Value rest = emit.node("Sub", row, top);
    Value hidden = emit.node("LessOrEqual", rest, real(emit, "nothing", DenseSite.NOTHING));
    Value bias = emit.node("Where", hidden, real(emit, "hidden", Double.NEGATIVE_INFINITY), rest);
    boolean replaced = mask instanceof DenseSite.Mask.Choice;
    Value none =
        emit.node("LessOrEqual", top, real(emit, "none", replaced ? DenseSite.NOTHING : SWALLOWS));
    // Tokens before heads where the graph has them so: then a plugin can read that.
    Optional<Node> swap = values.producer().filter(node -> DenseSite.turns(node, SWAP));
    if (swap.isPresent()) {
      Value straight = orMean(emit, swap.get().requiredInput(0), none, TOKEN_AXIS - 1);
      return new Exact(bias, emit.transpose(straight, 0, 2, 1, 3));
    }
    return new Exact(bias, orMean(emit, values, none, TOKEN_AXIS));
  }

  private static Value orMean(Emit emit, Value values, Value none, int tokenAxis) {
    return emit.node("Where", none, emit.reduce("ReduceMean", values, tokenAxis), values);
  }

  private static Value real(Emit emit, String hint, double number) {
    return emit.real(hint, number, DataType.FLOAT);
  }
}
