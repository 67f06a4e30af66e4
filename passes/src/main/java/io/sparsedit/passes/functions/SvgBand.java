package io.sparsedit.passes.functions;

/**
 * The band that {@link SvgPlan} makes of a video of known size: what its function computes in the
 * graph, for what is said about a model before it runs.
 *
 * @param blocks the band's m: how many blocks away a query block keeps key blocks
 * @param density the part of the pairs of video tokens that band and sink keep, no key being masked
 */
public record SvgBand(int blocks, double density) {
  /** Widths are right to this part of a block, as those of the function. */
  private static final double SLACK = SvgPlanFunction.SLACK;

  /**
   * The band of the heads of a class.
   *
   * @param call the planner's settings
   * @param temporal whether heads are temporal, which matters with {@link FrameSink#CORRECTED}
   * @param frames F, at least 1
   * @param perFrame P, at least 1
   * @param textTokens tokens that are text
   */
  public static SvgBand of(
      SvgPlan call, boolean temporal, int frames, int perFrame, int textTokens) {
    Blocks blocks = new Blocks(call, temporal, frames, perFrame);
    int band =
        call.budget() ? withinBudget(blocks, call.density()) : published(call, blocks, textTokens);
    double all = (double) blocks.video() * blocks.video();
    return new SvgBand(band, blocks.pairs(band) / all);
  }

  private static int published(SvgPlan call, Blocks blocks, int textTokens) {
    double all = (double) blocks.video() + textTokens;
    double share = call.density() - 2.0 * textTokens / all;
    double rest = Math.min(Math.max(1 - share, 0), 1);
    double exact = all * (1 - Math.sqrt(rest)) / call.blockSize();
    double rounding = call.text() == TextPosition.NONE ? 1 - SLACK : SLACK;
    return (int) Math.floor(exact + rounding);
  }

  /** Pairs grow with the band: the last that fits, by bisection. */
  private static int withinBudget(Blocks blocks, float density) {
    double limit = Math.floor((double) blocks.video() * blocks.video() * density);
    int fits = 0;
    int exceeds = blocks.count();
    while (exceeds - fits > 1) {
      int middle = (fits + exceeds) >>> 1;
      if (blocks.pairs(middle) <= limit) {
        fits = middle;
      } else {
        exceeds = middle;
      }
    }
    return fits;
  }

  /** The blocks of the heads of a class. */
  private record Blocks(SvgPlan call, boolean temporal, int frames, int perFrame) {
    int video() {
      return Math.multiplyExact(frames, perFrame);
    }

    int count() {
      return (video() - 1) / call.blockSize() + 1;
    }

    private int start(int block) {
      return (int) Math.min((long) block * call.blockSize(), video());
    }

    private int sinkBlocks() {
      return call.sink() == FrameSink.PUBLISHED ? (perFrame - 1) / call.blockSize() + 1 : 0;
    }

    private int sinkTokens() {
      return switch (call.sink()) {
        case NONE -> 0;
        case PUBLISHED -> start(sinkBlocks());
        case CORRECTED -> perFrame;
      };
    }

    /** Key tokens of the blocks before one. */
    private int keysBefore(int block) {
      int position = start(block);
      if (call.sink() != FrameSink.CORRECTED) {
        return position;
      }
      // Less those of the first frame: every F-th position of a temporal head.
      return temporal
          ? position - (position + frames - 1) / frames
          : Math.max(position - perFrame, 0);
    }

    /** Kept pairs of video tokens. */
    double pairs(int band) {
      long kept = (long) sinkTokens() * video();
      for (int i = 0; i < count(); i++) {
        int from = Math.max(Math.max(i - band, 0), sinkBlocks());
        int to = Math.max((int) Math.min((long) i + band + 1, count()), sinkBlocks());
        kept += (long) (start(i + 1) - start(i)) * (keysBefore(to) - keysBefore(from));
      }
      return kept;
    }
  }
}
