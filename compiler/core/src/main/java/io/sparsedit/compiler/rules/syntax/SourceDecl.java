package io.sparsedit.compiler.rules.syntax;

import java.util.List;
import java.util.Optional;

/** Syntax of where a value of the replacement comes from. */
public sealed interface SourceDecl {
  /** Where it is written. */
  Span span();

  /** A new node. */
  record NewNode(Name operator, List<SourceDecl> inputs, List<Setting> settings, Span span)
      implements SourceDecl {}

  /** An attribute of a new node. */
  record Setting(Name name, ExprDecl value) {}

  /** {@code const(expr)}, {@code const(expr, type)}. */
  record NewConstant(ExprDecl value, Optional<ExprDecl> type, Span span) implements SourceDecl {}

  /** {@code case x { #tag => source }}. */
  record Pick(Name name, List<PickArm> arms, Span span) implements SourceDecl {}

  /**
   * One arm.
   *
   * @param tag empty for {@code else}
   */
  record PickArm(Optional<Name> tag, SourceDecl source, Span span) {}

  /** {@code none}: an absent input. */
  record NoInput(Span span) implements SourceDecl {}

  /**
   * A matched value or one of an earlier statement.
   *
   * @param optional whether an absent value makes the input absent
   */
  record Existing(Name name, boolean optional) implements SourceDecl {
    @Override
    public Span span() {
      return name.span();
    }
  }
}
