package io.sparsedit.compiler.legal;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class DecomposeAttentionTest {
  private static final double TOLERANCE = 2e-6;
  private static final String OP = "Attention";

  private final Spelled spelled = new Spelled(23);

  private List<Optional<Value>> heads(int queryHeads, int keyHeads) {
    return List.of(
        Optional.of(spelled.floats("q", 2, queryHeads, 5, 8)),
        Optional.of(spelled.floats("k", 2, keyHeads, 7, 8)),
        Optional.of(spelled.floats("v", 2, keyHeads, 7, 6)));
  }

  private List<Optional<Value>> heads() {
    return heads(4, 4);
  }

  private static List<Optional<Value>> with(List<Optional<Value>> inputs, Value... more) {
    return java.util.stream.Stream.concat(
            inputs.stream(), java.util.Arrays.stream(more).map(Optional::of))
        .toList();
  }

  @Test
  void plain() {
    spelled.output(spelled.node(OP, heads())).check(TOLERANCE, OP);
  }

  @Test
  void scaleAndSoftcap() {
    spelled.output(spelled.node(OP, heads(), "scale", 0.7f, "softcap", 1.5f)).check(TOLERANCE, OP);
  }

  @Test
  void groupedQueriesRepeatHeadsInARow() {
    spelled.output(spelled.node(OP, heads(6, 2))).check(TOLERANCE, OP);
  }

  @Test
  void causal() {
    spelled.output(spelled.node(OP, heads(), "is_causal", 1)).check(TOLERANCE, OP);
  }

  @Test
  void maskOfNumbers() {
    Value mask = spelled.floats("mask", 2, 1, 5, 7);
    spelled.output(spelled.node(OP, with(heads(), mask))).check(TOLERANCE, OP);
  }

  @Test
  void maskOfBoolsAndCausal() {
    int[] kept = new int[35];
    for (int i = 0; i < kept.length; i++) {
      kept[i] = i % 7 == 0 || i % 3 == 0 ? 1 : 0;
    }
    Value mask = spelled.bools("mask", new long[] {5, 7}, kept);
    spelled.output(spelled.node(OP, with(heads(), mask), "is_causal", 1)).check(TOLERANCE, OP);
  }

  /** Queries 1 and 3 see no key: the operator gives 0 for them, not the mean of all values. */
  @Test
  void aQueryThatSeesNoKeyGivesZero() {
    int[] kept = new int[35];
    float[] added = new float[35];
    for (int i = 0; i < kept.length; i++) {
      boolean none = i / 7 % 2 == 1;
      kept[i] = none || i % 3 == 1 ? 0 : 1;
      added[i] = none ? Float.NEGATIVE_INFINITY : 0.1f * i;
    }
    spelled.output(spelled.node(OP, with(heads(), spelled.bools("mask", new long[] {5, 7}, kept))));
    Value numbers = spelled.input("added", Tensor.ofFloats(new long[] {5, 7}, added));
    List<Optional<Value>> others =
        List.of(
            Optional.of(spelled.floats("q2", 2, 6, 5, 8)),
            Optional.of(spelled.floats("k2", 2, 2, 7, 8)),
            Optional.of(spelled.floats("v2", 2, 2, 7, 6)),
            Optional.of(numbers));
    spelled.output(spelled.node(OP, others, "is_causal", 1));
    spelled.check(TOLERANCE, OP);
  }

  /** Five queries follow on 3 and 4 keys: the first ones stand before all of them. */
  @Test
  void aCausalQueryInFrontOfAllKeysGivesZero() {
    Spelled graph = new Spelled(24);
    graph
        .output(
            graph.node(
                OP,
                List.of(
                    Optional.of(graph.floats("q", 2, 2, 5, 8)),
                    Optional.of(graph.floats("k", 2, 2, 7, 8)),
                    Optional.of(graph.floats("v", 2, 2, 7, 8)),
                    Optional.empty(),
                    Optional.empty(),
                    Optional.empty(),
                    Optional.of(graph.input("lengths", Tensor.vector(3, 4)))),
                "is_causal",
                1))
        .check(TOLERANCE, OP);
  }

  @Test
  void softcapComesBeforeTheMask() {
    Value mask = spelled.floats("mask", 5, 7);
    spelled.output(spelled.node(OP, with(heads(), mask), "softcap", 0.5f)).check(TOLERANCE, OP);
  }

  @Test
  void flatInputsOfGroupedQueries() {
    List<Optional<Value>> inputs =
        List.of(
            Optional.of(spelled.floats("q", 2, 5, 32)),
            Optional.of(spelled.floats("k", 2, 7, 16)),
            Optional.of(spelled.floats("v", 2, 7, 12)));
    spelled
        .output(spelled.node(OP, inputs, "q_num_heads", 4, "kv_num_heads", 2))
        .check(TOLERANCE, OP);
  }

  @Test
  void pastKeysComeFirstAndAreGivenOut() {
    Value pastKey = spelled.floats("past_key", 2, 4, 3, 8);
    Value pastValue = spelled.floats("past_value", 2, 4, 3, 6);
    List<Optional<Value>> inputs = new java.util.ArrayList<>(heads());
    inputs.add(Optional.empty());
    inputs.add(Optional.of(pastKey));
    inputs.add(Optional.of(pastValue));
    Value y = spelled.node(OP, inputs, "is_causal", 1);
    Node node = y.producer().orElseThrow();
    spelled.output(y);
    spelled.output(node.addOutput("present_key"));
    spelled.output(node.addOutput("present_value"));
    spelled.check(TOLERANCE, OP);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void scoresAreGivenOutPlainCappedMaskedOrAfterTheSoftmax(int mode) {
    Value mask = spelled.floats("mask", 5, 7);
    Value y = spelled.node(OP, with(heads(), mask), "qk_matmul_output_mode", mode, "softcap", 1.5f);
    Node node = y.producer().orElseThrow();
    node.addOutput("present_key");
    node.addOutput("present_value");
    spelled.output(y).output(node.addOutput("scores")).check(TOLERANCE, OP);
  }

  @Test
  void sizesThatVary() {
    List<Optional<Value>> inputs =
        List.of(
            Optional.of(spelled.dynamic("q", 1, 5, 16)),
            Optional.of(spelled.dynamic("k", 1, 7, 16)),
            Optional.of(spelled.dynamic("v", 1, 7, 16)));
    spelled
        .output(spelled.node(OP, inputs, "q_num_heads", 2, "kv_num_heads", 2, "is_causal", 1))
        .check(TOLERANCE, OP);
  }

  @Test
  void keysBeyondTheirNumberDoNotCount() {
    Spelled graph = lengths(0);
    graph.check(TOLERANCE, OP);
  }

  @Test
  void aShorterMaskHidesTheKeysBehindIt() {
    // ONNX Runtime refuses what operator set 24 allows: the mask is spelled in full for it.
    Map<String, Tensor> wanted = lengths(0).run();
    assertThat(wanted).hasSize(1);
    Spelled shorter = lengths(3);
    Map<String, Tensor> found = shorter.runLegalised();
    double[] a = found.values().iterator().next().doubles().orElseThrow();
    double[] b = wanted.values().iterator().next().doubles().orElseThrow();
    assertThat(a).containsExactly(b, org.assertj.core.data.Offset.offset(TOLERANCE));
  }

  /** Attention over 7 keys, of which 3 and 4 count, with a mask that lacks some at its end. */
  private static Spelled lengths(int lacking) {
    Spelled graph = new Spelled(24);
    float[] mask = new float[5 * (7 - lacking)];
    for (int i = 0; i < mask.length; i++) {
      int column = i % (7 - lacking);
      int row = i / (7 - lacking);
      mask[i] = column < 4 ? 0.1f * column * row : -1e30f;
    }
    Value y =
        graph.node(
            OP,
            List.of(
                Optional.of(graph.floats("q", 2, 2, 5, 8)),
                Optional.of(graph.floats("k", 2, 2, 7, 8)),
                Optional.of(graph.floats("v", 2, 2, 7, 8)),
                Optional.of(
                    graph.input("mask", Tensor.ofFloats(new long[] {5, 7 - lacking}, mask))),
                Optional.empty(),
                Optional.empty(),
                Optional.of(graph.input("lengths", Tensor.vector(3, 4)))));
    return graph.output(y);
  }

  @Test
  void theLastNodeKeepsTheName() {
    spelled.output(spelled.node(OP, heads()));
    assertThat(spelled.legalised().graph().nodeList())
        .filteredOn(node -> node.name().equals(OP))
        .extracting(Node::opType)
        .containsExactly("MatMul");
  }
}
