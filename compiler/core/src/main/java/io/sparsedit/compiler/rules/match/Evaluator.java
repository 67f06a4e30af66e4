package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.syntax.Comparison;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Evaluates expressions over what an attempt has found. */
final class Evaluator {
  /** An expression has no value here; the message says why. */
  static final class Unknown extends Exception {
    private static final long serialVersionUID = 1L;

    Unknown(String reason) {
      super(reason, null, false, false);
    }

    String reason() {
      return String.valueOf(getMessage());
    }
  }

  private final Bindings bindings;
  private final ValueFacts facts;
  private Optional<String> whyNot = Optional.empty();

  Evaluator(Bindings bindings, ValueFacts facts) {
    this.bindings = bindings;
    this.facts = facts;
  }

  /** Whether a condition is true. */
  boolean holds(Expr expr) throws Unknown {
    whyNot = Optional.empty();
    return flag(expr);
  }

  /** What the last predicate that did not hold in {@link #holds} said. */
  Optional<String> whyNot() {
    return whyNot;
  }

  Datum evaluate(Expr expr) throws Unknown {
    if (expr instanceof Expr.Literal literal) {
      return literal.value();
    }
    if (expr instanceof Expr.Slot slot) {
      return slot(slot);
    }
    if (expr instanceof Expr.SlotOrElse orElse) {
      return bindings.get(orElse.slot().slot()).isPresent()
          ? slot(orElse.slot())
          : evaluate(orElse.fallback());
    }
    if (expr instanceof Expr.ListOf list) {
      return new Datum.Items(all(list.items()));
    }
    if (expr instanceof Expr.Negate negate) {
      Datum operand = evaluate(negate.operand());
      return operand instanceof Datum.Int i
          ? Datum.of(-i.value())
          : Datum.of(-number(operand, "-"));
    }
    if (expr instanceof Expr.Arithmetic arithmetic) {
      return arithmetic(
          arithmetic.operator(), evaluate(arithmetic.left()), evaluate(arithmetic.right()));
    }
    if (expr instanceof Expr.Compare compare) {
      return Datum.of(
          compare(compare.comparison(), evaluate(compare.left()), evaluate(compare.right())));
    }
    if (expr instanceof Expr.In in) {
      Datum operand = evaluate(in.operand());
      return Datum.of(all(in.items()).stream().anyMatch(operand::matches));
    }
    if (expr instanceof Expr.Not not) {
      boolean operand = flag(not.operand());
      whyNot = Optional.empty();
      return Datum.of(!operand);
    }
    if (expr instanceof Expr.Logic logic) {
      return Datum.of(logic(logic));
    }
    if (expr instanceof Expr.Taken tag) {
      return Datum.of(bindings.isTakenAny(tag.branches()));
    }
    if (expr instanceof Expr.Bound bound) {
      return Datum.of(bindings.get(bound.slot()).isPresent());
    }
    if (expr instanceof Expr.CaseOf caseOf) {
      return caseOf(caseOf);
    }
    if (expr instanceof Expr.TagOf tagOf) {
      return tagOf(tagOf);
    }
    if (expr instanceof Expr.CallPredicate call) {
      return predicate(call);
    }
    if (expr instanceof Expr.CallFunction call) {
      return call.function()
          .apply(new Externs.Arguments(all(call.args()), facts))
          .orElseThrow(() -> new Unknown("'" + call.name() + "' gives no result here"));
    }
    return apply((Expr.Apply) expr);
  }

  private Datum caseOf(Expr.CaseOf caseOf) throws Unknown {
    for (Expr.Arm arm : caseOf.arms()) {
      if (arm.branches().isEmpty() || bindings.isTakenAny(arm.branches())) {
        return evaluate(arm.value());
      }
    }
    throw new Unknown("no arm of the case fits '" + caseOf.name() + "'");
  }

  private Datum tagOf(Expr.TagOf tagOf) throws Unknown {
    for (Expr.TaggedBranch tagged : tagOf.branches()) {
      if (bindings.isTaken(tagged.branch())) {
        return Datum.of(tagged.tag());
      }
    }
    throw new Unknown("'" + tagOf.name() + "' took an alternative without a tag");
  }

  private Datum predicate(Expr.CallPredicate call) throws Unknown {
    Optional<String> reason =
        call.predicate().whyNot(new Externs.Arguments(all(call.args()), facts));
    if (reason.isPresent()) {
      whyNot = reason;
    }
    return Datum.of(reason.isEmpty());
  }

