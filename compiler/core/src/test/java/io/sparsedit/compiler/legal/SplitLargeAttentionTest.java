package io.sparsedit.compiler.legal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.ModelCopy;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class SplitLargeAttentionTest {
  private static final int QUERIES = 300;
  private static final int KEYS = 40;
  private static final int HEADS = 2;

  /** Scores of a third of the queries, and a few more. */
  private static final long LIMIT = HEADS * 110L * KEYS;

  private final Spelled spelled = new Spelled(17);
  private final Value queries = spelled.floats("q", 1, HEADS, QUERIES, 8);
  private final Value keys = spelled.floats("k", 1, HEADS, 8, KEYS);
  private final Value values = spelled.floats("v", 1, HEADS, KEYS, 8);

  private Value softmax(Value scores) {
    return spelled.node("Softmax", List.of(Optional.of(scores)), "axis", -1);
  }

  private Model split(int expected) {
    return split(expected, LIMIT);
  }

  private Model split(int expected, long limit) {
    Model copy = ModelCopy.of(spelled.model);
    assertThat(new SplitLargeAttention(limit).run(new EngineModel(copy))).isEqualTo(expected);
    copy.graph().removeDeadNodes();
    Map<String, Tensor> wanted = spelled.run();
    Map<String, Tensor> given = spelled.run(copy);
    assertThat(given.keySet()).isEqualTo(wanted.keySet());
    wanted.forEach(
        (name, tensor) ->
            assertThat(Objects.requireNonNull(given.get(name)).doubles().orElseThrow())
                .containsExactly(tensor.doubles().orElseThrow(), within(1e-6)));
    return copy;
  }

  private static long count(Model model, String operator) {
    return model.graph().nodeList().stream().filter(node -> node.is(operator)).count();
  }

  @Test
  void partsOfWholeGranulesAreJoinedAgain() {
    Value scores = spelled.node("MatMul", queries, keys);
    spelled.output(spelled.node("MatMul", softmax(scores), values));
    Model parts = split(1);
    assertThat(count(parts, "Softmax")).isEqualTo(3);
    assertThat(count(parts, "MatMul")).isEqualTo(6);
    assertThat(parts.graph().nodeList())
        .filteredOn(node -> node.is("Softmax"))
        .extracting(Node::name)
        .allMatch(name -> name.startsWith("MatMul1.Softmax_"))
        .doesNotHaveDuplicates();
  }

  /** Five heads of which two are few enough: parts of two, two and one; queries stay together. */
  @Test
  void partsAreOfHeadsWhereOneIsSmallEnough() {
    Value scores =
        spelled.node(
            "MatMul", spelled.floats("q5", 1, 5, 30, 8), spelled.floats("k5", 1, 5, 8, 20));
    Value biased = spelled.node("Add", scores, spelled.floats("table", 5, 1, 20));
    Value masked = spelled.node("Add", spelled.floats("keyBias", 20), biased);
    Value weights = softmax(spelled.node("Mul", masked, spelled.floats("rows", 1, 1, 30, 1)));
    spelled.output(spelled.node("MatMul", weights, spelled.floats("v5", 1, 5, 20, 8)));
    Model parts = split(1, 2 * 30 * 20 + 599);
    assertThat(count(parts, "Softmax")).isEqualTo(3);
    // Of queries, keys, the table of heads and values.
    assertThat(count(parts, "Slice")).isEqualTo(3 * 4);
  }

  @Test
  void sharedKeysAndValuesStayWholeBesidePartsOfHeads() {
    Value shared = spelled.floats("shared", 1, 8, 20);
    Value scores = spelled.node("MatMul", spelled.floats("q4", 2, 4, 30, 8), shared);
    Value weights = softmax(scores);
    spelled.output(spelled.node("MatMul", weights, spelled.floats("v1", 2, 1, 20, 8)));
    Model parts = split(1, 2 * 2 * 30 * 20);
    assertThat(count(parts, "Softmax")).isEqualTo(2);
    assertThat(count(parts, "Slice")).isEqualTo(2);
  }

  @Test
  void headsWithoutABatchAreParted() {
    Value scores =
        spelled.node("MatMul", spelled.floats("q3", 6, 30, 8), spelled.floats("k3", 6, 8, 20));
    spelled.output(spelled.node("MatMul", softmax(scores), spelled.floats("v3", 6, 20, 8)));
    assertThat(count(split(1, 2 * 30 * 20), "Softmax")).isEqualTo(3);
  }

  /** Values whose heads are not known cannot be cut; queries can. */
  @Test
  void partsAreOfQueriesWhereHeadsAreNotKnown() {
    Value some = spelled.dynamic("some", 1, HEADS, KEYS, 8);
    Value scores = spelled.node("MatMul", queries, keys);
    spelled.output(spelled.node("MatMul", softmax(scores), some));
    Model parts = split(1, QUERIES * KEYS);
    assertThat(count(parts, "Softmax")).isEqualTo(2);
    assertThat(count(parts, "Slice")).isEqualTo(2);
  }

  /** As PyTorch exports attention with a mask: rows of NaN become 0. */
  @Test
  void masksOfKeysAndOfRowsAreHeeded() {
    Value scores = spelled.node("MatMul", queries, keys);
    Value masked = spelled.node("Add", scores, spelled.floats("keyBias", 1, 1, 1, KEYS));
    Value biased = spelled.node("Add", spelled.floats("rowBias", QUERIES, 1), masked);
    Value full = spelled.node("Sub", biased, spelled.floats("table", 1, HEADS, QUERIES, KEYS));
    Value weights = softmax(full);
    Value zero = spelled.graph.addConstant("zero", Tensor.scalar(0f));
    Value kept = spelled.node("Where", spelled.node("IsNaN", weights), zero, weights);
    spelled.output(spelled.node("MatMul", kept, values));
    Model parts = split(1);
    assertThat(count(parts, "Softmax")).isEqualTo(3);
    // Of the queries, the bias of rows and the table; none of the bias of keys.
    assertThat(count(parts, "Slice")).isEqualTo(3 * 3);
  }

  @Test
  void whatIsSmallEnoughStays() {
    Value few = spelled.floats("few", 1, HEADS, 110, 8);
    Value scores = spelled.node("MatMul", few, keys);
    spelled.output(spelled.node("MatMul", softmax(scores), values));
    assertThat(count(split(0), "Softmax")).isEqualTo(1);
  }

  @Test
  void weightsThatOthersReadStayWhole() {
    Value weights = softmax(spelled.node("MatMul", queries, keys));
    spelled.output(spelled.node("MatMul", weights, values));
    spelled.output(spelled.node("ReduceMax", weights));
    assertThat(count(split(0), "Softmax")).isEqualTo(1);
  }

  @Test
  void aSoftmaxOverQueriesStays() {
    Value scores = spelled.node("MatMul", queries, keys);
    Value weights = spelled.node("Softmax", List.of(Optional.of(scores)), "axis", 2);
    spelled.output(spelled.node("MatMul", weights, values));
    assertThat(count(split(0), "Softmax")).isEqualTo(1);
  }

  @Test
  void productsWithoutASoftmaxStay() {
    Value scores = spelled.node("MatMul", queries, keys);
    spelled.output(spelled.node("MatMul", scores, values));
    assertThat(count(split(0), "MatMul")).isEqualTo(2);
  }

  /** Values for several sets of heads give a result of another rank, whose rows lie elsewhere. */
  @Test
  void valuesOfAHigherRankStayWhole() {
    Value several = spelled.floats("several", 3, 1, HEADS, KEYS, 8);
    Value scores = spelled.node("MatMul", queries, keys);
    spelled.output(spelled.node("MatMul", softmax(scores), several));
    assertThat(count(split(0), "Softmax")).isEqualTo(1);
  }

  @Test
  void aBiasOfUnknownRowsStaysWhole() {
    Value bias = spelled.dynamic("bias", 1, HEADS, QUERIES, 1);
    Value scores = spelled.node("Add", spelled.node("MatMul", queries, keys), bias);
    spelled.output(spelled.node("MatMul", softmax(scores), values));
    assertThat(count(split(0), "Softmax")).isEqualTo(1);
  }

  @Test
  void sizesThatTheGraphDoesNotFixStay() {
    Value some = spelled.dynamic("some", 1, HEADS, QUERIES, 8);
    spelled.output(spelled.node("MatMul", softmax(spelled.node("MatMul", some, keys)), values));
    assertThat(count(split(0), "Softmax")).isEqualTo(1);
  }
}
