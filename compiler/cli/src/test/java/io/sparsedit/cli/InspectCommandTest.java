package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class InspectCommandTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @ParameterizedTest
  @ValueSource(
      strings = {"wan21_t2v-ts17-static", "wan21_t2v-ts17-external", "wan21_t2v-dynamo18-static"})
  void jsonAgreesWithTheOracle(String graph) throws IOException {
    JsonNode oracle =
        JSON.readTree(CommandLineRun.ZOO.resolve(graph).resolve("meta.json").toFile());

    CommandLineRun run = CommandLineRun.of("inspect", "--json", CommandLineRun.zoo(graph));

    assertThat(run.exitCode()).as(run.err()).isZero();
    JsonNode found = JSON.readTree(run.out());
    List<String> expectedSites = new ArrayList<>();
    for (JsonNode site : oracle.path("sites")) {
      expectedSites.add(
          String.join(
              " ",
              site.path("kind").asText(),
              site.path("q").path(1).asText(),
              site.path("q").path(3).asText(),
              site.path("q").path(2).asText(),
              site.path("k").path(2).asText(),
              String.valueOf(!site.path("mask").isNull())));
    }
    List<String> foundSites = new ArrayList<>();
    for (JsonNode site : found.path("sites")) {
      foundSites.add(
          String.join(
              " ",
              site.path("kind").asText(),
              site.path("heads").asText(),
              site.path("headDim").asText(),
              site.path("queryTokens").asText(),
              site.path("keyTokens").asText(),
              site.path("mask").asText()));
      assertThat(site.path("scale").asDouble()).isCloseTo(1 / Math.sqrt(32), within(1e-6));
      assertThat(site.path("sparsify").asBoolean())
          .isEqualTo(site.path("kind").asText().equals("self"));
    }
    assertThat(foundSites).isEqualTo(expectedSites);
    for (String axis : List.of("frames", "height", "width")) {
      assertThat(found.path("geometry").path(axis)).isEqualTo(oracle.path("geometry").path(axis));
    }
    assertThat(found.path("notUnderstood")).isEmpty();
  }

  private static org.assertj.core.data.Offset<Double> within(double tolerance) {
    return org.assertj.core.data.Offset.offset(tolerance);
  }

  @Test
  void sitesCarryTheModulePathsThatTheExporterLeft() throws IOException {
    for (String graph : List.of("wan21_t2v-ts17-static", "wan21_t2v-dynamo18-static")) {
      CommandLineRun run =
          CommandLineRun.of("inspect", "--json", "--quiet", CommandLineRun.zoo(graph));

      List<String> ids = new ArrayList<>();
      JSON.readTree(run.out()).path("sites").forEach(site -> ids.add(site.path("id").asText()));
      assertThat(ids)
          .containsExactly("blocks.0.attn1", "blocks.0.attn2", "blocks.1.attn1", "blocks.1.attn2");
    }
  }

  @Test
  void tableShowsWhatBecomesOfEachSite() {
    CommandLineRun run = CommandLineRun.of("inspect", CommandLineRun.zoo("wan21_t2v-ts17-static"));

    assertThat(run.out())
        .contains("Video of 4x8x6 tokens")
        .containsPattern("blocks.0.attn1 +self +2 x 32 +192 +no +sparse")
        .containsPattern(
            "blocks.0.attn2 +cross +2 x 32 +192 to 24 +no +dense: cross-attention stays dense");
  }

  @Test
  void videoThatContradictsTheGraphIsAUsageError() {
    CommandLineRun run =
        CommandLineRun.of(
            "inspect", "--video", "4x6x8", CommandLineRun.zoo("wan21_t2v-ts17-static"));

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains("--video 4x6x8").contains("4x8x6").doesNotContain("\tat ");
  }

  @Test
  void videoThatDoesNotMultiplyToTheTokensIsAUsageError() {
    CommandLineRun run =
        CommandLineRun.of(
            "inspect", "--video", "21x45x80", CommandLineRun.zoo("wan21_t2v-ts17-static"));

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains("21x45x80");
  }
}
