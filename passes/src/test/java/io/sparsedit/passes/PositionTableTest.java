package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.compiler.ir.Tensor;
import java.util.Random;
import java.util.function.IntToDoubleFunction;
import org.junit.jupiter.api.Test;

final class PositionTableTest {
  private static final int FRAMES = 4;
  private static final int HEIGHT = 3;
  private static final int WIDTH = 5;
  private static final int TOKENS = FRAMES * HEIGHT * WIDTH;

  /** [tokens, channels] of the given functions of the token. */
  private static Tensor table(IntToDoubleFunction... channels) {
    float[] elements = new float[TOKENS * channels.length];
    for (int token = 0; token < TOKENS; token++) {
      for (int c = 0; c < channels.length; c++) {
        elements[token * channels.length + c] = (float) channels[c].applyAsDouble(token);
      }
    }
    return Tensor.ofFloats(new long[] {1, TOKENS, channels.length}, elements);
  }

  private static int column(int token) {
    return token % WIDTH;
  }

  private static int row(int token) {
    return token / WIDTH % HEIGHT;
  }

  private static int frame(int token) {
    return token / WIDTH / HEIGHT;
  }

  @Test
  void rotaryTableTellsTheExtent() {
    Tensor table =
        table(
            t -> Math.cos(frame(t)),
            t -> Math.sin(frame(t)),
            t -> Math.cos(row(t)),
            t -> Math.sin(row(t)),
            t -> Math.cos(0.3 * column(t)),
            t -> Math.sin(0.3 * column(t)));

    assertThat(PositionTable.extent(table, TOKENS)).hasToString("Optional[4x3x5]");
  }

  /** Low frequencies round to the same number for neighbours. */
  @Test
  void coarseChannelsDoNotDisturb() {
    Tensor table =
        table(
            t -> Math.cos(1e-4 * column(t)),
            t -> Math.cos(1e-4 * row(t)),
            t -> Math.floorDiv(column(t), 3),
            t -> Math.floorDiv(row(t), 2),
            t -> Math.floorDiv(frame(t), 2),
            t -> 1,
            t -> frame(t),
            t -> row(t),
            t -> column(t));

    assertThat(PositionTable.extent(table, TOKENS)).hasToString("Optional[4x3x5]");
  }

  @Test
  void tableOfAnImageTellsRowsAndColumns() {
    Tensor table = table(t -> Math.floorDiv(t, WIDTH), t -> column(t));

    assertThat(PositionTable.extent(table, TOKENS)).hasToString("Optional[1x12x5]");
  }

  @Test
  void channelsFirstAreRead() {
    float[] elements = new float[3 * TOKENS];
    for (int token = 0; token < TOKENS; token++) {
      elements[token] = frame(token);
      elements[TOKENS + token] = row(token);
      elements[2 * TOKENS + token] = column(token);
    }
    Tensor table = Tensor.ofFloats(new long[] {1, 3, TOKENS}, elements);

    assertThat(PositionTable.extent(table, TOKENS)).hasToString("Optional[4x3x5]");
  }

  @Test
  void learnedTableTellsNothing() {
    Random random = new Random(1);

    assertThat(
            PositionTable.extent(table(t -> random.nextFloat(), t -> random.nextFloat()), TOKENS))
        .isEmpty();
  }

  @Test
  void tableThatMixesRowsAndColumnsTellsNothing() {
    Tensor table =
        table(t -> frame(t), t -> row(t), t -> column(t), t -> row(t) * 7 % 4 + column(t));

    assertThat(PositionTable.extent(table, TOKENS)).isEmpty();
  }

  @Test
  void positionsInOneSequenceTellNothing() {
    assertThat(PositionTable.extent(table(t -> Math.cos(t), t -> Math.sin(t)), TOKENS)).isEmpty();
  }

  @Test
  void tableWithTwoAxesOfThatSizeTellsNothing() {
    Tensor square = Tensor.ofFloats(new long[] {2, 2}, 0, 1, 0, 1);

    assertThat(PositionTable.extent(square, 2)).isEmpty();
  }
}
