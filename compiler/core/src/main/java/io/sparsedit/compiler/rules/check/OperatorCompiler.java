package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.check.Names.Use;
import io.sparsedit.compiler.rules.check.OperatorSchema.AttributeSchema;
import io.sparsedit.compiler.rules.match.Datum;
import io.sparsedit.compiler.rules.match.Pattern;
import io.sparsedit.compiler.rules.match.Pattern.AttributeCondition;
import io.sparsedit.compiler.rules.syntax.Diagnostic;
import io.sparsedit.compiler.rules.syntax.ExprDecl;
import io.sparsedit.compiler.rules.syntax.Problem;
import io.sparsedit.compiler.rules.syntax.Problems;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Arg;
import io.sparsedit.compiler.rules.syntax.StructureDecl.AttributeAbsent;
import io.sparsedit.compiler.rules.syntax.StructureDecl.AttributeCapture;
import io.sparsedit.compiler.rules.syntax.StructureDecl.AttributeDecl;
import io.sparsedit.compiler.rules.syntax.StructureDecl.AttributeOneOf;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Call;
import io.sparsedit.compiler.rules.syntax.StructureDecl.NameArg;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Rest;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Checks and compiles a call of an operator: its name, how many arguments, its attributes. */
final class OperatorCompiler {
  private static final int MAX_COMMUTATIVE_ARGS = 4;

  private final Names names;
  private final OperatorTable operators;
  private final Set<String> patterns;
  private final ArgumentCompiler arguments;
  private final Problems problems;

  /**
   * @param patterns names of the named patterns, for suggestions
   */
  OperatorCompiler(
      Names names,
      OperatorTable operators,
      Set<String> patterns,
      ArgumentCompiler arguments,
      Problems problems) {
    this.names = names;
    this.operators = operators;
    this.patterns = patterns;
    this.arguments = arguments;
    this.problems = problems;
  }

  /**
   * Compiles a call.
   *
   * @param outputs slots of the outputs that are asked for
   * @param firstArg what the first argument is, where it was compiled before
   */
  Pattern compile(Call call, Scope scope, List<Integer> outputs, Optional<Pattern> firstArg) {
    OperatorName operator = OperatorName.of(call.name());
    Optional<OperatorSchema> schema = schema(call, operator);
    List<Arg> args = new ArrayList<>(call.args());
    Pattern.Rest rest = removeRest(args);
    if (call.commutative()) {
      checkCommutative(call, operator, args);
    }
    schema.ifPresent(s -> checkCounts(call, s, args.size(), rest, outputs));
    List<Pattern.Argument> compiled = new ArrayList<>();
    boolean isFirstKnown =
        firstArg.isPresent() && rest != Pattern.Rest.BEFORE && rest != Pattern.Rest.AROUND;
    for (int i = 0; i < args.size(); i++) {
      Arg arg = args.get(i);
      if (arg instanceof Rest) {
        problems.add(Diagnostic.REST_POSITION, arg.span());
        continue;
      }
      Pattern pattern = i == 0 && isFirstKnown ? firstArg.get() : arguments.compile(arg, scope);
      compiled.add(
          new Pattern.Argument(
              pattern, isOptional(arg) ? Optional.of(names.newChoice(2)) : Optional.empty()));
    }
    return new Pattern.Op(
        operator.domain(),
        operator.type(),
        compiled,
        rest,
        call.commutative(),
        attributes(call, operator, schema, scope),
        outputs,
        call.span());
  }

  private Optional<OperatorSchema> schema(Call call, OperatorName operator) {
    if (!operator.isStandard()) {
      return Optional.empty();
    }
    Optional<OperatorSchema> schema = operators.find(operator.type());
    if (schema.isEmpty()) {
      List<String> candidates = new ArrayList<>(operators.names());
      candidates.addAll(patterns);
      problems.add(
          Problem.of(Diagnostic.UNKNOWN_OPERATOR, call.name().span(), operator.type())
              .suggest(operator.type(), candidates));
    }
    return schema;
  }

  /** Removes the dots before and after the arguments, and says where they were. */
  private static Pattern.Rest removeRest(List<Arg> args) {
    boolean before = !args.isEmpty() && args.get(0) instanceof Rest;
    boolean after = args.size() > 1 && args.get(args.size() - 1) instanceof Rest;
    if (before) {
      args.remove(0);
    }
    if (after) {
      args.remove(args.size() - 1);
    }
    if (before) {
      return after ? Pattern.Rest.AROUND : Pattern.Rest.BEFORE;
    }
    return after ? Pattern.Rest.AFTER : Pattern.Rest.NOWHERE;
  }

