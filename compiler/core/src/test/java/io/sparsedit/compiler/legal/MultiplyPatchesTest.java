package io.sparsedit.compiler.legal;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class MultiplyPatchesTest {
  private static final double TOLERANCE = 2e-6;

  private final Spelled spelled = new Spelled(17);

  private Value conv(Value x, Value weight, boolean bias, Object... attributes) {
    List<Optional<Value>> inputs = new ArrayList<>(List.of(Optional.of(x), Optional.of(weight)));
    if (bias) {
      inputs.add(Optional.of(spelled.weights("bias", 6)));
    }
    return spelled.node("Conv", inputs, attributes);
  }

  private Value tokens(Value grid, long batch) {
    Value shape = spelled.graph.addConstant("shape", Tensor.vector(batch, 6, -1));
    Value flat = spelled.node("Reshape", grid, shape);
    return spelled.node("Transpose", List.of(Optional.of(flat)), "perm", new long[] {0, 2, 1});
  }

  /** As Wan and HunyuanVideo embed a video. */
  @Test
  void patchesOfAVideo() {
    Value weight = spelled.weights("w", 6, 4, 1, 2, 2);
    Value grid =
        conv(spelled.floats("x", 1, 4, 3, 8, 6), weight, true, "strides", new long[] {1, 2, 2});
    spelled.output(tokens(grid, 1)).check(TOLERANCE, "Conv");
  }

  @Test
  void patchesOverTimeOfTwoVideosWithoutBias() {
    Value weight = spelled.weights("w", 6, 4, 3, 2, 1);
    Value grid =
        conv(spelled.floats("x", 2, 4, 6, 8, 5), weight, false, "strides", new long[] {3, 2, 1});
    spelled.output(tokens(grid, 2)).check(TOLERANCE, "Conv");
  }

  /** As PixArt embeds an image, with all attributes spelled out. */
  @Test
  void patchesOfAnImage() {
    Value grid =
        conv(
            spelled.floats("x", 1, 4, 8, 6),
            spelled.weights("w", 6, 4, 2, 2),
            true,
            "kernel_shape",
            new long[] {2, 2},
            "strides",
            new long[] {2, 2},
            "dilations",
            new long[] {1, 1},
            "pads",
            new long[] {0, 0, 0, 0},
            "group",
            1);
    spelled.output(tokens(grid, 1)).check(TOLERANCE, "Conv");
  }

  private void stays(Value result) {
    spelled.output(result);
    assertThat(spelled.check(TOLERANCE).graph().nodes()).anyMatch(node -> node.is("Conv"));
  }

  @Test
  void patchesThatOverlapStay() {
    Value weight = spelled.weights("w", 6, 4, 2, 2);
    stays(tokens(conv(spelled.floats("x", 1, 4, 8, 6), weight, true), 1));
  }

  @Test
  void patchesThatLeaveAColumnOutStay() {
    Value weight = spelled.weights("w", 6, 4, 2, 2);
    Value x = spelled.floats("x", 1, 4, 8, 7);
    stays(tokens(conv(x, weight, true, "strides", new long[] {2, 2}), 1));
  }

  @Test
  void paddedAndGroupedPatchesStay() {
    Value x = spelled.floats("x", 1, 4, 6, 6);
    Value padded =
        conv(
            x,
            spelled.weights("w", 6, 4, 2, 2),
            false,
            "strides",
            new long[] {2, 2},
            "pads",
            new long[] {1, 1, 1, 1});
    Value grouped =
        conv(x, spelled.weights("w2", 6, 2, 2, 2), false, "strides", new long[] {2, 2}, "group", 2);
    spelled.output(tokens(padded, 1));
    stays(tokens(grouped, 1));
    assertThat(spelled.legalised().graph().nodeList())
        .filteredOn(node -> node.is("Conv"))
        .hasSize(2);
  }

  @Test
  void aGridThatOthersReadStays() {
    Value weight = spelled.weights("w", 6, 4, 2, 2);
    Value x = spelled.floats("x", 1, 4, 8, 6);
    Value grid = conv(x, weight, true, "strides", new long[] {2, 2});
    spelled.output(spelled.node("Relu", grid));
    stays(tokens(grid, 1));
  }

  @Test
  void sizesThatTheGraphDoesNotFixStay() {
    Value weight = spelled.weights("w", 6, 4, 2, 2);
    Value x = spelled.dynamic("x", 1, 4, 8, 6);
    stays(tokens(conv(x, weight, true, "strides", new long[] {2, 2}), 1));
  }
}
