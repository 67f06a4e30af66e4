package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Value;

/**
 * Which tokens of a site are video and which are text: video tokens are one run, text is before or
 * after it.
 *
 * @param position where text stands
 * @param all S
 * @param count how many tokens are video
 * @param start the first video token
 * @param textCount how many tokens are text; 0 without text
 * @param textStart the first text token; 0 without text
 */
record VideoTokens(
    TextPosition position, Value all, Value count, Value start, Value textCount, Value textStart) {

  /**
   * Reads the split off the shape of Q and the geometry. Without text all tokens are video,
   * whatever the geometry says.
   *
   * @param bhsd {@code [B,H,S,D]}
   * @param geometry i32 {@code [3]}
   */
  static VideoTokens of(Ops ops, TextPosition position, Value bhsd, Value geometry) {
    Value all = ops.dim(bhsd, 2);
    Value none = ops.i64(0);
    if (position == TextPosition.NONE) {
      return new VideoTokens(position, all, all, none, none, none);
    }
    Value count =
        ops.named("video_tokens", ops.mul(frames(ops, geometry), perFrame(ops, geometry)));
    Value text = ops.named("text_tokens", ops.sub(all, count));
    return position == TextPosition.FIRST
        ? new VideoTokens(position, all, count, text, text, none)
        : new VideoTokens(position, all, count, none, text, count);
  }

  /** Frames of a geometry: i64. */
  static Value frames(Ops ops, Value geometry) {
    return ops.gather(ops.i64(geometry), ops.i64(0));
  }

  /** Tokens of a frame, height times width: i64. */
  static Value perFrame(Ops ops, Value geometry) {
    Value extents = ops.i64(geometry);
    return ops.mul(ops.gather(extents, ops.i64(1)), ops.gather(extents, ops.i64(2)));
  }

  /** One past the last video token. */
  Value end() {
    return position == TextPosition.LAST ? count : all;
  }

  /**
   * A token order with text at its end.
   *
   * @param ofVideo i64: the video tokens, counted from 0, by position
   * @return i32 {@code [S]}: position to token
   */
  Value order(Ops ops, Value ofVideo) {
    Value text = ops.add(ops.range(textCount), textStart);
    return ops.i32(withText(ops, ops.add(ofVideo, start), text));
  }

  /**
   * Segment starts.
   *
   * @param sizes i64 {@code [n]}: of the video segments
   * @return i32 {@code [n+1]}, one more with text
   */
  Value offsets(Ops ops, Value sizes) {
    return ops.i32(PlanParts.offsets(ops, withText(ops, sizes, ops.vector(textCount))));
  }

  /** A vector with an element for each video segment, with text's element at its end. */
  Value withText(Ops ops, Value ofVideo, Value ofText) {
    return switch (position) {
      case NONE -> ofVideo;
      case FIRST -> ops.concat(0, ofText, ofVideo);
      case LAST -> ops.concat(0, ofVideo, ofText);
    };
  }

  /**
   * A keep map with the text segment's row and column, all 1.
   *
   * @param keep i64 {@code [Nq,Nk]} of the video segments
   */
  Value keepWithText(Ops ops, Value keep) {
    if (position == TextPosition.NONE) {
      return keep;
    }
    Value column = ops.filled(1, ops.vector(ops.dim(keep, 0), ops.i64(1)));
    Value row = ops.filled(1, ops.vector(ops.i64(1), ops.add(ops.dim(keep, 1), ops.i64(1))));
    return position == TextPosition.FIRST
        ? ops.concat(0, row, ops.concat(1, column, keep))
        : ops.concat(0, ops.concat(1, keep, column), row);
  }
}
