package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A process that runs a planner at 4 heads x 4,096 tokens x 64, of which 96 are text, and prints
 * what it took. Its arguments are the planner and an action code.
 */
final class PlannerCost {
  private static final int HEADS = 4;
  private static final int TOKENS = 4096;
  private static final int SIZE = 64;
  private static final List<Planner> PLANNERS =
      List.of(
          new AdaSpaPlan(0, Layout.BHSD, .125f, 64, .2f, .8f, TextPosition.LAST, false, true),
          new SvgPlan(
              0,
              Layout.BHSD,
              .125f,
              128,
              .3f,
              false,
              64,
              1.5f,
              FrameSink.CORRECTED,
              TextPosition.LAST,
              false,
              true));

  private PlannerCost() {}

  /** Runs in a process of its own. */
  static ProcessCost measure(String planner, int action) throws IOException {
    return ProcessCost.measure(PlannerCost.class, planner, Integer.toString(action));
  }

  public static void main(String[] arguments) throws IOException {
    Planner planner =
        PLANNERS.stream().filter(p -> p.opType().equals(arguments[0])).findFirst().orElseThrow();
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (String tensor : List.of(SparseOps.Q, SparseOps.K, SparseOps.V)) {
      if (planner.inputs().contains(tensor)) {
        inputs.put(tensor, TestTensors.random(tensor.hashCode(), 1, HEADS, TOKENS, SIZE));
      }
    }
    inputs.put(SparseOps.GEOMETRY, Tensor.ofInts(new long[] {3}, 10, 20, 20));
    for (StateTensor state : planner.state(SiteShape.of(1, HEADS, TOKENS, SIZE))) {
      long[] dims =
          state.dims().stream().mapToLong(dim -> ((DeclaredDim.Fixed) dim).size()).toArray();
      inputs.put(
          state.input(),
          state.type() == DataType.FLOAT
              ? TestTensors.filled(9, dims)
              : Tensor.ofInts(dims, new int[TestTensors.count(dims)]));
    }
    inputs.put(SparseOps.ACTION, TestTensors.action(Integer.parseInt(arguments[1])));
    ProcessCost.print(planner, inputs);
  }
}