  private static boolean isOptional(Arg arg) {
    return arg instanceof NameArg named && named.optional();
  }

  private void checkCommutative(Call call, OperatorName operator, List<Arg> args) {
    if (args.size() > MAX_COMMUTATIVE_ARGS
        || args.stream().anyMatch(OperatorCompiler::isOptional)) {
      problems.add(Diagnostic.COMMUTATIVE_ARGS, call.name().span(), MAX_COMMUTATIVE_ARGS);
    }
    boolean isKnown = operator.isStandard() && operators.find(operator.type()).isPresent();
    if (isKnown && !OperatorTable.isCommutative(operator.type())) {
      problems.add(Diagnostic.NOT_COMMUTATIVE, call.name().span(), operator.type());
    }
  }

  private void checkCounts(
      Call call, OperatorSchema schema, int args, Pattern.Rest rest, List<Integer> outputs) {
    boolean tooFew = rest == Pattern.Rest.NOWHERE && args < schema.minInputs();
    if (args > schema.maxInputs() || tooFew) {
      problems.add(
          Diagnostic.INPUT_COUNT, call.name().span(), schema.name(), schema.inputRange(), args);
    }
    if (outputs.size() > schema.maxOutputs()) {
      problems.add(
          Diagnostic.TOO_MANY_OUTPUTS,
          call.name().span(),
          schema.name(),
          schema.outputRange(),
          outputs.size());
    }
  }

  private List<AttributeCondition> attributes(
      Call call, OperatorName operator, Optional<OperatorSchema> schema, Scope scope) {
    List<AttributeCondition> attributes = new ArrayList<>();
    Set<String> seen = new HashSet<>();
    for (AttributeDecl attribute : call.attributes()) {
      String name = attribute.name().text();
      if (!seen.add(name)) {
        problems.add(Diagnostic.DUPLICATE_ATTRIBUTE, attribute.name().span(), name);
      }
      Optional<AttributeSchema> known = schema.map(s -> s.attributes().get(name));
      if (schema.isPresent() && known.isEmpty()) {
        problems.add(
            Problem.of(Diagnostic.UNKNOWN_ATTRIBUTE, attribute.name().span(), operator.type(), name)
                .suggest(name, schema.get().attributes().keySet()));
      }
      if (attribute instanceof AttributeAbsent) {
        attributes.add(new AttributeCondition.Absent(name));
      } else if (attribute instanceof AttributeCapture capture) {
        attributes.add(capture(capture, known, scope));
      } else {
        attributes.add(oneOf((AttributeOneOf) attribute, operator, known));
      }
    }
    return attributes;
  }

  private AttributeCondition capture(
      AttributeCapture attribute, Optional<AttributeSchema> known, Scope scope) {
    String name = attribute.name().text();
    arguments.requireLowerCase(attribute.capture());
    Pattern target = scope.resolve(attribute.capture());
    Optional<Datum> fallback = known.flatMap(AttributeSchema::fallback);
    Optional<Integer> choice =
        fallback.isPresent() || known.map(AttributeSchema::required).orElse(false)
            ? Optional.empty()
            : Optional.of(names.newChoice(2));
    if (!(target instanceof Pattern.Variable variable)) {
      return new AttributeCondition.OneOf(name, List.of(), fallback, false);
    }
    Names.Slot slot = names.slot(variable.slot());
    if (slot.uses.stream().anyMatch(Use::isValue)) {
      problems.add(
          Diagnostic.VALUE_AND_NUMBER, attribute.capture().span(), attribute.capture().text());
    }
    slot.uses.add(Use.ATTRIBUTE);
    slot.kind = known.map(k -> k.type().kind()).orElse(Kind.ANY);
    return new AttributeCondition.Capture(name, variable.slot(), fallback, choice);
  }

  private AttributeCondition oneOf(
      AttributeOneOf attribute, OperatorName operator, Optional<AttributeSchema> known) {
    String name = attribute.name().text();
    List<Datum> data = new ArrayList<>();
    for (ExprDecl literal : attribute.literals()) {
      Datum datum = ExpressionCompiler.literal(literal);
      if (known.isPresent() && !known.get().type().accepts(datum)) {
        problems.add(
            Diagnostic.ATTRIBUTE_TYPE,
            literal.span(),
            name,
            operator.type(),
            known.get().type().name(),
            datum);
      }
      data.add(datum);
    }
    boolean isAxis = name.equals("axis") && known.isPresent();
    return new AttributeCondition.OneOf(
        name, data, known.flatMap(AttributeSchema::fallback), isAxis);
  }
}