  /** What the names in an expression stand for, for messages; unknown ones are left out. */
  Map<String, Datum> scalars(Expr expr) {
    Map<String, Datum> found = new LinkedHashMap<>();
    collect(expr, found);
    return found;
  }

  private void collect(Expr expr, Map<String, Datum> found) {
    if (expr instanceof Expr.Slot slot && slot.numeric()) {
      try {
        found.put(slot.name(), slot(slot));
      } catch (Unknown e) {
        // Left out: it has no value here.
      }
    } else if (expr instanceof Expr.SlotOrElse orElse) {
      collect(orElse.slot(), found);
    } else if (expr instanceof Expr.ListOf list) {
      list.items().forEach(e -> collect(e, found));
    } else if (expr instanceof Expr.Negate negate) {
      collect(negate.operand(), found);
    } else if (expr instanceof Expr.Not not) {
      collect(not.operand(), found);
    } else if (expr instanceof Expr.Arithmetic a) {
      collect(a.left(), found);
      collect(a.right(), found);
    } else if (expr instanceof Expr.Compare c) {
      collect(c.left(), found);
      collect(c.right(), found);
    } else if (expr instanceof Expr.In in) {
      collect(in.operand(), found);
      in.items().forEach(e -> collect(e, found));
    } else if (expr instanceof Expr.Logic logic) {
      collect(logic.left(), found);
      collect(logic.right(), found);
    } else if (expr instanceof Expr.Apply apply) {
      apply.args().forEach(e -> collect(e, found));
    }
  }

  private List<Datum> all(List<Expr> exprs) throws Unknown {
    List<Datum> data = new ArrayList<>(exprs.size());
    for (Expr expr : exprs) {
      data.add(evaluate(expr));
    }
    return data;
  }

  private Datum slot(Expr.Slot slot) throws Unknown {
    Bindings.Content content =
        bindings.get(slot.slot()).orElseThrow(() -> new Unknown("'" + slot.name() + "' is absent"));
    if (content instanceof Bindings.Known known) {
      return known.datum();
    }
    if (content instanceof Bindings.Deferred deferred) {
      return evaluate(deferred.expr());
    }
    Value value = ((Bindings.Bound) content).value();
    if (!slot.numeric()) {
      return new Datum.OfValue(value);
    }
    return constant(value)
        .flatMap(Datum::ofScalar)
        .orElseThrow(() -> new Unknown("'" + slot.name() + "' is not a constant scalar"));
  }

  private Optional<Tensor> constant(Value value) {
    return facts.constant(value);
  }

  private boolean flag(Expr expr) throws Unknown {
    if (evaluate(expr) instanceof Datum.Flag flag) {
      return flag.value();
    }
    throw new Unknown("not a truth value");
  }

  private boolean logic(Expr.Logic logic) throws Unknown {
    if (logic.conjunction()) {
      return flag(logic.left()) && flag(logic.right());
    }
    Optional<Unknown> unknown = Optional.empty();
    try {
      if (flag(logic.left())) {
        return true;
      }
    } catch (Unknown e) {
      unknown = Optional.of(e);
    }
    if (flag(logic.right())) {
      return true;
    }
    if (unknown.isPresent()) {
      throw unknown.get();
    }
    return false;
  }

  private static double number(Datum datum, String operator) throws Unknown {
    if (datum.number().isPresent()) {
      return datum.number().getAsDouble();
    }
    throw new Unknown(
        datum instanceof Datum.Size
            ? "'" + operator + "' needs a number, the dimension is " + datum
            : "'" + operator + "' needs a number, not " + datum);
  }

  private static Datum arithmetic(char operator, Datum left, Datum right) throws Unknown {
    if (left instanceof Datum.Int a && right instanceof Datum.Int b && operator != '/') {
      try {
        return switch (operator) {
          case '*' -> Datum.of(Math.multiplyExact(a.value(), b.value()));
          case '+' -> Datum.of(Math.addExact(a.value(), b.value()));
          case '-' -> Datum.of(Math.subtractExact(a.value(), b.value()));
          default -> Datum.of(Math.floorMod(a.value(), b.value()));
        };
      } catch (ArithmeticException e) {
        throw new Unknown(a + " " + operator + " " + b + " has no value");
      }
    }
    if (isDim(left) && isDim(right) && operator != '/' && operator != '%') {
      Dim a = dim(left);
      Dim b = dim(right);
      return Datum.of(operator == '*' ? a.times(b) : operator == '+' ? a.plus(b) : a.minus(b));
    }
    String symbol = String.valueOf(operator);
    double a = number(left, symbol);
    double b = number(right, symbol);
    return switch (operator) {
      case '*' -> Datum.of(a * b);
      case '/' -> Datum.of(a / b);
      case '+' -> Datum.of(a + b);
      case '-' -> Datum.of(a - b);
      default -> Datum.of(a % b);
    };
  }

