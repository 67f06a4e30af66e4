package io.sparsedit.passes.functions;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** Which keys every query of SVG attends to beside its band: the first frame, in a way. */
public enum FrameSink {
  /** None, as the published code for models with text tokens. */
  NONE,
  /**
   * The first positions, as many as a frame has tokens, after the order of the head: what the
   * published code does for models without text tokens. In a temporal head these are the first
   * tokens of each frame, not the first frame.
   */
  PUBLISHED,
  /** The tokens of the first frame, in heads of both classes. */
  CORRECTED;

  /** The value of the {@code frame_sink} attribute. */
  public String attributeValue() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The sink of an attribute's value. */
  public static Optional<FrameSink> of(String attributeValue) {
    return Arrays.stream(values())
        .filter(sink -> sink.attributeValue().equals(attributeValue))
        .findFirst();
  }

  String overloadPart() {
    return this == NONE ? "" : "_sink_" + attributeValue();
  }

  /** How many key segments it adds to a plan. */
  public int keySegments() {
    return this == CORRECTED ? 1 : 0;
  }
}
