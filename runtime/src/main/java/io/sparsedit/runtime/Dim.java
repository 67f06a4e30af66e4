package io.sparsedit.runtime;

/** A dimension of a tensor of the model. */
public sealed interface Dim {
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
