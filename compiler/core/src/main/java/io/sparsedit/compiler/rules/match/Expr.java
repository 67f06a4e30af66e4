package io.sparsedit.compiler.rules.match;

import io.sparsedit.compiler.rules.syntax.Comparison;
import java.util.List;

/** A checked expression: names are slots, tags are the branches that bear them. */
public sealed interface Expr {
  /** A literal. */
  record Literal(Datum value) implements Expr {}

  /**
   * What a slot holds.
   *
   * @param numeric whether the element of a constant is meant rather than the value
   */
  record Slot(int slot, String name, boolean numeric) implements Expr {}

  /** {@code default(slot, fallback)}. */
  record SlotOrElse(Slot slot, Expr fallback) implements Expr {}

  /** A list. */
  record ListOf(List<Expr> items) implements Expr {}

  /** {@code -x}. */
  record Negate(Expr operand) implements Expr {}

  /** {@code not x}. */
  record Not(Expr operand) implements Expr {}

  /** Arithmetic. */
  record Arithmetic(char operator, Expr left, Expr right) implements Expr {}

  /** A comparison. */
  record Compare(Comparison comparison, Expr left, Expr right) implements Expr {}

  /** {@code x in [a, b]}. */
  record In(Expr operand, List<Expr> items) implements Expr {}

  /** {@code and}, {@code or}. */
  record Logic(boolean conjunction, Expr left, Expr right) implements Expr {}

  /** Whether one of the branches was taken. */
  record Taken(List<Branch> branches) implements Expr {}

  /** Whether a slot holds anything. */
  record Bound(int slot) implements Expr {}

  /** The first arm one of whose branches was taken; an arm without branches is the else. */
  record CaseOf(String name, List<Arm> arms) implements Expr {}

  /** One arm. */
  record Arm(List<Branch> branches, Expr value) {}

  /** The tag of the first branch that was taken. */
  record TagOf(String name, List<TaggedBranch> branches) implements Expr {}

  /** A branch of a choice. */
  record Branch(int choice, int index) {}

  /** A branch with its tag. */
  record TaggedBranch(Branch branch, String tag) {}

  /** A call of a built-in function. */
  record Apply(Builtin function, List<Expr> args) implements Expr {}

  /** A call of a Java predicate. */
  record CallPredicate(String name, Externs.Predicate predicate, List<Expr> args) implements Expr {}

  /** A call of a Java function. */
  record CallFunction(String name, Externs.Function function, List<Expr> args) implements Expr {}
}
