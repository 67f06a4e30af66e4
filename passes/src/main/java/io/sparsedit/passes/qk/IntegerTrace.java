package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Elements of index tensors, as linear expressions of the symbols in their own index: so an index
 * grid of any size is understood without being computed.
 */
final class IntegerTrace {
  /**
   * {@code step * symbol + offset}.
   *
   * @param symbol absent if the step is 0
   */
  record Linear(Optional<Symbol> symbol, long step, Dim offset) {
    static Linear of(Dim number) {
      return new Linear(Optional.empty(), 0, number);
    }

    private Linear times(long factor) {
      return factor == 0 ? of(Dim.ZERO) : new Linear(symbol, step * factor, offset.times(factor));
    }

    private Optional<Linear> plus(Linear other) {
      if (symbol.isPresent() && other.symbol.isPresent()) {
        return Optional.empty();
      }
      Linear with = symbol.isPresent() ? this : other;
      return Optional.of(new Linear(with.symbol, with.step, offset.plus(other.offset)));
    }

    /** As the index of an element. */
    Optional<Index> index() {
      if (symbol.isEmpty()) {
        OptionalLong number = offset.constant();
        return number.isPresent()
            ? Optional.of(new Index.At(number.getAsLong()))
            : Optional.empty();
      }
      return step == 1 ? Optional.of(new Index.Along(symbol.get(), offset)) : Optional.empty();
    }
  }

  private final Movement movement;
  private final ValueFacts facts;

  IntegerTrace(Movement movement, ValueFacts facts) {
    this.movement = movement;
    this.facts = facts;
  }

  /** The element, if it is such an expression. */
  Optional<Linear> of(Element element) {
    Optional<Linear> known = known(element);
    if (known.isPresent()) {
      return known;
    }
    Optional<Node> producer = element.value().producer();
    if (producer.isEmpty() || !producer.get().domain().isEmpty()) {
      return Optional.empty();
    }
    Node node = producer.get();
    return switch (node.opType()) {
      case "Range" -> ofRange(node, element);
      case "Add" -> sum(node, element, 1);
      case "Sub" -> sum(node, element, -1);
      case "Mul" -> product(node, element);
      case "Where" -> ofWhere(node, element);
      default -> movement.before(element).flatMap(this::of);
    };
  }

  private Optional<Linear> operand(Node node, int input, Element element) {
    return of(movement.operand(node.requiredInput(input), element));
  }

  private Optional<Linear> sum(Node node, Element element, long sign) {
    Optional<Linear> left = operand(node, 0, element);
    Optional<Linear> right = operand(node, 1, element);
    return left.isPresent() && right.isPresent()
        ? left.get().plus(right.get().times(sign))
        : Optional.empty();
  }

  private Optional<Linear> product(Node node, Element element) {
    Optional<Linear> left = operand(node, 0, element);
    Optional<Linear> right = operand(node, 1, element);
    if (left.isEmpty() || right.isEmpty()) {
      return Optional.empty();
    }
    for (boolean swap : new boolean[] {false, true}) {
      Linear factor = swap ? left.get() : right.get();
      if (factor.symbol().isEmpty() && factor.offset().isConstant()) {
        return Optional.of(
            (swap ? right.get() : left.get()).times(factor.offset().constant().getAsLong()));
      }
    }
    return Optional.empty();
  }

  private Optional<Linear> ofRange(Node node, Element element) {
    Optional<Dim> start = scalar(node, 0);
    Optional<Dim> step = scalar(node, 2);
    if (start.isEmpty() || step.isEmpty() || !step.get().isConstant()) {
      return Optional.empty();
    }
    long delta = step.get().constant().getAsLong();
    return linear(element.at().get(0))
        .map(
            place ->
                new Linear(
                    place.symbol(),
                    place.step() * delta,
                    place.offset().times(delta).plus(start.get())));
  }

  private Optional<Dim> scalar(Node node, int input) {
    return facts
        .elements(node.requiredInput(input))
        .filter(all -> all.size() == 1)
        .map(a -> a.get(0));
  }

