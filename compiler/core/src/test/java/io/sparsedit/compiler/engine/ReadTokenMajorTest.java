package io.sparsedit.compiler.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

final class ReadTokenMajorTest {
  private final SiteGraph site = new SiteGraph();

  @Test
  void transposesAroundASiteGiveWayToItsLayout() {
    assertThat(ReadTokenMajor.in(site.graph)).isEqualTo(1);

    assertThat(site.count("Transpose")).isZero();
    assertThat(site.planner.stringAttribute("layout", "")).isEqualTo("BSHD");
    assertThat(site.attention.stringAttribute("layout", "")).isEqualTo("BSHD");
    assertThat(site.planner.presentInputs()).extracting(Value::name).containsExactly("q", "k");
    assertThat(GraphVerifier.problems(site.model)).isEmpty();
  }

  @Test
  void theResultIsTheSame() {
    Map<String, List<Double>> before = site.run();
    ReadTokenMajor.in(site.graph);
    assertThat(site.run()).isEqualTo(before);
  }

  @Test
  void otherReadersOfTheTransposedTensorsKeepThem() {
    Value other = site.graph.append("Neg", site.attention.requiredInput(1));
    site.graph.addOutput(other);
    Value late = site.graph.append("Neg", site.attention.output());
    site.graph.addOutput(late);
    Map<String, List<Double>> before = site.run();

    assertThat(ReadTokenMajor.in(site.graph)).isEqualTo(1);

    assertThat(site.count("Transpose")).isEqualTo(2);
    assertThat(site.run()).isEqualTo(before);
  }

  @Test
  void aSiteWithAnInputOfItsOwnOrderStaysAsItIs() {
    site.attention.setInput(2, site.graph.append("Neg", site.attention.requiredInput(2)));

    assertThat(ReadTokenMajor.in(site.graph)).isZero();

    assertThat(site.count("Transpose")).isEqualTo(4);
    assertThat(site.attention.stringAttribute("layout", "")).isEqualTo("BHSD");
  }

  @Test
  void aTransposedOutputOfTheModelStaysTransposed() {
    site.graph.addOutput(site.attention.output().uses().get(0).node().output());
    Map<String, List<Double>> before = site.run();

    assertThat(ReadTokenMajor.in(site.graph)).isEqualTo(1);

    assertThat(site.run()).isEqualTo(before);
  }

  @Test
  void aSiteWhoseOutputIsTheModelsStaysAsItIs() {
    site.graph.addOutput(site.attention.output());

    assertThat(ReadTokenMajor.in(site.graph)).isZero();
  }

  @Test
  void whatPreparesQueriesAndKeysWritesTokensFirst() {
    Node prepare = site.prepare("BSHD", "BHSD");
    Map<String, List<Double>> before = site.run();

    assertThat(ReadTokenMajor.in(site.graph)).isEqualTo(1);

    assertThat(site.count("Transpose")).isZero();
    assertThat(prepare.stringAttribute("output_layout", "")).isEqualTo("BSHD");
    assertThat(site.planner.requiredInput(0)).isEqualTo(prepare.output(0));
    assertThat(site.attention.requiredInput(1)).isEqualTo(prepare.output(1));
    assertThat(GraphVerifier.problems(site.model)).isEmpty();
    assertThat(site.run()).isEqualTo(before);
  }

  @Test
  void whatPreparesThemReadsTokensFirst() {
    Node prepare = site.prepare("BHSD", "BHSD");
    Map<String, List<Double>> before = site.run();

    assertThat(PrepareTokenMajor.in(site.graph)).isEqualTo(1);
    assertThat(ReadTokenMajor.in(site.graph)).isEqualTo(1);

    assertThat(site.count("Transpose")).isZero();
    assertThat(prepare.stringAttribute("layout", "")).isEqualTo("BSHD");
    assertThat(prepare.presentInputs()).extracting(Value::name).containsExactly("q", "k");
    assertThat(site.run()).isEqualTo(before);
  }

