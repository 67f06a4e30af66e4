package io.sparsedit.compiler.rules.syntax;

import java.util.List;
import java.util.Optional;

/** Syntax of what a rule matches: statements, alternatives, calls and their arguments. */
public final class StructureDecl {
  private StructureDecl() {}

  /** {@code a, b = alternatives;} */
  public record Statement(List<Name> targets, Choice choice) {}

  /** Alternatives, tried in order. */
  public record Choice(List<Alternative> alternatives, Span span) {}

  /** How often the operator around a value may stand there. */
  public enum Repetition {
    /** Exactly once. */
    ONCE,
    /** {@code opt}: once or not at all. */
    OPTIONAL,
    /** {@code opt*}: any number of times. */
    ANY_NUMBER
  }

  /** One alternative: a term, its tag, and the numbers that it defines. */
  public record Alternative(
      Repetition repetition, Term term, Optional<Name> tag, List<With> with, Span span) {}

  /** {@code with name = expr}. */
  public record With(Name name, ExprDecl value) {}

  /** What an alternative matches. */
  public sealed interface Term {
    /** Where it is written. */
    Span span();
  }

  /**
   * An operator or a named pattern with its arguments.
   *
   * @param name qualified name
   * @param commutative whether {@code ~} asks for any order of inputs
   */
  public record Call(
      Name name, boolean commutative, List<Arg> args, List<AttributeDecl> attributes, Span span)
      implements Term {}

  /** The value of the given name itself. */
  public record Reference(Name name) implements Term {
    @Override
    public Span span() {
      return name.span();
    }
  }

  /** Statements of its own; the last one is the term's value. */
  public record Block(List<Statement> statements, Span span) implements Term {}

  /** An argument. */
  public sealed interface Arg {
    /** Where it is written. */
    Span span();
  }

  /** {@code ...}: any number of inputs. */
  public record Rest(Span span) implements Arg {}

  /** A nested pattern. */
  public record Nested(Choice choice) implements Arg {
    @Override
    public Span span() {
      return choice.span();
    }
  }

  /** A constant of the given value. */
  public record NumberArg(double value, Span span) implements Arg {}

  /**
   * A name or {@code _}.
   *
   * @param optional whether the input may be absent
   */
  public record NameArg(Name name, boolean optional, Constraint constraint) implements Arg {
    @Override
    public Span span() {
      return name.span();
    }
  }

  /** What an argument must be. */
  public enum Constraint {
    /** Anything. */
    NONE,
    /** Known at compile time. */
    CONST,
    /** Known at compile time, with one numeric element. */
    CONST_SCALAR,
    /** An input of the graph. */
    GRAPH_INPUT
  }

  /** A condition on an attribute. */
  public sealed interface AttributeDecl {
    /** The attribute. */
    Name name();
  }

  /** {@code a = literal} or {@code a in [literals]}. */
  public record AttributeOneOf(Name name, List<ExprDecl> literals) implements AttributeDecl {}

  /** {@code a: capture}. */
  public record AttributeCapture(Name name, Name capture) implements AttributeDecl {}

  /** {@code !a}. */
  public record AttributeAbsent(Name name) implements AttributeDecl {}
}
