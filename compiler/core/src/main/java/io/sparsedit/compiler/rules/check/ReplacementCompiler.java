package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.check.ExpressionCompiler.NameUse;
import io.sparsedit.compiler.rules.check.OperatorSchema.AttributeSchema;
import io.sparsedit.compiler.rules.match.Expr;
import io.sparsedit.compiler.rules.match.Pattern;
import io.sparsedit.compiler.rules.match.Replacement;
import io.sparsedit.compiler.rules.match.Replacement.BuiltValue;
import io.sparsedit.compiler.rules.match.Replacement.Input;
import io.sparsedit.compiler.rules.syntax.Diagnostic;
import io.sparsedit.compiler.rules.syntax.Name;
import io.sparsedit.compiler.rules.syntax.Problem;
import io.sparsedit.compiler.rules.syntax.Problems;
import io.sparsedit.compiler.rules.syntax.RuleDecl.BuildDecl;
import io.sparsedit.compiler.rules.syntax.SourceDecl;
import io.sparsedit.compiler.rules.syntax.Span;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/** Checks and compiles the replacement of a rule. */
final class ReplacementCompiler {
  private final Names names;
  private final Scope scope;
  private final OperatorTable operators;
  private final ExpressionCompiler expressions;
  private final Problems problems;
  private final Consumer<List<NameUse>> require;
  private final Map<String, BuiltValue> built = new LinkedHashMap<>();
  private final Set<String> rootOutputs = new LinkedHashSet<>();

  ReplacementCompiler(
      Names names,
      Scope scope,
      OperatorTable operators,
      ExpressionCompiler expressions,
      Problems problems,
      Consumer<List<NameUse>> require) {
    this.names = names;
    this.scope = scope;
    this.operators = operators;
    this.expressions = expressions;
    this.problems = problems;
    this.require = require;
  }

  Replacement compile(List<BuildDecl> declarations, List<Name> rootTargets, Span ruleSpan) {
    for (Name target : rootTargets) {
      if (!target.isAnonymous()) {
        rootOutputs.add(target.text());
      }
    }
    List<Replacement.Build> builds = new ArrayList<>();
    for (BuildDecl declaration : declarations) {
      SourceDecl source = declaration.source();
      Input input = input(source, Facts.NONE);
      boolean isNone = source instanceof SourceDecl.NoInput;
      if (isNone || (declaration.targets().size() > 1 && !(source instanceof SourceDecl.NewNode))) {
        problems.add(Diagnostic.BUILD_NEEDS_NODE, source.span());
      }
      for (int i = 0; i < declaration.targets().size(); i++) {
        Name target = declaration.targets().get(i);
        boolean isOutput = rootOutputs.contains(target.text());
        if (target.isCapitalised()) {
          problems.add(Diagnostic.VALUE_CAPITALISED, target.span(), target.text());
        }
        if (built.containsKey(target.text())
            || (!isOutput && scope.find(target.text()).isPresent())) {
          problems.add(Diagnostic.DEFINED_TWICE, target.span(), target.text());
        }
        built.put(target.text(), new BuiltValue(builds.size(), i));
      }
      builds.add(
          new Replacement.Build(declaration.targets().stream().map(Name::text).toList(), input));
    }
    List<Optional<BuiltValue>> outputs = new ArrayList<>();
    for (Name target : rootTargets) {
      BuiltValue value = built.get(target.text());
      if (value == null && !target.isAnonymous()) {
        problems.add(
            Problem.of(Diagnostic.OUTPUT_NOT_BUILT, ruleSpan, target.text())
                .suspect(target.text(), built.keySet()));
      }
      outputs.add(Optional.ofNullable(value));
    }
    return new Replacement(builds, outputs);
  }

  private Input input(SourceDecl source, Facts facts) {
    if (source instanceof SourceDecl.Existing existing) {
      return existing(existing, facts);
    }
    if (source instanceof SourceDecl.NewNode node) {
      return node(node, facts);
    }
    if (source instanceof SourceDecl.NewConstant constant) {
      List<NameUse> uses = new ArrayList<>();
      ExpressionCompiler.Typed value = expressions.compile(constant.value(), scope, facts, uses);
      if (!value.kind().fits(Kind.NUMBER) && value.kind() != Kind.LIST) {
        problems.add(
            Diagnostic.WRONG_TYPE,
            constant.value().span(),
            "a number or a list",
            value.kind().words());
      }
      Optional<Expr> type =
          constant.type().map(t -> expressions.compile(t, Kind.TYPE, scope, facts, uses));
      require.accept(uses);
      return new Input.NewConstant(value.expr(), type);
    }
    if (source instanceof SourceDecl.Pick pick) {
      List<Replacement.PickArm> arms = new ArrayList<>();
      Facts remaining = facts;
      for (SourceDecl.PickArm arm : pick.arms()) {
        List<Expr.Branch> branches =
            arm.tag().map(t -> expressions.branches(pick.name(), t, scope)).orElse(List.of());
        arms.add(
            new Replacement.PickArm(
                branches, input(arm.source(), expressions.inArm(branches, remaining))));
        remaining = expressions.afterArm(branches, remaining);
      }
      expressions.checkArms(
          pick.name(),
          pick.arms().stream().map(SourceDecl.PickArm::tag).toList(),
          pick.span(),
          scope);
      return new Input.Pick(pick.name().text(), arms);
    }
    return new Input.None();
  }

