package io.sparsedit.compiler.rules.syntax;

import java.util.Locale;

/** Everything that can be wrong with a rule file. Each entry has a failing example in the tests. */
public enum Diagnostic {
  // Text.
  UNEXPECTED("%s is not expected here"),
  EXPECTED("expected %s, found %s"),
  UNKNOWN_CHARACTER("'%s' has no meaning here"),
  OPEN_STRING("the string does not end on its line"),
  NUMBER_TOO_LARGE("%s is too large, at most %s"),
  NESTED_TOO_DEEPLY("nested more than %s levels deep"),
  STATEMENT_TOO_LONG("more than %s words without a ';'"),

  // Declarations.
  DUPLICATE_RULE("rule '%s' is declared before, at %s"),
  DUPLICATE_PATTERN("pattern '%s' is declared before, at %s"),
  DUPLICATE_FUNCTION("a function '%s' exists already"),
  NO_IMPLEMENTATION("no Java %s is registered for '%s'"),
  UNKNOWN_PARAMETER_TYPE("'%s' is not a parameter type: value, number or string"),
  PATTERN_CAPITALISED("pattern '%s' must start with a lower-case letter, operators do not"),
  UNUSED_PARAMETER("parameter '%s' is not used"),

  // Names.
  DEFINED_TWICE("'%s' has a meaning already"),
  VALUE_CAPITALISED("'%s' must start with a lower-case letter, dimensions do not"),
  DIMENSION_LOWER_CASE("dimension '%s' must start with an upper-case letter"),
  USED_BEFORE_DEFINITION("'%s' is used before the statement that defines it"),
  UNREACHED("nothing that leads to the root uses '%s'"),
  UNKNOWN_NAME("nothing here is named '%s'"),
  NOT_ALWAYS_BOUND("'%s' is not bound in every match; test for it with 'is' or default()"),
  VALUE_AND_NUMBER("'%s' cannot be both a value and a number"),
  COMPUTED_CYCLE("'%s' is computed from itself"),

  // Tags.
  UNKNOWN_TAG("'%s' has no alternative %s"),
  DUPLICATE_TAG("tag %s stands here twice"),
  NESTED_TAG("nothing can ask for tag %s: give the nested alternatives a statement of their own"),
  CASE_INCOMPLETE("the case does not cover all alternatives of '%s': %s"),
  TAG_INCOMPLETE("'%s' has alternatives without a tag"),
  UNREACHABLE_ARM("an arm after 'else' is never reached"),

  // Operators.
  UNKNOWN_OPERATOR("ONNX has no operator '%s'"),
  UNKNOWN_ATTRIBUTE("%s has no attribute '%s'"),
  DUPLICATE_ATTRIBUTE("attribute '%s' stands here twice"),
  ATTRIBUTE_TYPE("attribute '%s' of %s is of type %s and cannot be %s"),
  ATTRIBUTE_MISSING("%s needs attribute '%s'"),
  INPUT_COUNT("%s has %s, not %s"),
  TOO_MANY_OUTPUTS("%s has %s, not %s"),
  NOT_COMMUTATIVE("%s is not commutative: remove '~'"),
  COMMUTATIVE_ARGS("with '~' there are at most %s inputs, all required"),
  REST_POSITION("'...' stands before or after all inputs of an operator"),

  // Patterns.
  UNKNOWN_PATTERN("no pattern is named '%s'"),
  PATTERN_ARITY("pattern '%s' takes %s, not %s"),
  PATTERN_CALL("'%s' is a pattern: it takes neither '~' nor attributes"),
  PATTERN_ARGUMENT("'%s' is a pattern: its arguments are neither optional nor '...'"),
  RECURSIVE_PATTERN("pattern '%s' contains itself: %s"),
  CONSTRAINT_ON_DEFINED("'%s' is defined elsewhere: a constraint goes on a name of its own or '_'"),
  OPT_NEEDS_OPERATOR("'opt' stands before an operator or pattern whose first argument is required"),
  CAPTURE_IN_REPETITION("'opt*' repeats: nothing in it can be captured but its first argument"),
  OUTPUTS_NEED_OPERATOR("only an operator has several outputs"),
  OUTPUT_COUNT("%s outputs are named, the last statement has %s"),
  ROOT_NOT_OPERATOR("the last statement is the root and must be an operator in every alternative"),
  RULE_TOO_LARGE("the rule expands to more than %s operators"),

  // Expressions.
  WRONG_TYPE("expected %s, found %s"),
  UNKNOWN_FUNCTION("no function is named '%s'"),
  ARGUMENT_COUNT("'%s' takes %s, not %s"),
  NAME_NEEDED("'%s' takes a name"),
  SHAPE_OF_NUMBER("'%s' is a number, it has no shape"),
  TWO_RESTS("a shape has at most one '...'"),

  // Replacement.
  OUTPUT_NOT_BUILT("the rewrite does not define output '%s' of the root"),
  USES_OWN_OUTPUT("'%s' is what the rewrite replaces, it cannot be used in it"),
  NUMBER_AS_INPUT("'%s' is a number: write const(%1$s) to make it an input"),
  BUILD_NEEDS_NODE("a statement of the rewrite defines a value, and several with an operator only");

  private final String template;

  Diagnostic(String template) {
    this.template = template;
  }

  String format(Object... arguments) {
    return String.format(Locale.ROOT, template, arguments);
  }
}
