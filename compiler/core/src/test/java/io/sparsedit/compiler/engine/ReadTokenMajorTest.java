package io.sparsedit.compiler.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.Map;
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
}
