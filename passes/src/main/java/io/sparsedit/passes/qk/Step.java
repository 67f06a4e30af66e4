package io.sparsedit.passes.qk;

import java.util.List;

/** How an element is made. */
sealed interface Step {
  /** It is another element. */
  record Same(Element from) implements Step {}

  /** It is the sum of others, each with its sign. */
  record Sum(Element left, Element right, double rightSign) implements Step {}

  /** It is another one times a sign. */
  record Signed(Element from, double sign) implements Step {}

  /** It is the product of two. */
  record Product(Element left, Element right) implements Step {}

  /** It is {@code data * cos + sign * other * sin}, as the RotaryEmbedding operators compute it. */
  record Rotated(Element data, Element cos, Element other, Element sin, double sign)
      implements Step {
    List<Element> elements() {
      return List.of(data, cos, other, sin);
    }
  }

  /** Its operator is not looked into. */
  record Opaque() implements Step {}
}
