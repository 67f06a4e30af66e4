package io.sparsedit.compiler.rules;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparsedit.compiler.TestData;
import io.sparsedit.compiler.ir.GraphVerifier;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.onnx.OnnxReader;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.compiler.rules.syntax.Source;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ValueFacts;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The attention rules of the tests find the sites of real exports, and nothing else. */
class ZooAttentionTest {
  private static final RuleSet RULES =
      RuleSet.load(List.of(new Source("attention.rules", AttentionRulesTest.rules())));

  static Stream<Path> models() {
    return TestData.zoo().stream();
  }

  @ParameterizedTest
  @MethodSource("models")
  void findsTheSitesOfTheOracle(Path file) throws IOException {
    JsonNode oracle =
        new ObjectMapper().readTree(file.resolveSibling("meta.json").toFile()).get("sites");
    Model model = OnnxReader.read(file);
    ValueFacts facts = ShapeInference.infer(model);
    RuleEngine engine = new RuleEngine(RULES);

    List<Match> matches = engine.findMatches(model.graph(), facts, model.opsets());

    List<String> expected = new ArrayList<>();
    List<String> found = new ArrayList<>();
    for (JsonNode site : oracle) {
      expected.add(
          describe(site.get("q").get(1).asInt(), site.get("q").get(3).asInt())
              + (site.get("mask").isNull() ? "" : " masked"));
    }
    for (Match match : matches) {
      found.add(
          describe((int) match.requiredNumber("H"), (int) match.requiredNumber("D"))
              + (match.value("mask").isPresent() ? " masked" : ""));
    }
    assertThat(found).as("sites of %s%n%s", file, engine.trace()).isEqualTo(expected);
    for (int i = 0; i < matches.size(); i++) {
      Match match = matches.get(i);
      JsonNode site = oracle.get(i);
      number(match, "Sq").ifPresent(n -> assertThat(n).isEqualTo(site.get("q").get(2).asInt()));
      number(match, "Sk").ifPresent(n -> assertThat(n).isEqualTo(site.get("k").get(2).asInt()));
      assertThat(match.requiredNumber("scale"))
          .isCloseTo(
              1 / Math.sqrt(match.requiredNumber("D")),
              org.assertj.core.data.Percentage.withPercentage(0.2));
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void rewritesAndUndoes(Path file) {
    Model model = OnnxReader.read(file);
    ValueFacts facts = ShapeInference.infer(model);
    RuleEngine engine = new RuleEngine(RULES);
    List<Match> matches = engine.findMatches(model.graph(), facts, model.opsets());
    String before = io.sparsedit.compiler.ir.GraphPrinter.print(model.graph());

    var applied = matches.stream().map(engine::apply).toList();
    assertThat(GraphVerifier.problems(model)).isEmpty();
    for (int i = applied.size() - 1; i >= 0; i--) {
      applied.get(i).undo();
    }
    String after = io.sparsedit.compiler.ir.GraphPrinter.print(model.graph());
    assertThat(after).isEqualTo(before);

    matches.forEach(engine::apply);
    model.graph().removeDeadNodes();
    assertThat(GraphVerifier.problems(model)).isEmpty();
    assertThat(model.graph().nodeList().stream().filter(n -> n.is("Softmax") || n.is("Attention")))
        .isEmpty();
  }

  private static OptionalDouble number(Match match, String name) {
    return match.number(name);
  }

  private static String describe(int heads, int headDim) {
    return heads + " x " + headDim;
  }
}
