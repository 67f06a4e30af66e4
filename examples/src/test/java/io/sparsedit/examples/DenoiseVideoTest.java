package io.sparsedit.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparsedit.runtime.Bundle;
import io.sparsedit.runtime.Tensor;
import io.sparsedit.runtime.sampling.Condition;
import io.sparsedit.runtime.sampling.SeededInputs;
import io.sparsedit.runtime.sampling.Sigmas;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class DenoiseVideoTest {
  /** A toy model, described in make_video_bundle.py beside it. */
  private static final String BUNDLE = "src/test/resources/video";

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  @TempDir Path folder;

  private int run(String... arguments) {
    return DenoiseVideo.run(
        List.of(arguments), new PrintStream(out, true), new PrintStream(err, true));
  }

  private String error(String... arguments) {
    err.reset();
    assertThat(run(arguments)).isNotZero();
    return err.toString(StandardCharsets.UTF_8).lines().findFirst().orElseThrow();
  }

  private String inFolder(String name) {
    return folder.resolve(name).toString();
  }

  @Test
  void twoStepsGiveVideosASheetAndMetrics() throws IOException {
    assertThat(run(BUNDLE, "--steps", "2", "--seed", "5", "-o", inFolder("a"))).isZero();
    List<String> lines = out.toString(StandardCharsets.UTF_8).lines().toList();
    assertThat(lines).hasSize(11);
    assertThat(lines.get(3)).contains("of 2 steps the first 1 dense (warm-up 50 %)");
    assertThat(lines.get(9)).matches(" mean +\\d\\d\\.\\d\\d +0\\.9\\d+");
    assertThat(folder.resolve("a")).isDirectoryContaining("glob:**/{dense,sparse}.gif");
    assertThat(folder.resolve("a/sheet.png")).isNotEmptyFile();
    assertThat(folder.resolve("a/metrics.json"))
        .content()
        .contains("\"warmupFraction\" : 0.5")
        .contains("\"PLAN_SPARSE_COLD\"");
  }

  @Test
  void theSameSeedGivesTheSameVideo() throws IOException {
    run(BUNDLE, "--steps", "2", "-o", inFolder("a"));
    run(BUNDLE, "--steps", "2", "-o", inFolder("b"));
    run(BUNDLE, "--steps", "2", "--seed", "1", "-o", inFolder("c"));
    byte[] sparse = Files.readAllBytes(folder.resolve("a/sparse.gif"));
    assertThat(folder.resolve("b/sparse.gif")).hasBinaryContent(sparse);
    assertThat(Files.readAllBytes(folder.resolve("c/sparse.gif"))).isNotEqualTo(sparse);
  }

  @Test
  void allDenseIsEqualToDense() {
    assertThat(run(BUNDLE, "--steps", "2", "--dense-warmup", "1", "-o", inFolder("a"))).isZero();
    assertThat(out.toString(StandardCharsets.UTF_8)).containsPattern("mean +Infinity +1\\.0000");
    assertThat(folder.resolve("a/metrics.json")).content().contains("\"psnr\" : null");
  }

  @Test
  void noiseAndConditionsAreThoseOfTheirNumbers() throws IOException {
    Map<String, Tensor> inputs = SeededInputs.of(Bundle.open(Path.of(BUNDLE)), Map.of(), 0);
    // The first numbers of new Random(0).nextGaussian(), as Java specifies them.
    Tensor latents = Objects.requireNonNull(inputs.get("hidden_states"));
    assertThat((float) latents.get(0)).isEqualTo(.8025331f);
    assertThat((float) latents.get(1)).isEqualTo(-.90154606f);
    ReadyConditions.load("0").putInto(inputs, Condition.INPUT);
    Tensor tokens = Objects.requireNonNull(inputs.get("encoder_hidden_states"));
    assertThat(tokens.get(0)).isEqualTo(1);
    assertThat((float) tokens.get(8)).isEqualTo(.100404f);
    for (int i = 0; i < ReadyConditions.COUNT; i++) {
      assertThat(ReadyConditions.load(Integer.toString(i)).values()).hasSize(4 * 64);
    }
  }

  @Test
  void conditionsComeFromFilesToo() throws IOException {
    Path file = folder.resolve("mine.txt");
    Files.writeString(file, "# two numbers\n1 -2.5e-1\n\n");
    Condition condition = ReadyConditions.load(file.toString());
    assertThat(condition).isEqualTo(new Condition("two numbers", List.of(1., -.25)));
    assertThat(error(BUNDLE, "--condition", file.toString()))
        .isEqualTo("encoder_hidden_states is f32[1, 4, 64], the condition has 2 numbers");
    Files.writeString(file, "1 two");
    assertThatThrownBy(() -> ReadyConditions.load(file.toString()))
        .hasMessageContaining("something else than numbers");
  }

  @Test
  void noiseLevelsAreShifted() {
    assertThat(Sigmas.of(4, 1)).containsExactly(1, .75, .5, .25, 0);
    assertThat(Sigmas.of(2, 3)).containsExactly(1, .75, 0);
  }

  @Test
  void whatIsWrongIsNamed() {
    assertThat(error()).isEqualTo("BUNDLE is missing");
    assertThat(error(BUNDLE, "--steps", "none")).contains("must be a whole number, is none");
    assertThat(error(BUNDLE, "--dense-warmup", "2")).contains("must be 0.0 to 1.0, is 2");
    assertThat(error(BUNDLE, "--condition", "6")).isEqualTo("ready conditions are 0 to 5");
    assertThat(error(BUNDLE, "--condition", "nowhere")).contains("no condition file nowhere");
    assertThat(error(BUNDLE, "--quick")).isEqualTo("unknown option --quick");
    assertThat(error("../runtime/src/test/resources/fixture")).contains("--dim batch=SIZE");
    assertThat(error("../runtime/src/test/resources/fixture", "--dim", "batch=1"))
        .contains("no input encoder_hidden_states");
    assertThat(error(BUNDLE, "--dim", "batch")).isEqualTo("--dim must be NAME=SIZE, is batch");
    assertThat(error("nowhere")).contains("nowhere is not a bundle");
  }
}
