package io.sparsedit.passes;

import static org.assertj.core.api.Assertions.assertThat;

import io.sparsedit.passes.functions.FrameSink;
import io.sparsedit.passes.functions.Layout;
import io.sparsedit.passes.functions.SvgBand;
import io.sparsedit.passes.functions.SvgPlan;
import io.sparsedit.passes.functions.TextPosition;
import org.junit.jupiter.api.Test;

/** What is said of SVG's bands names what to change where they save nothing. */
final class SvgBandsTest {
  private static final int TOKENS = 1024;
  private static final float DENSITY = 0.3f;

  @Test
  void theFrameSinkOfOneFrameIsEverything() {
    assertThat(note(1, FrameSink.CORRECTED, 64))
        .contains("density 1.000")
        .contains("the frame sink is the whole of a video of one frame. Give --frame-sink none.");
    assertThat(note(1, FrameSink.NONE, 64))
        .contains("the widest within --density 0.3")
        .doesNotContain("everything");
  }

  @Test
  void oneBlockIsEverything() {
    assertThat(note(4, FrameSink.NONE, TOKENS))
        .contains("That is everything, so that nothing is saved: give a smaller --block-size");
  }

  private static String note(int frames, FrameSink sink, int blockSize) {
    SvgPlan call =
        new SvgPlan(
            0,
            Layout.BHSD,
            1,
            blockSize,
            DENSITY,
            true,
            64,
            1,
            sink,
            TextPosition.NONE,
            false,
            false);
    int perFrame = TOKENS / frames;
    return new SvgBands(
            call,
            SvgBand.of(call, false, frames, perFrame, 0),
            SvgBand.of(call, true, frames, perFrame, 0),
            frames == 1)
        .note(1);
  }
}
