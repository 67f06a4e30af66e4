package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Tensor;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What holds for every planner, whatever its method. */
final class PlannerContract {
  private static final double TOLERANCE = 1e-5;

  private PlannerContract() {}

  /** Feeds the state that a step left, or the plan too, into the next step's inputs. */
  static void feedBack(Planner call, OneOp.Outputs outputs, Map<String, Tensor> inputs) {
    call.state(SiteShape.of(1, 1, 1, 1))
        .forEach(state -> inputs.put(state.input(), outputs.get(state.output())));
  }

  /**
   * A step that does not plan copies its state and the plan in it, whatever the tokens are by then.
   *
   * @param call a planner whose plan is state
   * @param cold inputs of a COLD step
   * @param action the other step's
   */
  static void assertCopiesItsState(Planner call, Map<String, Tensor> cold, ActionCode action) {
    Map<String, Tensor> inputs = new LinkedHashMap<>(cold);
    try (OneOp op = OneOp.load(call)) {
      OneOp.Outputs planned = op.run(inputs);
      for (String tensor : List.of(SparseOps.Q, SparseOps.K, SparseOps.V)) {
        inputs.computeIfPresent(
            tensor, (name, value) -> TestTensors.random(name.hashCode(), value.dims()));
      }
      inputs.put(SparseOps.ACTION, TestTensors.action(action.code()));
      feedBack(call, planned, inputs);
      assertSame(call, op.run(inputs), planned);
    }
  }

  /** PLAN_DENSE gives the plan and the state of PLAN_SPARSE. */
  static void assertPlanDensePlansAsPlanSparse(Planner call, Map<String, Tensor> cold) {
    Map<String, Tensor> inputs = new LinkedHashMap<>(cold);
    try (OneOp op = OneOp.load(call)) {
      OneOp.Outputs sparse = op.run(inputs);
      inputs.put(SparseOps.ACTION, TestTensors.action(ActionCode.PLAN_DENSE.cold()));
      assertSame(call, op.run(inputs), sparse);
    }
  }

  static void assertSame(Planner call, OneOp.Outputs actual, OneOp.Outputs expected) {
    assertThat(call.outputs())
        .isNotEmpty()
        .allMatch(output -> TestTensors.same(actual.get(output), expected.get(output)));
  }

  /** The plan has the shapes of the golden one, density 1, and attends as dense attention does. */
  static void assertKeepsEverything(Golden golden, OneOp.Outputs outputs) {
    for (String tensor : Planner.PLAN) {
      assertThat(outputs.get(tensor).dims()).as(tensor).isEqualTo(golden.tensor(tensor).dims());
    }
    assertThat(TestTensors.density(outputs::get)).isEqualTo(1);
    Tensor o = golden.attend(Layout.BHSD, 0, outputs::get, ActionCode.REUSE_SPARSE);
    assertThat(TestTensors.relativeL1(o, golden.tensor("dense"))).isLessThan(TOLERANCE);
  }
}
