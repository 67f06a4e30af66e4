package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.rules.syntax.Span;
import java.util.List;
import java.util.Optional;

/** What must hold once the structure matches. */
public sealed interface Condition {
  /**
   * A value has a shape and one of some element types.
   *
   * @param slot the value's slot
   * @param optional whether the condition holds where the slot is empty
   * @param dims patterns of the dimensions; empty for any shape
   * @param types element types; empty for any
   * @param why what to say where it does not hold
   * @param text as written
   */
  record ValueIs(
      int slot,
      String name,
      boolean optional,
      Optional<List<DimPattern>> dims,
      List<DataType> types,
      Optional<String> why,
      String text,
      Span span)
      implements Condition {}

  /** An expression is true. */
  record Holds(Expr expr, Optional<String> why, String text, Span span) implements Condition {}

  /** Some conditions hold if an expression is true, others if it is not. */
  record When(Expr expr, List<Condition> then, List<Condition> otherwise, Span span)
      implements Condition {}

  /** A slot gets the value of an expression. */
  record Let(int slot, String name, Expr value, Span span) implements Condition {}

  /** A dimension of a shape. */
  sealed interface DimPattern {
    /** A number. */
    record Fixed(long size) implements DimPattern {}

    /**
     * A dimension that is the same wherever its name stands.
     *
     * @param lenient whether it need not be the same where one of the two is not a number
     */
    record Named(int slot, String name, boolean lenient) implements DimPattern {}

    /** Any one dimension. */
    record Any() implements DimPattern {}

    /** Any number of dimensions. */
    record Rest() implements DimPattern {}
  }
}
