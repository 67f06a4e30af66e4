package io.sparsedit.compiler.rules.syntax;

import io.sparsedit.compiler.ir.DataType;
import java.util.List;
import java.util.Optional;

/** Syntax of a condition. */
public sealed interface ClauseDecl {
  /** Where it is written. */
  Span span();

  /**
   * {@code x: [B, S, D] f16 | f32 else "why";}
   *
   * @param optional whether the clause holds where the value is absent
   * @param shape the dimensions, if there are any conditions on them
   * @param types the element types; empty for any
   */
  record ValueClause(
      Name name,
      boolean optional,
      Optional<List<DimDecl>> shape,
      List<DataType> types,
      Optional<String> why,
      Span span)
      implements ClauseDecl {}

  /** {@code expr else "why";} */
  record HoldsClause(ExprDecl condition, Optional<String> why, Span span) implements ClauseDecl {}

  /** {@code when expr { … } else { … }}. */
  record WhenClause(
      ExprDecl condition, List<ClauseDecl> then, List<ClauseDecl> otherwise, Span span)
      implements ClauseDecl {}

  /** {@code let name = expr;} */
  record LetClause(Name name, ExprDecl value, Span span) implements ClauseDecl {}

  /** A dimension of a shape. */
  sealed interface DimDecl {
    /** A fixed size. */
    record Fixed(long size) implements DimDecl {}

    /**
     * A dimension with a name.
     *
     * @param lenient whether it may differ where that cannot be proved
     */
    record Named(Name name, boolean lenient) implements DimDecl {}

    /** {@code _}: any one dimension. */
    record Any() implements DimDecl {}

    /** {@code ...}: any number of dimensions. */
    record Rest(Span span) implements DimDecl {}
  }
}
