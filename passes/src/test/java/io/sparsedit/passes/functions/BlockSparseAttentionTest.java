package io.sparsedit.passes.functions;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BlockSparseAttentionTest {
  private static final Golden RAGGED = Golden.read("ragged");

  private static BlockSparseAttention call(
      Golden golden, Layout layout, boolean bias, boolean compensate) {
    return new BlockSparseAttention(0, layout, (float) golden.setting("scale"), bias, compensate);
  }

  private static Map<String, Tensor> inputs(Golden golden, BlockSparseAttention call, int action) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    int last = golden.steps() - 1;
    inputs.put(SparseOps.Q, TestTensors.inLayout(call.layout(), golden.atStep("q", last)));
    inputs.put(SparseOps.K, TestTensors.inLayout(call.layout(), golden.atStep("k", last)));
    inputs.put(SparseOps.V, TestTensors.inLayout(call.layout(), golden.tensor("v")));
    Planner.PLAN.forEach(tensor -> inputs.put(tensor, golden.tensor(tensor)));
    if (call.keyBias()) {
      inputs.put(SparseOps.KEY_BIAS, golden.tensor(SparseOps.KEY_BIAS));
    }
    inputs.put(SparseOps.ACTION, TestTensors.action(action));
    return inputs;
  }

  private static Tensor run(BlockSparseAttention call, Map<String, Tensor> inputs) {
    try (OneOp op = OneOp.load(call)) {
      return op.run(inputs).get(SparseOps.O);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "BHSD, false, false, o",
    "BSHD, false, false, o",
    "BHSD, true, false, o_bias",
    "BSHD, true, false, o_bias",
    "BHSD, false, true, o_compensate",
    "BSHD, true, true, o_bias_compensate"
  })
  void computesAGoldenPlan(Layout layout, boolean bias, boolean compensate, String expected) {
    BlockSparseAttention call = call(RAGGED, layout, bias, compensate);
    Tensor o = run(call, inputs(RAGGED, call, ActionCode.PLAN_SPARSE.code()));
    Tensor reference = TestTensors.inLayout(layout, RAGGED.tensor(expected));
    assertThat(TestTensors.relativeL1(o, reference)).isLessThan(1e-6);
  }
}
