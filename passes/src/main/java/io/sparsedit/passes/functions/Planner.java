package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import java.util.List;
import java.util.Map;

/**
 * A call of a method's planner: from Q, K and state to a plan and the next state.
 *
 * <p>Its outputs begin with {@link #PLAN}, which {@link BlockSparseAttention} takes as it is. Where
 * the schedule reuses plans, the plan is state too: those same outputs carry it to the next step,
 * and inputs named {@code last_*} bring it back.
 */
public interface Planner extends SparseOp {
  /** The plan tensors in the order of a planner's outputs and of the attention's inputs. */
  List<String> PLAN =
      List.of(
          SparseOps.QUERY_ORDER,
          SparseOps.KEY_ORDER,
          SparseOps.QUERY_OFFSETS,
          SparseOps.KEY_OFFSETS,
          SparseOps.KEEP);

  /** The tensors that the site carries from step to step, in the order of the planner's inputs. */
  List<StateTensor> state(SiteShape shape);

  /** Name of the input that brings back a plan tensor of an earlier step. */
  static String last(String planTensor) {
    return "last_" + planTensor;
  }

  /** The plan as state. */
  static List<StateTensor> planState(SiteShape shape, int querySegments, int keySegments) {
    Map<String, List<DeclaredDim>> tails =
        Map.of(
            SparseOps.QUERY_ORDER, List.of(shape.tokens()),
            SparseOps.KEY_ORDER, List.of(shape.tokens()),
            SparseOps.QUERY_OFFSETS, List.of(new DeclaredDim.Fixed(querySegments + 1L)),
            SparseOps.KEY_OFFSETS, List.of(new DeclaredDim.Fixed(keySegments + 1L)),
            SparseOps.KEEP,
                List.of(
                    new DeclaredDim.Fixed(querySegments),
                    new DeclaredDim.Fixed((keySegments + 31) / 32)));
    return PLAN.stream()
        .map(
            tensor ->
                StateTensor.of(
                    tensor,
                    last(tensor),
                    tensor,
                    DataType.INT32,
                    shape,
                    tails.getOrDefault(tensor, List.of())))
        .toList();
  }
}
