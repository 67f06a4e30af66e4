package io.sparsedit.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.runtime.Tensor;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

final class RunStepsTest {
  /** The runtime's test bundle; its model is described beside it. */
  private static final String FIXTURE = "../runtime/src/test/resources/fixture";

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  private int run(String... arguments) {
    return RunSteps.run(List.of(arguments), new PrintStream(out, true), new PrintStream(err, true));
  }

  private static List<String> lines(ByteArrayOutputStream text) {
    return text.toString(StandardCharsets.UTF_8).lines().toList();
  }

  @Test
  void eachStepIsPrintedWithItsActionAndError() {
    assertThat(run(FIXTURE, "--steps", "5", "--dim", "batch=2", "--threads", "1")).isZero();
    List<String> lines = lines(out);
    assertThat(lines).hasSize(8);
    assertThat(lines.get(0)).contains("svg2, 2 sites").contains("ONNX Runtime");
    assertThat(lines.get(2)).matches(" +0  DENSE .*equal");
    assertThat(lines.get(3)).matches(" +1  PLAN_SPARSE_COLD .* dB");
    assertThat(lines.get(4)).matches(" +2  REUSE_SPARSE .* dB");
    assertThat(lines.get(7)).contains("all steps");
  }

  @Test
  void theSameInputsGiveEachStepItsOwnError() {
    assertThat(run(FIXTURE, "--dim", "batch=2", "--same-inputs", "--seed", "3")).isZero();
    assertThat(lines(out)).hasSize(13);
  }

  @Test
  void whatIsMissingIsNamed() {
    assertThat(run()).isEqualTo(2);
    assertThat(lines(err).get(0)).isEqualTo("BUNDLE is missing");
    err.reset();
    assertThat(run(FIXTURE)).isEqualTo(1);
    assertThat(lines(err))
        .containsExactly("the model's inputs depend on batch: say --dim batch=SIZE");
    err.reset();
    assertThat(run("nowhere")).isEqualTo(1);
    assertThat(lines(err)).hasSize(1);
    assertThat(lines(err).get(0)).contains("nowhere is not a bundle");
    err.reset();
    assertThat(run(FIXTURE, "--step", "5")).isEqualTo(2);
    assertThat(lines(err).get(0)).isEqualTo("unknown option --step");
  }

  @Test
  void differencesAreThoseOfTheTextbook() {
    Tensor reference = Tensor.ofFloats(new long[] {4}, 0, 1, -1, 2);
    assertThat(Difference.of(reference, reference).psnr()).isInfinite();
    Difference difference = Difference.of(Tensor.ofFloats(new long[] {4}, 0, 1, -1, 1), reference);
    assertThat(difference.relativeL1()).isEqualTo(.25);
    assertThat(difference.psnr()).isEqualTo(20 * Math.log10(3 / .5));
  }
}
