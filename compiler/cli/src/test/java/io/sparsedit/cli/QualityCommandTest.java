package io.sparsedit.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class QualityCommandTest {
  private static final Path ROOT = Path.of("..", "..");
  private static final Path TINY =
      ROOT.resolve("testdata")
          .resolve("tiny-video-dit")
          .resolve("exports")
          .resolve("ts17-2048.onnx");
  private static final Path SCENE =
      ROOT.resolve("examples/src/main/resources/io/sparsedit/examples/conditions/0.txt");
  private static final Path WAN = CommandLineRun.zoo("wan21_t2v-ts17-static");

  @TempDir private Path folder;

  private JsonNode results() throws IOException {
    return new ObjectMapper().readTree(folder.resolve("quality.json").toFile());
  }

  private static double mean(JsonNode results, int candidate, String what) {
    return results.path("candidates").get(candidate).path("mean").path(what).asDouble();
  }

  /** The trained model, two settings: more of the mass kept is nearer to dense. */
  @Test
  void twoPointsOfTheTrainedModel() throws IOException {
    CommandLineRun run =
        CommandLineRun.of(
            "quality",
            TINY,
            "-o",
            folder,
            "--condition",
            SCENE,
            "--steps",
            3,
            "--dense-warmup",
            .34,
            "--try",
            "SVG2: --clusters 8,32 --top-p {.4|.95} --no-compensate");

    assertThat(run.exitCode()).as(run.err()).isZero();
    JsonNode results = results();
    assertThat(mean(results, 0, "density")).isLessThan(mean(results, 1, "density"));
    assertThat(mean(results, 0, "recall")).isLessThan(mean(results, 1, "recall"));
    assertThat(mean(results, 1, "recall")).isGreaterThan(.85);
    assertThat(mean(results, 0, "psnr")).isBetween(10., mean(results, 1, "psnr") - 3);
    assertThat(mean(results, 0, "ssim")).isLessThan(mean(results, 1, "ssim"));
    JsonNode floor = results.path("floor").get(0);
    assertThat(floor.path("psnr").asDouble()).isBetween(mean(results, 1, "psnr") + 3, 120.);
    JsonNode first = results.path("candidates").get(0).path("runs").get(0);
    assertThat(first.path("denseSteps").asInt()).isEqualTo(1);
    assertThat(first.path("stepDensity").get(0).asDouble()).isEqualTo(1);
    assertThat(first.path("sites")).hasSize(8);
    assertThat(first.path("totalDensity").asDouble())
        .isCloseTo((1 + 2 * first.path("density").asDouble()) / 3, within(1e-4));
    assertThat(run.out()).contains("noise floor", "front", "the first 34 % of them dense");
    for (String plot : new String[] {"quality.svg", "psnr.svg", "quality.html"}) {
      assertThat(folder.resolve(plot)).content().contains("<svg", "SVG2", "half precision alone");
    }
    try (var files = Files.list(folder)) {
      assertThat(files.map(file -> String.valueOf(file.getFileName())))
          .containsExactlyInAnyOrder("quality.json", "quality.svg", "psnr.svg", "quality.html");
    }
  }

  @Test
  void aSweepGoesOnWhereItWas() throws IOException {
    CommandLineRun.of("quality", WAN, "-o", folder, "--steps", 2, "--try", "SVG2: --top-p .5");
    JsonNode before = results();
    CommandLineRun more =
        CommandLineRun.of(
            "quality", WAN, "-o", folder, "--steps", 2, "--try", "SVG2: --top-p {.5|.8}");
    assertThat(more.exitCode()).isZero();
    assertThat(results().path("candidates")).hasSize(2);
    // What was measured stays, its time included.
    assertThat(results().path("candidates").get(0)).isEqualTo(before.path("candidates").get(0));
    assertThat(results().path("floor")).isEqualTo(before.path("floor"));

    CommandLineRun other =
        CommandLineRun.of("quality", WAN, "-o", folder, "--steps", 3, "--try", "SVG2: --top-p .5");
    assertThat(other.exitCode()).isEqualTo(1);
    assertThat(other.err()).contains("with other options", "--fresh");
    assertThat(
            CommandLineRun.of(
                    "quality",
                    WAN,
                    "-o",
                    folder,
                    "--steps",
                    3,
                    "--fresh",
                    "--no-floor",
                    "--try",
                    "SVG2: --top-p .5")
                .exitCode())
        .isZero();
    assertThat(results().path("candidates")).hasSize(1);
    assertThat(results().path("floor")).isEmpty();
  }

  @Test
  void sweepsArePutTogether() throws IOException {
    Path one = folder.resolve("one");
    Path two = folder.resolve("two");
    Path all = folder.resolve("all");
    CommandLineRun.of("quality", WAN, "-o", one, "--steps", 2, "--try", "SVG2: --top-p {.5|.8}");
    CommandLineRun.of(
        "quality", WAN, "-o", two, "--steps", 2, "--seeds", 1, "--try", "SVG2: --top-p .5");
    CommandLineRun run =
        CommandLineRun.of(
            "quality", WAN, "-o", all, "--steps", 2, "--show", "--add", one, "--add", two);

    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out()).contains("2 samples.", "1 of 2 samples");
    JsonNode results = new ObjectMapper().readTree(all.resolve("quality.json").toFile());
    assertThat(results.path("setup").path("samples")).hasSize(2);
    assertThat(results.path("floor")).hasSize(2);
    JsonNode runs = results.path("candidates").get(0).path("runs");
    assertThat(runs).hasSize(2);
    assertThat(mean(results, 0, "psnr"))
        .isCloseTo(
            (runs.get(0).path("psnr").asDouble() + runs.get(1).path("psnr").asDouble()) / 2,
            within(1e-3));

    // What is known is not measured again, and the lines given are shown alone.
    CommandLineRun again =
        CommandLineRun.of(
            "quality",
            WAN,
            "-o",
            all,
            "--steps",
            2,
            "--add",
            one,
            "--show",
            "--try",
            "SVG2: --top-p .8");
    assertThat(again.out()).contains("--top-p .8").doesNotContain("--top-p .5");
    assertThat(new ObjectMapper().readTree(all.resolve("quality.json").toFile()))
        .isEqualTo(results);

    CommandLineRun other =
        CommandLineRun.of("quality", WAN, "-o", all, "--steps", 2, "--shift", 1, "--add", one);
    assertThat(other.exitCode()).isEqualTo(1);
    assertThat(other.err()).contains("with other options");
    CommandLineRun nothing =
        CommandLineRun.of("quality", WAN, "-o", folder.resolve("new"), "--show");
    assertThat(nothing.exitCode()).isEqualTo(1);
    assertThat(nothing.err()).contains("nothing was measured of this sweep");
    CommandLineRun absent =
        CommandLineRun.of(
            "quality", WAN, "-o", all, "--steps", 2, "--show", "--add", folder.resolve("no"));
    assertThat(absent.exitCode()).isEqualTo(1);
    assertThat(absent.err()).contains("to add");
  }

  /** A sweep that is told to stop keeps what it has measured, and takes its bundle with it. */
  @Test
  void aStoppedSweepKeepsItsRuns() throws IOException, InterruptedException {
    Files.createDirectories(folder.resolve(".bundle-999999999"));
    Files.writeString(folder.resolve(".bundle-999999999").resolve("model.onnx"), "killed");
    Process process =
        new ProcessBuilder(
                ProcessHandle.current().info().command().orElseThrow(),
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                "quality",
                TINY.toString(),
                "-o",
                folder.toString(),
                "--condition",
                SCENE.toString(),
                "--steps",
                "3",
                "--no-floor",
                "--try",
                "AdaSpa: --method adaspa --density {.1|.2|.3|.4|.5|.6|.7} --search-steps 0")
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve("log").toFile())
            .start();
    try {
      for (int i = 0;
          i < 1200 && process.isAlive() && !Files.exists(folder.resolve("quality.html"));
          i++) {
        Thread.sleep(50);
      }
      assertThat(process.isAlive()).as("stopped before its end").isTrue();
    } finally {
      process.destroy();
    }
    assertThat(process.waitFor(60, java.util.concurrent.TimeUnit.SECONDS)).isTrue();
    assertThat(results().path("candidates").size()).isBetween(1, 6);
    try (var files = Files.list(folder)) {
      assertThat(files.map(file -> String.valueOf(file.getFileName())))
          .contains("quality.json", "quality.svg", "psnr.svg", "quality.html")
          .noneMatch(name -> name.startsWith(".bundle"));
    }
  }

  @Test
  void everythingKeptIsEqualButForRounding() throws IOException {
    assertThat(
            CommandLineRun.of(
                    "quality",
                    WAN,
                    "-o",
                    folder,
                    "--steps",
                    2,
                    "--dense-warmup",
                    0,
                    "--seeds",
                    "3,4",
                    "--no-floor",
                    "--try",
                    "SVG2: --top-p 1 ")
                .exitCode())
        .isZero();
    assertThat(mean(results(), 0, "density")).isEqualTo(1);
    assertThat(mean(results(), 0, "psnr")).isGreaterThan(90);
    assertThat(results().path("candidates").get(0).path("runs")).hasSize(2);
  }

  @ParameterizedTest
  @CsvSource({
    "--try, no colon, NAME: OPTIONS",
    "--try, SVG2: --top-p {.5, braces that do not match",
    "--try, SVG2: --no-such-option 3, 'in the sweep''s line SVG2: Unknown option'",
    "--try, SVG2: --top-p 0, --top-p must be above 0",
    "--steps, 0, --steps must be at least 1",
    "--dense-warmup, 1.5, --dense-warmup must be from 0 to 1",
    "--condition, nowhere.txt, there is no condition file nowhere.txt",
    "--latents, nothing, the model has no nothing",
    "--timestep, nothing, the model has no nothing",
    "--velocity, nothing, the model has no nothing",
  })
  void whatIsWrongIsNamed(String option, String value, String message) {
    CommandLineRun run =
        CommandLineRun.of("quality", WAN, "-o", folder, "--no-floor", option, value);
    assertThat(run.err()).contains(message);
    assertThat(run.exitCode()).isEqualTo(2);
  }

  /** Before anything is compiled. */
  @Test
  void withoutAGpuThereIsNoEngine() {
    CommandLineRun run =
        CommandLineRun.of("quality", WAN, "-o", folder.resolve("out"), "--engine", "--try", "a: ");
    assertThat(run.exitCode()).isEqualTo(5);
    assertThat(run.err())
        .containsAnyOf("an engine cannot be built here", "there is no plugin library");
    assertThat(folder.resolve("out")).doesNotExist();
  }

  @Test
  void conditionsMustFitTheirInput() throws IOException {
    Path condition = folder.resolve("c.txt");
    Files.writeString(condition, "# two numbers\n1 2\n");
    CommandLineRun run =
        CommandLineRun.of(
            "quality", WAN, "-o", folder.resolve("out"), "--condition", condition, "--try", "a: ");
    assertThat(run.err()).contains("the condition has 2 numbers");
    assertThat(run.exitCode()).isEqualTo(2);
  }
}
