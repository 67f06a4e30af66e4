package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Methods, their settings, and schedules, from the command line into bundles. */
final class MethodOptionsTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path WAN = CommandLineRun.zoo("wan21_t2v-ts17-static");

  @TempDir private Path folder;

  private JsonNode compile(String options) throws IOException {
    CommandLineRun run = run(options + " --verify none");
    assertThat(run.exitCode()).as(run.err()).isZero();
    return JSON.readTree(folder.resolve("bundle").resolve("bundle.json").toFile());
  }

  private CommandLineRun run(String options) {
    List<Object> arguments = new ArrayList<>(List.of("compile", WAN, "-o"));
    arguments.add(folder.resolve("bundle"));
    Arrays.stream(options.split(" ")).filter(o -> !o.isEmpty()).forEach(arguments::add);
    return CommandLineRun.of(arguments.toArray());
  }

  @Test
  void defaultsAreThoseOfWan() throws IOException {
    JsonNode bundle = compile("");
    assertThat(bundle.path("method").path("name").asText()).isEqualTo("svg2");
    assertThat(bundle.path("method").path("settings"))
        .isEqualTo(
            JSON.readTree(
                """
                {"density": 0.25, "ranking": "mass", "minKept": 0.0, "queryClusters": 3,
                 "keyClusters": 12, "iterations": 2, "initIterations": 50, "compensate": true}
                """));
    assertThat(bundle.path("schedule"))
        .isEqualTo(
            JSON.readTree(
                """
                {"preset": "wan-t2v-720p", "steps": 50, "denseWarmup": 0.2, "replanInterval": 1,
                 "planDuringWarmup": false}
                """));
    assertThat(bundle.path("sites").path(0).path("planInState").asBoolean()).isFalse();
  }

  @Test
  void adaSpaSearchesAsPublishedAndHoldsItsPlan() throws IOException {
    JsonNode bundle = compile("--method adaspa");
    assertThat(bundle.path("method").path("settings"))
        .isEqualTo(
            JSON.readTree(
                """
                {"density": 0.2, "recallThreshold": 0.8, "blockSize": 64, "compensate": false}
                """));
    assertThat(bundle.path("schedule"))
        .isEqualTo(
            JSON.readTree(
                """
                {"preset": "wan-t2v-720p", "steps": 50, "searchSteps": [9, 29]}
                """));
    assertThat(bundle.path("sites").path(0).path("planInState").asBoolean()).isTrue();
    assertThat(names(bundle)).containsExactly("lse", "keep", "lse", "keep");
    assertThat(compile("--method adaspa --steps 40").path("schedule").path("searchSteps"))
        .isEqualTo(JSON.readTree("[7, 23]"));
    assertThat(
            compile("--method adaspa --steps 10 --dense-warmup 0.3 --replan-interval 3")
                .path("schedule")
                .path("searchSteps"))
        .isEqualTo(JSON.readTree("[2, 5, 8]"));
  }

  /** The step of the first search is dense, so it is the last of the warm-up. */
  @ParameterizedTest
  @CsvSource({"20, 0.3, 5", "50, 0.2, 9", "10, 0, 0", "10, 1, 9"})
  void adaSpaHasAsManyDenseStepsAsTheWarmUpSays(int steps, String warmup, int firstSearch)
      throws IOException {
    JsonNode schedule =
        compile("--method adaspa --steps " + steps + " --dense-warmup " + warmup).path("schedule");
    assertThat(schedule.path("searchSteps").path(0).asInt()).isEqualTo(firstSearch);
  }

  @Test
  void svgIsStatelessUnlessPlansAreReused() throws IOException {
    JsonNode bundle = compile("--method svg");
    assertThat(bundle.path("method").path("settings").path("density").asDouble()).isEqualTo(0.3);
    assertThat(bundle.path("method").path("settings").path("budget").asBoolean()).isFalse();
    assertThat(bundle.path("state")).isEmpty();
    JsonNode reusing = compile("--method svg --replan-interval 2 --density 0.4");
    assertThat(names(reusing)).containsExactly("head_classes", "head_classes");
    assertThat(reusing.path("method").path("settings").path("budget").asBoolean()).isTrue();
  }

  /** 192 tokens in frames of 48: with blocks of 16 the sink alone is a quarter. */
  @Test
  void svgSaysWhatBandItMakes() throws IOException {
    String narrow = run("--method svg --density 0.1 --block-size 16 --verify none").out();
    assertThat(narrow)
        .contains("SVG, 2 sites: density 0.313, a band of 0 blocks of 16 tokens to either side")
        .contains("That is more than --density 0.1 asks for: no band of these blocks is thinner.")
        .contains("A smaller --block-size, or --frame-sink none, keeps less.");
    assertThat(
            run("--method svg --density 0.3 --frame-sink none --block-size 16 --verify none").out())
        .contains("the widest within --density 0.3.");
    JsonNode bands = compile("--method svg --block-size 16").path("sites").path(1).path("bands");
    assertThat(bands.path("spatial").path("blocks").asInt()).isEqualTo(2);
    assertThat(bands.path("temporal").path("density").asDouble()).isCloseTo(.5417, within(1e-4));
  }

  @Test
  void aReplanIntervalPutsThePlanIntoTheState() throws IOException {
    JsonNode bundle = compile("--replan-interval 3 --plan-during-warmup");
    assertThat(bundle.path("schedule").path("replanInterval").asInt()).isEqualTo(3);
    assertThat(bundle.path("schedule").path("planDuringWarmup").asBoolean()).isTrue();
    assertThat(bundle.path("sites").path(1).path("planInState").asBoolean()).isTrue();
    assertThat(names(bundle))
        .contains("query_order", "key_order", "query_offsets", "key_offsets", "keep");
  }

  private static List<String> names(JsonNode bundle) {
    List<String> names = new ArrayList<>();
    bundle.path("state").forEach(tensor -> names.add(tensor.path("name").asText()));
    return names;
  }

  @Test
  void aPresetIsAsPublished() throws IOException {
    JsonNode bundle = compile("--preset wan-i2v-480p");
    assertThat(bundle.path("schedule").path("steps").asInt()).isEqualTo(40);
    assertThat(bundle.path("schedule").path("planDuringWarmup").asBoolean()).isTrue();
    assertThat(bundle.path("method").path("settings"))
        .isEqualTo(
            JSON.readTree(
                """
                {"topP": 0.9, "minKept": 0.1, "queryClusters": 200, "keyClusters": 1000,
                 "iterations": 2, "initIterations": 50, "compensate": false}
                """));
    JsonNode changed =
        compile("--preset wan-i2v-480p --compensate --density .3").path("method").path("settings");
    assertThat(changed.path("compensate").asBoolean()).isTrue();
    assertThat(changed.path("density").asDouble()).isEqualTo(0.3);
    assertThat(changed.path("minKept").asDouble()).isZero();
  }

  @Test
  void topPTakesThePlaceOfTheBudget() throws IOException {
    JsonNode settings = compile("--top-p .8 --no-compensate").path("method").path("settings");
    assertThat(settings.path("topP").asDouble()).isEqualTo(0.8);
    assertThat(settings.path("minKept").asDouble()).isEqualTo(0.1);
    assertThat(settings.has("density")).isFalse();
    assertThat(settings.path("compensate").asBoolean()).isFalse();
    assertThat(compile("--ranking mass-per-token").path("method").path("settings").path("density"))
        .isEqualTo(JSON.readTree("0.25"));
  }

  @Test
  void aBudgetTakesThePlaceOfTopP() throws IOException {
    JsonNode settings =
        compile("--density 0.3 --ranking mass-per-token").path("method").path("settings");
    assertThat(settings.path("density").asDouble()).isEqualTo(0.3);
    assertThat(settings.path("ranking").asText()).isEqualTo("mass-per-token");
    assertThat(settings.path("minKept").asDouble()).isZero();
    assertThat(settings.has("topP")).isFalse();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--method adaspa --density 0.4 --compensate",
        "--method svg --density 0.5 --frame-sink corrected --block-size 16",
        "--density 0.3 --ranking mass-per-token"
      })
  void verifiesAndReadsItsOwnPlan(String options) throws IOException {
    CommandLineRun run = run(options);
    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out()).contains("With everything kept the result equals the dense model");
    JsonNode direct = JSON.readTree(folder.resolve("bundle/bundle.json").toFile());

    Path plan = folder.resolve("plan.json");
    List<Object> arguments = new ArrayList<>(List.of("inspect", WAN, "--plan", plan));
    arguments.addAll(List.of(options.split(" ")));
    assertThat(CommandLineRun.of(arguments.toArray()).exitCode()).isZero();
    assertThat(compile("--plan " + plan)).isEqualTo(direct);
  }

  /**
   * Sites alone have fewer tokens than the model, 4,096 here, and so have their state and clusters.
   */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "--method svg2",
        "--method svg2 --density 0.2 --replan-interval 2",
        "--method adaspa --compensate",
        "--method svg --density 0.3 --block-size 64"
      })
  void verifiesSitesAloneAtFewerTokens(String options) throws IOException {
    Path model = Path.of("..", "..", "testdata", "tiny-video-dit", "exports", "ts17-4096.onnx");
    Path bundle = folder.resolve("bundle");
    List<Object> arguments =
        new ArrayList<>(List.of("compile", model, "-o", bundle, "--verify", "sites"));
    arguments.addAll(List.of(options.split(" ")));

    CommandLineRun run = CommandLineRun.of(arguments.toArray());

    assertThat(run.exitCode()).as(run.err()).isZero();
    JsonNode sites =
        JSON.readTree(bundle.resolve("report.json").toFile()).path("verification").path("sites");
    assertThat(sites).hasSize(1);
    assertThat(sites.path(0).path("tokens").asInt()).isEqualTo(2048);
    // Structure is planted for all methods: neighbours in a frame, or places in all frames.
    assertThat(sites.path(0).path("density").asDouble()).isLessThan(0.7);
    assertThat(sites.path(0).path("recall").asDouble()).isGreaterThan(0.75);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--method adaspa --top-p 0.5 | --top-p is no setting of adaspa",
        "--method svg --clusters 3,4 | --clusters is no setting of svg",
        "--frame-sink corrected | --frame-sink is no setting of svg2",
        "--density 0 | a density must be above 0 and at most 1, which keeps everything, not 0.0",
        "--density 25 | a density must be above 0 and at most 1, which keeps everything, not 25.0",
        "--clusters 2147483647,8 | --clusters must be at most 131072 each",
        "--method svg --sampled-rows 2147483647 | --sampled-rows must be at most 131072",
        "--density 0.3 --top-p 0.9 | give either --density or --top-p",
        "--ranking mass --top-p 0.9 | --ranking is for a density",
        "--ranking mass --preset wan-t2v-720p | give --density too",
        "--density 0.3 --ranking best | --ranking must be mass or mass-per-token, not 'best'",
        "--method svg --frame-sink all | --frame-sink must be none, published, corrected",
        "--preset wan | --preset must be one of wan-t2v-720p",
        "--replan-interval 0 | --replan-interval must be at least 1, not 0",
        "--dense-warmup 1.5 | --dense-warmup must be from 0 to 1, not 1.5",
        "--search-steps 100 | --search-steps begins at step 100 of 50",
        "--method adaspa --steps 5 --search-steps 9,29 | no step would be sparse",
        "--search-steps 9,3 | --search-steps must ascend",
        "--search-steps 3 --replan-interval 2 | --search-steps says all of the schedule",
        "--method adaspa --plan-during-warmup | --plan-during-warmup does nothing for adaspa",
        "--steps 2000000000 | --steps must be at most 100000",
        "--steps 0 | --steps must be at least 1, not 0"
      })
  void whatHasNoMeaningIsAUsageError(String row) {
    String[] parts = row.split(" \\| ");
    CommandLineRun run = run(parts[0] + " --verify none");
    assertThat(run.exitCode()).as(run.err()).isEqualTo(2);
    assertThat(run.err()).contains(parts[1]);
    assertThat(folder.resolve("bundle")).doesNotExist();
  }
}