  private Input existing(SourceDecl.Existing existing, Facts facts) {
    Name name = existing.name();
    BuiltValue value = built.get(name.text());
    if (value != null) {
      return new Input.Built(value);
    }
    if (rootOutputs.contains(name.text())) {
      problems.add(Diagnostic.USES_OWN_OUTPUT, name.span(), name.text());
      return new Input.None();
    }
    if (scope.find(name.text()).isEmpty()) {
      Set<String> candidates = new LinkedHashSet<>(scope.all());
      candidates.addAll(built.keySet());
      problems.add(
          Problem.of(Diagnostic.UNKNOWN_NAME, name.span(), name.text())
              .suggest(name.text(), candidates));
      return new Input.None();
    }
    if (!(scope.find(name.text()).orElse(null) instanceof Pattern.Variable variable)) {
      return new Input.None();
    }
    if (!names.slot(variable.slot()).isAlwaysValue()) {
      problems.add(Diagnostic.NUMBER_AS_INPUT, name.span(), name.text());
    }
    if (!existing.optional()) {
      require.accept(List.of(new NameUse(variable.slot(), name, facts)));
    }
    return new Input.Matched(variable.slot(), name.text(), existing.optional());
  }

  private Input node(SourceDecl.NewNode node, Facts facts) {
    OperatorName operator = OperatorName.of(node.operator());
    String type = operator.type();
    Optional<OperatorSchema> schema =
        operator.isStandard() ? operators.find(type) : Optional.empty();
    if (operator.isStandard() && schema.isEmpty()) {
      problems.add(
          Problem.of(Diagnostic.UNKNOWN_OPERATOR, node.operator().span(), type)
              .suggest(type, operators.names()));
    }
    if (schema.isPresent()
        && (node.inputs().size() < schema.get().minInputs()
            || node.inputs().size() > schema.get().maxInputs())) {
      problems.add(
          Diagnostic.INPUT_COUNT,
          node.operator().span(),
          type,
          schema.get().inputRange(),
          node.inputs().size());
    }
    List<Input> inputs = new ArrayList<>();
    for (SourceDecl source : node.inputs()) {
      inputs.add(input(source, facts));
    }
    List<Replacement.Setting> settings = new ArrayList<>();
    Set<String> seen = new HashSet<>();
    for (SourceDecl.Setting setting : node.settings()) {
      if (!seen.add(setting.name().text())) {
        problems.add(Diagnostic.DUPLICATE_ATTRIBUTE, setting.name().span(), setting.name().text());
      }
      settings.add(setting(setting, type, schema, facts));
    }
    schema.ifPresent(s -> checkRequired(s, seen, node.operator().span()));
    return new Input.NewNode(operator.domain(), type, inputs, settings);
  }

  private void checkRequired(OperatorSchema schema, Set<String> given, Span span) {
    schema
        .attributes()
        .forEach(
            (name, attribute) -> {
              if (attribute.required() && !given.contains(name)) {
                problems.add(Diagnostic.ATTRIBUTE_MISSING, span, schema.name(), name);
              }
            });
  }

  private Replacement.Setting setting(
      SourceDecl.Setting setting, String operator, Optional<OperatorSchema> schema, Facts facts) {
    String name = setting.name().text();
    Optional<AttributeSchema> known = schema.map(s -> s.attributes().get(name));
    if (schema.isPresent() && known.isEmpty()) {
      problems.add(
          Problem.of(Diagnostic.UNKNOWN_ATTRIBUTE, setting.name().span(), operator, name)
              .suggest(name, schema.get().attributes().keySet()));
    }
    List<NameUse> uses = new ArrayList<>();
    ExpressionCompiler.Typed value = expressions.compile(setting.value(), scope, facts, uses);
    require.accept(uses);
    boolean fits =
        known
            .map(
                k ->
                    value.kind().fits(k.type().kind())
                        || (value.kind() == Kind.TYPE && k.type().kind() == Kind.NUMBER))
            .orElse(value.kind() != Kind.VALUE && value.kind() != Kind.FLAG);
    if (!fits) {
      problems.add(
          Diagnostic.WRONG_TYPE,
          setting.value().span(),
          known.map(k -> k.type().kind().words()).orElse("a number, a string or a list"),
          value.kind().words());
    }
    boolean real =
        known
            .map(
                k ->
                    k.type() == OperatorSchema.AttributeType.FLOAT
                        || k.type() == OperatorSchema.AttributeType.FLOATS)
            .orElse(false);
    return new Replacement.Setting(name, value.expr(), real);
  }
}
