package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.check.Names.Use;
import io.sparsedit.compiler.rules.match.Pattern;
import io.sparsedit.compiler.rules.syntax.Diagnostic;
import io.sparsedit.compiler.rules.syntax.Name;
import io.sparsedit.compiler.rules.syntax.Problems;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Arg;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Choice;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Constraint;
import io.sparsedit.compiler.rules.syntax.StructureDecl.NameArg;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Nested;
import io.sparsedit.compiler.rules.syntax.StructureDecl.NumberArg;
import java.util.function.BiFunction;

/** Compiles what is passed to operators and patterns, and notes what names are used as. */
final class ArgumentCompiler {
  private final Names names;
  private final BiFunction<Choice, Scope, Pattern> nested;
  private final Problems problems;

  /**
   * @param nested compiles a term that stands in the place of an argument
   */
  ArgumentCompiler(Names names, BiFunction<Choice, Scope, Pattern> nested, Problems problems) {
    this.names = names;
    this.nested = nested;
    this.problems = problems;
  }

  Pattern compile(Arg arg, Scope scope) {
    if (arg instanceof Nested term) {
      return nested.apply(term.choice(), scope);
    }
    if (arg instanceof NumberArg number) {
      return new Pattern.NumberIs(number.value());
    }
    if (!(arg instanceof NameArg named)) {
      problems.add(Diagnostic.REST_POSITION, arg.span());
      return new Pattern.Anything();
    }
    if (named.name().isAnonymous()) {
      return constrained(named.constraint(), Pattern.NO_SLOT);
    }
    if (named.constraint() == Constraint.NONE) {
      return value(named.name(), scope);
    }
    requireLowerCase(named.name());
    Pattern meaning = scope.resolve(named.name());
    if (meaning instanceof Pattern.Anything) {
      return constrained(named.constraint(), Pattern.NO_SLOT);
    }
    if (!(meaning instanceof Pattern.Variable variable)
        || names.definitions.containsKey(variable.slot())
        || scope.isPending(named.name().text())) {
      problems.add(Diagnostic.CONSTRAINT_ON_DEFINED, named.span(), named.name().text());
      return new Pattern.Anything();
    }
    Names.Slot slot = names.slot(variable.slot());
    if (slot.uses.contains(Use.ATTRIBUTE)) {
      problems.add(Diagnostic.VALUE_AND_NUMBER, named.span(), named.name().text());
    }
    switch (named.constraint()) {
      case CONST_SCALAR -> {
        slot.uses.remove(Use.VALUE);
        slot.uses.add(Use.SCALAR);
        slot.kind = Kind.NUMBER;
      }
      case CONST -> {
        slot.uses.remove(Use.VALUE);
        slot.uses.add(Use.CONSTANT);
      }
      case GRAPH_INPUT, NONE -> slot.uses.add(Use.VALUE);
    }
    return constrained(named.constraint(), variable.slot());
  }

  private static Pattern constrained(Constraint constraint, int slot) {
    return switch (constraint) {
      case NONE -> new Pattern.Anything();
      case CONST -> new Pattern.Constant(slot, false);
      case CONST_SCALAR -> new Pattern.Constant(slot, true);
      case GRAPH_INPUT -> new Pattern.GraphInput(slot);
    };
  }

  /** A name that stands for a value. */
  Pattern value(Name name, Scope scope) {
    requireLowerCase(name);
    if (scope.isPending(name.text())) {
      problems.add(Diagnostic.USED_BEFORE_DEFINITION, name.span(), name.text());
      return new Pattern.Anything();
    }
    Pattern meaning = scope.resolve(name);
    if (meaning instanceof Pattern.Variable variable) {
      Names.Slot slot = names.slot(variable.slot());
      if (slot.uses.contains(Use.ATTRIBUTE) || slot.uses.contains(Use.COMPUTED)) {
        problems.add(Diagnostic.VALUE_AND_NUMBER, name.span(), name.text());
      } else if (!slot.uses.contains(Use.SCALAR) && !slot.uses.contains(Use.CONSTANT)) {
        slot.uses.add(Use.VALUE);
      }
    }
    return meaning;
  }

  /** Whether an argument is a name and nothing more. */
  static boolean isPlainName(Arg arg) {
    return arg instanceof NameArg named
        && !named.name().isAnonymous()
        && named.constraint() == Constraint.NONE;
  }

  /** A name passed to a pattern: what it is used as depends on the pattern. */
  Pattern passed(NameArg arg, Scope scope) {
    requireLowerCase(arg.name());
    if (scope.isPending(arg.name().text())) {
      problems.add(Diagnostic.USED_BEFORE_DEFINITION, arg.name().span(), arg.name().text());
      return new Pattern.Anything();
    }
    return scope.resolve(arg.name());
  }

  void requireLowerCase(Name name) {
    if (name.isCapitalised()) {
      problems.add(Diagnostic.VALUE_CAPITALISED, name.span(), name.text());
    }
  }
}
