package io.sparsedit.compiler.shape;

/**
 * What an operator says of its outputs, given what is known of its inputs.
 *
 * <p>A rule sets what it can on the call, types first, and throws {@link Unknown} with a reason
 * where it cannot go on; what it has set until then stays.
 */
@FunctionalInterface
interface ShapeRule {
  /** Sets the facts of the call's outputs. */
  void infer(Call call);

  /** The reason why some output's shape remains unknown. */
  final class Unknown extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final boolean invalid;

    Unknown(String reason) {
      this(reason, false);
    }

    /** With {@code invalid} the node itself is wrong: no run could give it an output. */
    Unknown(String reason, boolean invalid) {
      super(reason, null, false, false);
      this.invalid = invalid;
    }

    boolean isInvalid() {
      return invalid;
    }

    String reason() {
      return String.valueOf(getMessage());
    }
  }
}