  private static boolean isDim(Datum datum) {
    return datum instanceof Datum.Int || datum instanceof Datum.Size;
  }

  private static Dim dim(Datum datum) {
    return datum instanceof Datum.Size size ? size.value() : Dim.of(((Datum.Int) datum).value());
  }

  private static boolean compare(Comparison comparison, Datum left, Datum right) throws Unknown {
    if (comparison == Comparison.EQUAL) {
      return left.matches(right);
    }
    if (comparison == Comparison.NOT_EQUAL) {
      return !left.matches(right);
    }
    return comparison.holds(
        Double.compare(number(left, comparison.symbol()), number(right, comparison.symbol())));
  }

  private Datum apply(Expr.Apply call) throws Unknown {
    List<Datum> args = all(call.args());
    Datum first = args.get(0);
    String name = call.function().spelling();
    return switch (call.function()) {
      case ABS ->
          first instanceof Datum.Int i
              ? Datum.of(Math.abs(i.value()))
              : Datum.of(Math.abs(number(first, name)));
      case APPROX ->
          Datum.of(
              Datum.close(
                  number(first, name),
                  number(args.get(1), name),
                  args.size() > 2 ? number(args.get(2), name) : Datum.TOLERANCE));
      case DIM -> dimension(value(first), number(args.get(1), name));
      case DTYPE -> {
        DataType type = facts.elementType(value(first));
        if (type == DataType.UNDEFINED) {
          throw new Unknown("the element type of " + first + " is not known");
        }
        yield new Datum.Type(type);
      }
      case ELEMENTS -> elements(value(first));
      case ITEM -> item(first, number(args.get(1), name));
      case EXP -> Datum.of(Math.exp(number(first, name)));
      case KNOWN -> Datum.of(!(first instanceof Datum.Size));
      case LOG -> Datum.of(Math.log(number(first, name)));
      case MAX -> number(first, name) >= number(args.get(1), name) ? first : args.get(1);
      case MIN -> number(first, name) <= number(args.get(1), name) ? first : args.get(1);
      case RANK -> Datum.of(shape(value(first)).size());
      case REAL -> Datum.of(number(first, name));
      case SQRT -> Datum.of(Math.sqrt(number(first, name)));
    };
  }

  private static Datum item(Datum list, double index) throws Unknown {
    if (!(list instanceof Datum.Items items)) {
      throw new Unknown(list + " is not a list");
    }
    int size = items.values().size();
    int place = (int) index + (index < 0 ? size : 0);
    if (place < 0 || place >= size) {
      throw new Unknown("the list has " + size + " items, and no item " + (int) index);
    }
    return items.values().get(place);
  }

  private static Value value(Datum datum) throws Unknown {
    if (datum instanceof Datum.OfValue value) {
      return value.value();
    }
    throw new Unknown(datum + " is not a value of the graph");
  }

  private List<Dim> shape(Value value) throws Unknown {
    return facts
        .shape(value)
        .orElseThrow(() -> new Unknown("the rank of " + value + " is not known"));
  }

  private Datum dimension(Value value, double index) throws Unknown {
    List<Dim> dims = shape(value);
    int i = (int) (index < 0 ? index + dims.size() : index);
    if (i < 0 || i >= dims.size()) {
      throw new Unknown(value + " has only " + dims.size() + " dimensions");
    }
    return Datum.of(dims.get(i));
  }

  private Datum elements(Value value) throws Unknown {
    Optional<List<Dim>> dims = facts.elements(value);
    if (dims.isPresent()) {
      return new Datum.Items(dims.get().stream().map(Datum::of).toList());
    }
    Optional<double[]> doubles = constant(value).flatMap(Tensor::doubles);
    if (doubles.isEmpty()) {
      throw new Unknown("the elements of " + value + " are not known");
    }
    List<Datum> items = new ArrayList<>();
    for (double element : doubles.get()) {
      items.add(Datum.of(element));
    }
    return new Datum.Items(items);
  }
}
