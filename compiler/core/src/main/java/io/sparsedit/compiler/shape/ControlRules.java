package io.sparsedit.compiler.shape;

import static io.sparsedit.compiler.shape.ShapeRules.register;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** If, Loop and Scan: operators that run subgraphs. */
final class ControlRules {
  private static final int MAX_ROUNDS = 3;

  private ControlRules() {}

  static void addTo(Map<String, ShapeRule> table) {
    register(table, ControlRules::conditional, "If");
    register(table, ControlRules::loop, "Loop");
    register(table, ControlRules::scan, "Scan");
  }

  private static void conditional(Call call) {
    Graph yes = call.graphAttribute("then_branch");
    Graph no = call.graphAttribute("else_branch");
    Engine engine = call.engine();
    engine.inferGraph(yes);
    engine.inferGraph(no);
    Optional<Scalar> condition = call.knownValue(0).map(v -> v.element(0));
    for (int i = 0; i < call.outputCount(); i++) {
      Fact a = engine.fact(yes.outputs().get(i));
      Fact b = engine.fact(no.outputs().get(i));
      if (condition.filter(Arithmetic::isTrue).isPresent()) {
        call.set(i, a);
      } else if (condition.filter(Arithmetic::isFalse).isPresent()) {
        call.set(i, b);
      } else {
        call.set(i, engine.join(call.node().output(i), a, b));
      }
    }
  }

  private static void loop(Call call) {
    Graph body = call.graphAttribute("body");
    int states = call.inputCount() - 2;
    List<Fact> initial = new ArrayList<>();
    for (int i = 0; i < states; i++) {
      initial.add(call.fact(i + 2));
    }
    Engine engine = call.engine();
    engine.setFact(body.inputs().get(0), new Fact(DataType.INT64, Shape.SCALAR, null, null));
    engine.setFact(body.inputs().get(1), new Fact(DataType.BOOL, Shape.SCALAR, null, null));
    List<Fact> fixed = iterate(engine, body, body.inputs().subList(2, 2 + states), initial, 1);
    for (int i = 0; i < states; i++) {
      call.set(i, leaving(call, i, fixed.get(i), initial.get(i)));
    }
    Dim trips =
        call.has(0) && !call.has(1)
            ? call.value(0).flatMap(v -> v.element(0).dim()).orElseGet(() -> call.fresh(states, 0))
            : Dim.ZERO;
    for (int i = states; i < call.outputCount(); i++) {
      Fact each = engine.fact(body.outputs().get(i + 1));
      call.type(i, each.type());
      Dim count = trips.is(0) ? call.fresh(i, 0) : trips;
      if (each.shape() != null) {
        call.shape(i, Shape.of(count).plus(renamed(call, i, each.shape(), 1)));
      }
    }
  }

  private static void scan(Call call) {
    Graph body = call.graphAttribute("body");
    int scanned = call.intAttribute("num_scan_inputs", 0);
    int states = call.inputCount() - scanned;
    long[] axes = call.longsAttribute("scan_input_axes").orElse(new long[scanned]);
    Engine engine = call.engine();
    Dim trips = Dim.ZERO;
    for (int i = 0; i < scanned; i++) {
      Fact fact = call.fact(states + i);
      Shape shape = call.shape(states + i);
      int axis = call.axis(axes[i], shape.rank());
      trips = i == 0 ? shape.dim(axis) : Shape.agree(trips, shape.dim(axis));
      Shape slice = shape.slice(0, axis).plus(shape.slice(axis + 1, shape.rank()));
      engine.setFact(body.inputs().get(states + i), new Fact(fact.type(), slice, null, null));
    }
    List<Fact> initial = new ArrayList<>();
    for (int i = 0; i < states; i++) {
      initial.add(call.fact(i));
    }
    List<Fact> fixed = iterate(engine, body, body.inputs().subList(0, states), initial, 0);
    for (int i = 0; i < states; i++) {
      call.set(i, leaving(call, i, fixed.get(i), initial.get(i)));
    }
    int results = call.outputCount() - states;
    long[] resultAxes = call.longsAttribute("scan_output_axes").orElse(new long[results]);
    for (int i = 0; i < results; i++) {
      Fact each = engine.fact(body.outputs().get(states + i));
      call.type(states + i, each.type());
      if (each.shape() != null) {
        Shape one = renamed(call, states + i, each.shape(), 0);
        int axis = call.axis(resultAxes[i], one.rank() + 1);
        call.shape(
            states + i, one.slice(0, axis).plus(Shape.of(trips)).plus(one.slice(axis, one.rank())));
      }
    }
  }

  /**
   * Infers the body with facts of its states that hold in every iteration.
   *
   * @param skipped how many outputs of the body come before the states
   * @return those facts
   */
  private static List<Fact> iterate(
      Engine engine, Graph body, List<Value> inputs, List<Fact> initial, int skipped) {
    List<Fact> facts = new ArrayList<>();
    for (Fact fact : initial) {
      facts.add(new Fact(fact.type(), fact.shape(), null, null));
    }
    for (int round = 0; round < MAX_ROUNDS; round++) {
      enter(engine, inputs, facts);
      engine.tentatively(() -> engine.inferGraph(body));
      boolean stable = true;
      for (int i = 0; i < inputs.size(); i++) {
        Fact after = engine.fact(body.outputs().get(i + skipped));
        Fact joined = engine.join(inputs.get(i), facts.get(i), after);
        // In the last round only what does not change any more is kept.
        boolean same = joined.equals(facts.get(i));
        boolean last = round == MAX_ROUNDS - 1;
        facts.set(i, same || !last ? joined : joined.withShape(null));
        stable &= same;
      }
      if (stable) {
        break;
      }
    }
    enter(engine, inputs, facts);
    engine.inferGraph(body);
    return facts;
  }

  private static void enter(Engine engine, List<Value> inputs, List<Fact> facts) {
    for (int i = 0; i < inputs.size(); i++) {
      engine.setFact(inputs.get(i), facts.get(i));
    }
  }

  /** A state after the loop: what no iteration changes keeps its dimensions. */
  private static Fact leaving(Call call, int output, Fact state, Fact initial) {
    Shape shape = state.shape();
    if (shape == null || initial.shape() == null) {
      return state;
    }
    for (int i = 0; i < shape.rank(); i++) {
      if (!shape.dim(i).equals(initial.shape().dim(i))) {
        shape = shape.with(i, call.fresh(output, i));
      }
    }
    return state.withShape(shape);
  }

  /** The shape with dimensions that only one iteration knows made unknown. */
  private static Shape renamed(Call call, int output, Shape shape, int shift) {
    Shape result = shape;
    for (int i = 0; i < shape.rank(); i++) {
      if (!shape.dim(i).isNamed()) {
        result = result.with(i, call.fresh(output, i + shift));
      }
    }
    return result;
  }
}