  @Test
  void otherReadersOfPreparedTensorsGetATranspose() {
    site.prepare("BSHD", "BHSD");
    site.graph.addOutput(site.graph.append("Abs", site.attention.requiredInput(1)));
    Map<String, List<Double>> before = site.run();

    assertThat(ReadTokenMajor.in(site.graph)).isEqualTo(1);

    assertThat(site.count("Transpose")).isEqualTo(1);
    assertThat(site.run()).isEqualTo(before);
  }

  @Test
  void tokensThatAreJoinedAreJoinedInTheirOwnOrder() {
    site.prepare("BSHD", "BHSD");
    Map<String, List<Double>> before = site.run();
    IntStream.range(0, 3).forEach(this::joinOfHalves);
    assertThat(site.run()).isEqualTo(before);

    assertThat(ReadTokenMajor.in(site.graph)).isEqualTo(1);

    // Those that cut the tensors in two are left, and that of v before it.
    assertThat(site.count("Transpose")).isEqualTo(4);
    assertThat(site.attention.stringAttribute("layout", "")).isEqualTo("BSHD");
    assertThat(GraphVerifier.problems(site.model)).isEmpty();
    assertThat(site.run()).isEqualTo(before);
  }

  @Test
  void headsThatAreRepeatedAreRepeatedInTheirOwnOrder() {
    site.prepare("BSHD", "BHSD");
    IntStream.range(0, 3).forEach(input -> repeatHeads(input, 1, 4, 5, 3));
    Map<String, List<Double>> before = site.run();

    assertThat(ReadTokenMajor.in(site.graph)).isEqualTo(1);

    assertThat(site.count("Transpose")).isZero();
    assertThat(site.count("Expand")).isEqualTo(3);
    assertThat(site.attention.stringAttribute("layout", "")).isEqualTo("BSHD");
    assertThat(GraphVerifier.problems(site.model)).isEmpty();
    assertThat(site.run()).isEqualTo(before);
  }

  /** What a -1 stands for is not looked up. */
  @Test
  void repeatedHeadsOfASizeThatTheGraphDoesNotSayStayAsTheyAre() {
    IntStream.range(0, 3).forEach(input -> repeatHeads(input, 1, -1, 5, 3));

    assertThat(ReadTokenMajor.in(site.graph)).isZero();
  }

  /** Each of two heads twice. */
  private void repeatHeads(int input, long... shape) {
    Value heads = site.attention.requiredInput(input);
    Value each = constant("Unsqueeze", heads, 2);
    Value repeated = constant("Reshape", constant("Expand", each, 1, 2, 2, 5, 3), shape);
    for (Node node : List.of(site.planner, site.attention)) {
      for (int i = 0; i < node.inputCount(); i++) {
        if (node.requiredInput(i) == heads) {
          node.setInput(i, repeated);
        }
      }
    }
    site.graph.outputs().get(0).setType(ValueType.TensorType.of(DataType.FLOAT, 1, 5, 4, 3));
  }

  private Value constant(String operator, Value value, long... numbers) {
    return site.graph.insertBefore(
        site.planner, operator, value, site.graph.addConstant("n", Tensor.vector(numbers)));
  }

  /** An activation as the concatenation of its first two tokens and its last three. */
  private void joinOfHalves(int input) {
    Value all = site.attention.requiredInput(input);
    Value tokensFirst = LowerHeadTransposes.swapBefore(site.graph, site.planner, all);
    Value joined =
        site.graph.insertBefore(
            site.planner, "Concat", slice(tokensFirst, 0, 2), slice(tokensFirst, 2, 5));
    joined.producer().orElseThrow().setAttribute("axis", -2);
    for (Node node : List.of(site.planner, site.attention)) {
      for (int i = 0; i < node.inputCount(); i++) {
        if (node.requiredInput(i) == all) {
          node.setInput(i, joined);
        }
      }
    }
  }

  private Value slice(Value tokensFirst, long start, long end) {
    Value half =
        site.graph.insertBefore(
            site.planner,
            "Slice",
            tokensFirst,
            site.graph.addConstant("start", Tensor.vector(start)),
            site.graph.addConstant("end", Tensor.vector(end)),
            site.graph.addConstant("axes", Tensor.vector(1)));
    return LowerHeadTransposes.swapBefore(site.graph, site.planner, half);
  }
}
