package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.match.Pattern;
import io.sparsedit.compiler.rules.match.Pattern.AttributeCondition;

/** What may be repeated: a layer that leads to the next one and captures nothing. */
final class Layers {
  private Layers() {}

  /** Whether every way through a layer leads to the next one. */
  static boolean endsInAgain(Pattern pattern, int id) {
    if (pattern instanceof Pattern.Again again) {
      return again.id() == id;
    }
    if (pattern instanceof Pattern.Op op) {
      return op.args().stream().anyMatch(a -> endsInAgain(a.pattern(), id));
    }
    if (pattern instanceof Pattern.Choice choice) {
      return choice.branches().stream().allMatch(b -> endsInAgain(b.pattern(), id));
    }
    return pattern instanceof Pattern.Repeat repeat && endsInAgain(repeat.inner(), id);
  }

  /** Whether a layer captures something. */
  static boolean bindsSlots(Pattern pattern) {
    if (pattern instanceof Pattern.Variable) {
      return true;
    }
    if (pattern instanceof Pattern.Constant constant) {
      return constant.slot() != Pattern.NO_SLOT;
    }
    if (pattern instanceof Pattern.GraphInput input) {
      return input.slot() != Pattern.NO_SLOT;
    }
    if (pattern instanceof Pattern.Op op) {
      return op.args().stream().anyMatch(a -> bindsSlots(a.pattern()))
          || op.attributes().stream().anyMatch(AttributeCondition.Capture.class::isInstance);
    }
    if (pattern instanceof Pattern.Choice choice) {
      return choice.branches().stream()
          .anyMatch(b -> bindsSlots(b.pattern()) || !b.computed().isEmpty());
    }
    return pattern instanceof Pattern.Repeat repeat && bindsSlots(repeat.inner());
  }
}
