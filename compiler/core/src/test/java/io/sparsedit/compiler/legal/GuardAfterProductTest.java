package io.sparsedit.compiler.legal;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class GuardAfterProductTest {
  private static final double TOLERANCE = 1e-6;
  private static final int QUERIES = 3;
  private static final int KEYS = 4;

  private final Spelled spelled = new Spelled(17);
  private final Value values = spelled.floats("v", 1, 2, KEYS, 8);

  /** Weights of queries of which the second has no key at all. */
  private Value weights(int axis) {
    float[] bias = new float[QUERIES * KEYS];
    for (int key = 0; key < KEYS; key++) {
      bias[KEYS + key] = Float.NEGATIVE_INFINITY;
    }
    bias[0] = Float.NEGATIVE_INFINITY;
    Value mask = spelled.input("mask", Tensor.ofFloats(new long[] {QUERIES, KEYS}, bias));
    Value scores =
        spelled.node(
            "MatMul", spelled.floats("q", 1, 2, QUERIES, 8), spelled.floats("k", 1, 2, 8, KEYS));
    return spelled.node(
        "Softmax", List.of(Optional.of(spelled.node("Add", scores, mask))), "axis", axis);
  }

  private Value guarded(Value weights, float instead) {
    Value constant = spelled.graph.addConstant("instead", Tensor.scalar(instead));
    return spelled.node("Where", spelled.node("IsNaN", weights), constant, weights);
  }

  private static boolean readsSoftmax(Node node) {
    return node.is("MatMul")
        && node.requiredInput(0).producer().filter(from -> from.is("Softmax")).isPresent();
  }

  @Test
  void aQueryWithoutKeysStillAttendsToNothing() {
    spelled.output(spelled.node("MatMul", guarded(weights(-1), 0), values));
    Model legal = spelled.check(TOLERANCE);
    assertThat(legal.graph().nodeList()).filteredOn(GuardAfterProductTest::readsSoftmax).hasSize(1);
    double[] row = spelled.runLegalised().values().iterator().next().doubles().orElseThrow();
    for (int d = 8; d < 16; d++) {
      assertThat(row[d]).isZero();
    }
  }

  private void stays() {
    assertThat(spelled.legalised().graph().nodeList())
        .noneMatch(GuardAfterProductTest::readsSoftmax);
  }

  @Test
  void otherNumbersThanZeroStay() {
    spelled.output(spelled.node("MatMul", guarded(weights(-1), 0.25f), values));
    stays();
  }

  @Test
  void guardedWeightsThatOthersReadStay() {
    Value guarded = guarded(weights(-1), 0);
    spelled.output(spelled.node("MatMul", guarded, values));
    spelled.output(spelled.node("ReduceMax", guarded));
    stays();
  }

  /** NaN of a softmax over queries is a column's: the product spreads it over all rows. */
  @Test
  void aSoftmaxOverQueriesStays() {
    spelled.output(spelled.node("MatMul", guarded(weights(2), 0), values));
    stays();
  }
}
