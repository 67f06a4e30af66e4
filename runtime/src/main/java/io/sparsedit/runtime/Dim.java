package io.sparsedit.runtime;

import java.util.Map;
import java.util.OptionalLong;

/** A dimension of a tensor of the model. */
public sealed interface Dim {
  /**
   * The size.
   *
   * @param symbols sizes by the names of symbols
   * @return empty if a symbol has no size
   */
  default OptionalLong size(Map<String, Long> symbols) {
    if (this instanceof Fixed fixed) {
      return OptionalLong.of(fixed.size());
    }
    Long size = symbols.get(toString());
    return size != null ? OptionalLong.of(size) : DimExpression.evaluate(toString(), symbols);
  }

  /** A number. */
  record Fixed(long size) implements Dim {
    @Override
    public String toString() {
      return Long.toString(size);
    }
  }

  /**
   * A size that the inputs decide.
   *
   * @param name a symbol, or an expression over symbols such as {@code 2*batch}
   */
  record Symbolic(String name) implements Dim {
    @Override
    public String toString() {
      return name;
    }
  }
}
