package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Benches of small exported models, in ONNX Runtime. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class BenchCommandTest {
  private Path folder;
  private Path bundle;

  @BeforeAll
  void compile(@TempDir Path temporary) {
    folder = temporary;
    bundle = compile("wan21_t2v-ts17-static", "wan", "--replan-interval", 2, "--top-p", 0.5);
  }

  private Path compile(String graph, String name, Object... options) {
    Path out = folder.resolve(name);
    Object[] all = new Object[options.length + 8];
    Object[] first = {
      "compile", CommandLineRun.zoo(graph), "-o", out, "--verify", "none", "--dense-layers", "none"
    };
    System.arraycopy(first, 0, all, 0, first.length);
    System.arraycopy(options, 0, all, first.length, options.length);
    CommandLineRun run = CommandLineRun.of(all);
    assertThat(run.exitCode()).as(run.err()).isZero();
    return out;
  }

  @Test
  void schedulesAreComputedOfTheirSteps() throws IOException {
    CommandLineRun run =
        CommandLineRun.of(
            "bench",
            bundle,
            "--repeat",
            3,
            "--warm-up",
            0,
            "--steps",
            10,
            "--dense-warmups",
            "0.2,0.5",
            "--replan-intervals",
            "1,4",
            "--whole",
            "--json");

    assertThat(run.exitCode()).as(run.err()).isZero();
    JsonNode report = new ObjectMapper().readTree(run.out());
    assertThat(report.path("model").path("backend").asText()).startsWith("ONNX Runtime");
    Map<String, Double> medians = new HashMap<>();
    for (JsonNode step : report.path("model").path("steps")) {
      assertThat(step.path("milliseconds")).hasSize(3);
      medians.put(step.path("action").asText(), step.path("median").asDouble());
    }
    assertThat(medians)
        .containsOnlyKeys(
            "DENSE",
            "PLAN_DENSE",
            "PLAN_SPARSE",
            "REUSE_SPARSE",
            "PLAN_DENSE_COLD",
            "PLAN_SPARSE_COLD");
    // The bundle's own, and two warm-ups with two intervals each.
    assertThat(report.path("schedules")).hasSize(5);
    JsonNode last = report.path("schedules").get(4);
    assertThat(last.path("denseSteps").asInt()).isEqualTo(5);
    assertThat(last.path("replanInterval").asInt()).isEqualTo(4);
    double wanted = 0;
    int steps = 0;
    for (Map.Entry<String, JsonNode> count : last.path("stepCounts").properties()) {
      wanted += count.getValue().asInt() * medians.getOrDefault(count.getKey(), Double.NaN);
      steps += count.getValue().asInt();
    }
    assertThat(steps).isEqualTo(10);
    assertThat(last.path("stepCounts").path("REUSE_SPARSE").asInt()).isEqualTo(3);
    assertThat(last.path("milliseconds").asDouble()).isCloseTo(wanted, within(1e-6));
    assertThat(last.path("speedup").asDouble())
        .isCloseTo(10 * medians.getOrDefault("DENSE", Double.NaN) / wanted, within(1e-6));
    assertThat(report.path("wholeRun").path("milliseconds")).hasSize(10);
    assertThat(report.path("wholeRun").path("denseMilliseconds")).hasSize(10);
  }

  @Test
  void densityIsThatOfThePlansInTheState() throws IOException {
    JsonNode half = density(bundle);
    assertThat(half).hasSize(2);
    assertThat(half.get(0).path("mean").asDouble()).isBetween(.1, .9);
    Path all = compile("hunyuanvideo-ts17-static", "all", "--replan-interval", 2, "--top-p", 1);
    for (JsonNode site : density(all)) {
      assertThat(site.path("least").asDouble()).isEqualTo(1);
      assertThat(site.path("most").asDouble()).isEqualTo(1);
    }
  }

  private JsonNode density(Path of) throws IOException {
    Path file = folder.resolve("report.json");
    CommandLineRun run =
        CommandLineRun.of(
            "bench", of, "--actions", "PLAN_SPARSE", "--repeat", 2, "--warm-up", 0, "-o", file);
    assertThat(run.exitCode()).as(run.err()).isZero();
    return new ObjectMapper().readTree(file.toFile()).path("density");
  }

  @Test
  void theReportSaysWhatRanAndWhatDenseStepsAre() {
    Path stateless = compile("wan21_t2v-ts17-static", "stateless", "--replan-interval", 1);

    CommandLineRun run =
        CommandLineRun.of("bench", stateless, "--repeat", 2, "--warm-up", 0, "--steps", 4);

    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out())
        .contains("on ONNX Runtime")
        .contains("a sparse step, PLAN_SPARSE")
        .contains("the bundle's own")
        .contains("dense steps here are those of this bundle's own model")
        .contains("2 sites keep no plan in their state")
        .contains("whose layers are not timed", "sparsify-model build " + stateless)
        // An engine that this machine cannot build or run.
        .doesNotContain("REUSE_SPARSE", "--dense");
  }

  @ParameterizedTest
  @CsvSource({
    "--repeat, 1, --repeat must be at least 2",
    "--actions, SPARSE, 'there is no ''SPARSE'', only dense, plan_dense'",
    "--dense-warmups, 2, --dense-warmups must be from 0 to 1",
    "--replan-intervals, 0, --replan-intervals must be at least 1",
    "--steps, 0, --steps must be at least 1",
    "--target, gpu, 'there is no ''gpu'', only auto, tensorrt, onnx_runtime'"
  })
  void mistakesAreUsageErrors(String option, String value, String message) {
    CommandLineRun run = CommandLineRun.of("bench", bundle, option, value);

    assertThat(run.err()).contains(message);
    assertThat(run.exitCode()).isEqualTo(2);
  }

  @Test
  void whatTheBundleCannotDoIsSaid() {
    Path stateless = compile("wan21_t2v-ts17-static", "noplans", "--replan-interval", 1);
    CommandLineRun reuse = CommandLineRun.of("bench", stateless, "--replan-intervals", 2);
    assertThat(reuse.err()).contains("the bundle's state does not hold it");
    assertThat(reuse.exitCode()).isEqualTo(2);

    CommandLineRun engine = CommandLineRun.of("bench", bundle, "--target", "tensorrt");
    assertThat(engine.err()).contains("has no TensorRT engine", "sparsify-model build");
    assertThat(engine.exitCode()).isEqualTo(1);

    Path hunyuan = compile("hunyuanvideo-ts17-static", "other", "--replan-interval", 1);
    CommandLineRun other = CommandLineRun.of("bench", bundle, "--against", hunyuan);
    assertThat(other.err()).contains("is no bundle of the same model");
    assertThat(other.exitCode()).isEqualTo(2);

    Path same = compile("wan21_t2v-ts17-static", "same", "--replan-interval", 2);
    CommandLineRun sparseOnly = CommandLineRun.of("bench", bundle, "--against", same);
    assertThat(sparseOnly.err())
        .contains("same has no dense engine", "sparsify-model build " + same + " --dense");
    assertThat(sparseOnly.exitCode()).isEqualTo(2);

    CommandLineRun none = CommandLineRun.of("bench", folder.resolve("nothing"));
    assertThat(none.err()).contains("is not a bundle");
    assertThat(none.exitCode()).isEqualTo(1);
  }

  @Test
  void anOutputThatCannotBeWrittenIsSaidBeforeAnythingRuns() {
    Path file = folder.resolve("nowhere").resolve("report.json");
    CommandLineRun run = CommandLineRun.of("bench", folder.resolve("nothing"), "-o", file);
    assertThat(run.err()).contains(file + ": cannot be written: no such file or folder");
    assertThat(run.exitCode()).isEqualTo(1);

    CommandLineRun taken = CommandLineRun.of("bench", folder.resolve("nothing"), "-o", bundle);
    assertThat(taken.err()).contains(bundle + ": cannot be written: there is a folder");
    assertThat(taken.exitCode()).isEqualTo(1);
  }

  @Test
  void theBundlesFolderIsForTheBundleAloneAndThreadsAreFew() {
    for (String name : new String[] {"bundle.json", "bench.json"}) {
      CommandLineRun run = CommandLineRun.of("bench", bundle, "-o", bundle.resolve(name));
      assertThat(run.err()).contains("the bundle's folder is for the bundle alone");
      assertThat(run.exitCode()).isEqualTo(2);
    }
    CommandLineRun run = CommandLineRun.of("bench", bundle, "--threads", 1_000_000);
    assertThat(run.err()).contains("--threads must be at most").contains("processors");
    assertThat(run.exitCode()).isEqualTo(2);
  }
}