  /** {@code Where(i < 0, i + size, i)} of an i that is not negative. */
  private Optional<Linear> ofWhere(Node node, Element element) {
    Optional<Node> test = node.requiredInput(0).producer().filter(n -> n.is("Less"));
    if (test.isEmpty()) {
      return Optional.empty();
    }
    Element condition = movement.operand(node.requiredInput(0), element);
    Optional<Linear> tested = of(movement.operand(test.get().requiredInput(0), condition));
    Optional<Linear> bound = of(movement.operand(test.get().requiredInput(1), condition));
    boolean notNegative =
        tested.isPresent()
            && bound.isPresent()
            && bound.get().equals(Linear.of(Dim.ZERO))
            && tested.get().step() >= 0
            && tested.get().offset().isAtLeast(Dim.ZERO)
            && tested.get().symbol().map(s -> s.from().isAtLeast(Dim.ZERO)).orElse(true);
    return notNegative ? operand(node, 2, element) : Optional.empty();
  }

  private static Optional<Linear> linear(Index index) {
    if (index instanceof Index.At at) {
      return Optional.of(Linear.of(Dim.of(at.number())));
    }
    if (index instanceof Index.Along along) {
      return Optional.of(new Linear(Optional.of(along.symbol()), 1, along.offset()));
    }
    return Optional.empty();
  }

  private Optional<Linear> known(Element element) {
    Optional<Tensor> tensor = facts.constant(element.value()).or(() -> element.value().constant());
    if (tensor.isPresent()) {
      return tensor.get().longs().flatMap(all -> known(all, tensor.get().dims(), element));
    }
    Optional<List<Dim>> elements = facts.elements(element.value());
    if (elements.isEmpty()) {
      return Optional.empty();
    }
    if (element.at().isEmpty()) {
      return Optional.of(Linear.of(elements.get().get(0)));
    }
    return element.at().size() == 1
            && element.at().get(0) instanceof Index.At at
            && at.number() < elements.get().size()
        ? Optional.of(Linear.of(elements.get().get((int) at.number())))
        : Optional.empty();
  }

  /** An element of a constant: a number, or a progression along one axis. */
  private static Optional<Linear> known(long[] all, long[] dims, Element element) {
    if (all.length == 0) {
      return Optional.empty();
    }
    int first = 0;
    int stride = 1;
    List<Run> runs = new ArrayList<>();
    for (int axis = dims.length - 1; axis >= 0; axis--) {
      Index index = element.at().get(axis);
      int size = Math.toIntExact(dims[axis]);
      if (index instanceof Index.At at && at.number() >= 0 && at.number() < size) {
        first += Math.toIntExact(at.number()) * stride;
      } else if (index instanceof Index.Along along) {
        runs.add(new Run(along, size, stride));
      } else {
        return Optional.empty();
      }
      stride *= size;
    }
    Optional<Linear> result = Optional.of(Linear.of(Dim.of(all[first])));
    List<Long> steps = new ArrayList<>();
    for (Run run : runs) {
      long step = run.size() < 2 ? 0 : all[first + run.stride()] - all[first];
      steps.add(step);
      if (step != 0) {
        Dim start = run.along().offset().times(step);
        Linear part = new Linear(Optional.of(run.along().symbol()), step, start);
        result = result.flatMap(sum -> sum.plus(part));
      }
    }
    return isSum(all, first, runs, steps, all[first]) ? result : Optional.empty();
  }

  /** An axis of a constant along which an index goes. */
  private record Run(Index.Along along, int size, int stride) {}

  /** Whether elements grow by a step along each axis. */
  private static boolean isSum(
      long[] all, int place, List<Run> runs, List<Long> steps, long expected) {
    if (runs.isEmpty()) {
      return all[place] == expected;
    }
    Run run = runs.get(0);
    List<Run> others = runs.subList(1, runs.size());
    List<Long> otherSteps = steps.subList(1, steps.size());
    for (int i = 0; i < run.size(); i++) {
      int at = place + i * run.stride();
      if (!isSum(all, at, others, otherSteps, expected + i * steps.get(0))) {
        return false;
      }
    }
    return true;
  }
}
