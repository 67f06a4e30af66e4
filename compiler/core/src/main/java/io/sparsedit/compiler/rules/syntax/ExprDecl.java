package io.sparsedit.compiler.rules.syntax;

import io.sparsedit.compiler.ir.DataType;
import java.util.List;
import java.util.Optional;

/** Syntax of an expression. */
public sealed interface ExprDecl {
  /** Where it is written. */
  Span span();

  /** An integer. */
  record IntLiteral(long value, Span span) implements ExprDecl {}

  /** A real number. */
  record RealLiteral(double value, Span span) implements ExprDecl {}

  /** A string. */
  record TextLiteral(String value, Span span) implements ExprDecl {}

  /** An element type. */
  record TypeLiteral(DataType value, Span span) implements ExprDecl {}

  /** {@code [a, b]}. */
  record ListOf(List<ExprDecl> items, Span span) implements ExprDecl {}

  /** A name. */
  record Ref(Name name) implements ExprDecl {
    @Override
    public Span span() {
      return name.span();
    }
  }

  /** A call of a built-in or an extern. */
  record Invoke(Name name, List<ExprDecl> args, Span span) implements ExprDecl {}

  /** {@code -x}. */
  record Negate(ExprDecl operand, Span span) implements ExprDecl {}

  /** {@code not x}. */
  record Not(ExprDecl operand, Span span) implements ExprDecl {}

  /** Arithmetic: one of {@code * / % + -}. */
  record Arithmetic(char operator, ExprDecl left, ExprDecl right, Span span) implements ExprDecl {}

  /** {@code left == right} and its like. */
  record Compare(Comparison comparison, ExprDecl left, ExprDecl right, Span span)
      implements ExprDecl {}

  /** {@code x in [a, b]}. */
  record In(ExprDecl operand, List<ExprDecl> items, Span span) implements ExprDecl {}

  /** {@code left and right}, {@code left or right}. */
  record Logic(boolean conjunction, ExprDecl left, ExprDecl right, Span span) implements ExprDecl {}

  /** {@code x is #tag}. */
  record IsTag(Name name, Name tag, Span span) implements ExprDecl {}

  /** {@code x is present}, {@code x is absent}. */
  record IsPresent(Name name, boolean present, Span span) implements ExprDecl {}

  /** {@code case x { #tag => a, else => b }}. */
  record CaseOf(Name name, List<Arm> arms, Span span) implements ExprDecl {}

  /**
   * One arm.
   *
   * @param tag empty for {@code else}
   */
  record Arm(Optional<Name> tag, ExprDecl value, Span span) {}
}
