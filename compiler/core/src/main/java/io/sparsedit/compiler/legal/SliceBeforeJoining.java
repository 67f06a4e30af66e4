package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/**
 * Takes a part of what was joined from where it came.
 *
 * <pre>
 *   before   t = Slice(Add(Concat(text, video, axis = 1), table), 0, 24, axis = 1)
 *   after    t = Add(text, Slice(table, 0, 24, axis = 1))               text: [B,24,C]
 * </pre>
 *
 * Through elementwise operators with a constant, if the part is exactly one of those that were
 * joined. Saves a copy; and TensorRT 10.6 computes the form before wrongly where it fuses all of it
 * into one kernel, as in CogVideoX.
 */
final class SliceBeforeJoining implements Pass<EngineModel> {
  private static final Set<String> ELEMENTWISE = Set.of("Add", "Sub", "Mul", "Div");

  @Override
  public String name() {
    return "slice before joining";
  }

  @Override
  public int run(EngineModel model) {
    int changed = 0;
    for (Node node : model.nodes()) {
      if (node.is("Slice") && rewrite(node, model)) {
        changed++;
      }
    }
    return changed;
  }

  /** A range of an axis, counted from the front. */
  private record Range(int axis, long start, long end) {}

  private static boolean rewrite(Node slice, EngineModel model) {
    ShapeTable facts = model.facts();
    Optional<Range> range = range(slice, facts);
    if (range.isEmpty()) {
      return false;
    }
    List<Node> between = new ArrayList<>();
    Node joined = slice.requiredInput(0).producer().orElse(slice);
    while (ELEMENTWISE.contains(joined.opType()) && joined.domain().isEmpty()) {
      Optional<Value> source = variable(joined, facts);
      if (source.isEmpty() || source.get().producer().isEmpty()) {
        return false;
      }
      between.add(0, joined);
      joined = source.get().producer().get();
    }
    if (!joined.is("Concat") || joined.graph() != slice.graph()) {
      return false;
    }
    Optional<Value> part = part(joined, range.get(), facts);
    if (part.isEmpty()) {
      return false;
    }
    Emit emit = new Emit(slice, model.model().opset());
    Value value = part.get();
    for (Node node : between) {
      value = again(emit, node, value, range.get(), facts);
    }
    emit.replace(List.of(value));
    return true;
  }

  /** The range of a slice along one axis in steps of 1. */
  private static Optional<Range> range(Node slice, ShapeTable facts) {
    Optional<List<Dim>> shape = facts.shape(slice.requiredInput(0));
    OptionalLong start = number(slice, 1, facts);
    OptionalLong end = number(slice, 2, facts);
    OptionalLong axis = number(slice, 3, facts);
    boolean plain = slice.input(4).isEmpty() || number(slice, 4, facts).orElse(0) == 1;
    if (shape.isEmpty() || start.isEmpty() || end.isEmpty() || axis.isEmpty() || !plain) {
      return Optional.empty();
    }
    int rank = shape.get().size();
    int place = Math.toIntExact(axis.getAsLong() < 0 ? axis.getAsLong() + rank : axis.getAsLong());
    OptionalLong size = shape.get().get(place).constant();
    if (size.isEmpty()) {
      return Optional.empty();
    }
    return Optional.of(
        new Range(
            place,
            clamp(start.getAsLong(), size.getAsLong()),
            clamp(end.getAsLong(), size.getAsLong())));
  }

  private static long clamp(long position, long size) {
    long fromFront = position < 0 ? position + size : position;
    return Math.max(0, Math.min(size, fromFront));
  }

  private static OptionalLong number(Node node, int input, ShapeTable facts) {
    Optional<long[]> elements =
        node.input(input).flatMap(facts::constant).flatMap(tensor -> tensor.longs());
    return elements.isPresent() && elements.get().length == 1
        ? OptionalLong.of(elements.get()[0])
        : OptionalLong.empty();
  }

  /** The operand that is no constant, if the other is one and does not spread it. */
  private static Optional<Value> variable(Node node, ShapeTable facts) {
    Value left = node.requiredInput(0);
    Value right = node.requiredInput(1);
    boolean leftConstant = isConstant(left);
    if (leftConstant == isConstant(right)) {
      return Optional.empty();
    }
    Value variable = leftConstant ? right : left;
    Optional<List<Dim>> before = facts.shape(variable);
    return before.isPresent() && before.equals(facts.shape(node.output()))
        ? Optional.of(variable)
        : Optional.empty();
  }

  private static boolean isConstant(Value value) {
    return value.constant().isPresent()
        || value.producer().filter(node -> node.is("Constant")).isPresent();
  }

  /** The input of a concatenation that is exactly the range. */
  private static Optional<Value> part(Node concat, Range range, ShapeTable facts) {
    int rank = facts.shape(concat.output()).map(List::size).orElse(0);
    long axis = concat.intAttribute("axis", 0);
    if ((axis < 0 ? axis + rank : axis) != range.axis()) {
      return Optional.empty();
    }
    long position = 0;
    for (Value input : concat.presentInputs()) {
      OptionalLong size =
          facts
              .shape(input)
              .map(dims -> dims.get(range.axis()).constant())
              .orElse(OptionalLong.empty());
      if (size.isEmpty()) {
        return Optional.empty();
      }
      long end = position + size.getAsLong();
      if (position == range.start() && end == range.end() && end > position) {
        return Optional.of(input);
      }
      position = end;
    }
    return Optional.empty();
  }

  /** What an elementwise node makes of the part alone. */
  private static Value again(Emit emit, Node node, Value value, Range range, ShapeTable facts) {
    boolean constantFirst = isConstant(node.requiredInput(0));
    Value constant = node.requiredInput(constantFirst ? 0 : 1);
    List<Dim> shape = facts.shape(constant).orElse(List.of());
    int rank = facts.shape(node.output()).map(List::size).orElse(0);
    int place = range.axis() - (rank - shape.size());
    boolean varies = place >= 0 && !shape.get(place).is(1);
    Value operand = varies ? emit.slice(constant, place, range.start(), range.end()) : constant;
    return constantFirst
        ? emit.node(node.opType(), operand, value)
        : emit.node(node.opType(), value, operand);
  }
}
