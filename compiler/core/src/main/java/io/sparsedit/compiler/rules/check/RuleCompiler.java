package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.check.ExpressionCompiler.NameUse;
import io.sparsedit.compiler.rules.match.Condition;
import io.sparsedit.compiler.rules.match.Condition.DimPattern;
import io.sparsedit.compiler.rules.match.Expr;
import io.sparsedit.compiler.rules.match.Externs;
import io.sparsedit.compiler.rules.match.Pattern;
import io.sparsedit.compiler.rules.match.Replacement;
import io.sparsedit.compiler.rules.match.Rule;
import io.sparsedit.compiler.rules.syntax.ClauseDecl;
import io.sparsedit.compiler.rules.syntax.ClauseDecl.DimDecl;
import io.sparsedit.compiler.rules.syntax.Diagnostic;
import io.sparsedit.compiler.rules.syntax.Name;
import io.sparsedit.compiler.rules.syntax.Problem;
import io.sparsedit.compiler.rules.syntax.Problems;
import io.sparsedit.compiler.rules.syntax.RuleDecl;
import io.sparsedit.compiler.rules.syntax.RuleFile.ExternDecl;
import io.sparsedit.compiler.rules.syntax.RuleFile.PatternDecl;
import io.sparsedit.compiler.rules.syntax.Span;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Checks one rule and compiles it. */
final class RuleCompiler {
  private final Names names = new Names();
  private final OperatorTable operators;
  private final Problems problems;
  private final ExpressionCompiler expressions;
  private final StructureCompiler structure;
  private final Scope scope = Scope.ofRule(names);

  /** Dimensions and lets that conditions have bound so far, with the slot they depend on. */
  private Map<Integer, Set<Integer>> established = new HashMap<>();

  RuleCompiler(
      OperatorTable operators,
      Map<String, PatternDecl> patterns,
      Map<String, ExternDecl> externs,
      Externs implementations,
      Problems problems) {
    this.operators = operators;
    this.problems = problems;
    this.expressions = new ExpressionCompiler(names, externs, implementations, problems);
    this.structure = new StructureCompiler(names, operators, patterns, expressions, problems);
  }

  /** Checks a named pattern on its own. */
  void check(PatternDecl pattern) {
    int before = problems.all().size();
    try {
      structure.check(pattern);
    } catch (StructureCompiler.TooLarge e) {
      return;
    }
    if (problems.all().size() > before) {
      return;
    }
    for (int i = 0; i < pattern.params().size(); i++) {
      if (names.slot(i).uses.isEmpty() && !names.slot(i).read) {
        Name param = pattern.params().get(i);
        problems.add(Diagnostic.UNUSED_PARAMETER, param.span(), param.text());
      }
    }
  }

  Optional<Rule> compile(RuleDecl declaration) {
    int before = problems.all().size();
    Pattern root;
    try {
      root = structure.statements(declaration.match(), scope);
    } catch (StructureCompiler.TooLarge e) {
      return Optional.empty();
    }
    Statement rootStatement = declaration.match().get(declaration.match().size() - 1);
    Set<Rule.OpName> rootOps = new LinkedHashSet<>();
    if (!rootOperators(root, rootOps) && problems.all().size() == before) {
      problems.add(Diagnostic.ROOT_NOT_OPERATOR, rootStatement.choice().span());
    }
    List<Integer> rootOutputs = rootOutputs(rootStatement);
    if (problems.all().size() > before) {
      return Optional.empty();
    }
    Availability availability = Availability.from(root, names);
    if (availability.isIncomplete()) {
      problems.add(Diagnostic.RULE_TOO_LARGE, declaration.name().span(), 500);
      return Optional.empty();
    }
    checkReached(declaration, availability);
    checkComputed(declaration, availability);
    List<Condition> conditions = conditions(declaration.conditions(), Facts.NONE, availability);
    Optional<Replacement> replacement =
        replacement(declaration, rootStatement.targets(), availability);
    Set<Integer> keep = new HashSet<>();
    for (Name name : declaration.keep()) {
      expressions.slot(name, scope).ifPresent(keep::add);
    }
    if (problems.all().size() > before) {
      return Optional.empty();
    }
    return Optional.of(
        new Rule(
            declaration.name().text(),
            declaration.doc(),
            declaration
                .benefit()
                .map(RuleDecl.BenefitDecl::value)
                .orElseGet(() -> size(root, availability)),
            declaration.opsets().stream().map(RuleCompiler::opset).toList(),
            root,
            rootOutputs,
            rootOps,
            names.slotNames(),
            Map.copyOf(names.definitions),
            names.choiceCount(),
            Map.copyOf(names.repeats),
            keep,
            tags(),
            conditions,
            replacement,
            declaration.name().span()));
  }

  private Optional<Replacement> replacement(
      RuleDecl declaration, List<Name> rootTargets, Availability availability) {
    ReplacementCompiler compiler =
        new ReplacementCompiler(
            names, scope, operators, expressions, problems, u -> require(u, availability));
    return declaration
        .rewrite()
        .map(builds -> compiler.compile(builds, rootTargets, declaration.name().span()));
  }

  /** The tags that can be asked for, by the name of their statement. */
  private Map<String, List<Expr.TaggedBranch>> tags() {
    Map<String, List<Expr.TaggedBranch>> tags = new LinkedHashMap<>();
    names.visible.forEach(
        (name, slot) -> {
          Names.Tags of = names.tags.get(slot);
          if (of != null && !of.branches.isEmpty()) {
            tags.put(name, List.copyOf(of.branches));
          }
        });
    return tags;
  }

  private static Rule.OpsetBound opset(RuleDecl.OpsetBound bound) {
    return new Rule.OpsetBound(
        OperatorName.domain(bound.domain().text()), bound.comparison(), bound.version());
  }

  private List<Integer> rootOutputs(Statement root) {
    List<Integer> outputs = new ArrayList<>();
    for (Name target : root.targets()) {
      outputs.add(
          scope.find(target.text()).orElse(null) instanceof Pattern.Variable variable
              ? variable.slot()
              : Pattern.NO_SLOT);
    }
    return outputs;
  }

  private static boolean rootOperators(Pattern pattern, Set<Rule.OpName> operators) {
    if (pattern instanceof Pattern.Op op) {
      operators.add(new Rule.OpName(op.domain(), op.type()));
      return true;
    }
    if (pattern instanceof Pattern.Choice choice) {
      boolean all = true;
      for (Pattern.Branch branch : choice.branches()) {
        all &= rootOperators(branch.pattern(), operators);
      }
      return all;
    }
    return false;
  }

  /** Number of operators that the statements name, of alternatives the largest. */
  private int size(Pattern root, Availability availability) {
    int total = 0;
    Set<Pattern> counted = new HashSet<>();
    for (Map.Entry<Integer, Pattern> definition : names.definitions.entrySet()) {
      // Outputs of one operator share its pattern.
      if (availability.isReached(definition.getKey()) && counted.add(definition.getValue())) {
        total += size(definition.getValue());
      }
    }
    return counted.contains(root) ? total : total + size(root);
  }

  private static int size(Pattern pattern) {
    if (pattern instanceof Pattern.Op op) {
      int total = 1;
      for (Pattern.Argument arg : op.args()) {
        total += size(arg.pattern());
      }
      return total;
    }
    if (pattern instanceof Pattern.Choice choice) {
      return choice.branches().stream().mapToInt(b -> size(b.pattern())).max().orElse(0);
    }
    return pattern instanceof Pattern.Repeat repeat ? size(repeat.inner()) : 0;
  }

  // ---- names ------------------------------------------------------------------------------------

  private void checkReached(RuleDecl declaration, Availability availability) {
    for (Statement statement : declaration.match()) {
      boolean reached = false;
      Optional<Name> first = Optional.empty();
      for (Name target : statement.targets()) {
        if (target.isAnonymous()) {
          continue;
        }
        first = first.isEmpty() ? Optional.of(target) : first;
        reached |=
            scope.find(target.text()).orElse(null) instanceof Pattern.Variable variable
                && availability.isReached(variable.slot());
      }
      if (!reached && first.isPresent()) {
        problems.add(
            Problem.of(Diagnostic.UNREACHED, first.get().span(), first.get().text())
                .suspect(first.get().text(), scope.captured()));
      }
    }
  }

  private void checkComputed(RuleDecl declaration, Availability availability) {
    for (StructureCompiler.ComputedUse computed : structure.computedUses()) {
      Availability inBranch = Availability.from(computed.branch(), names);
      for (NameUse use : computed.uses()) {
        if (!inBranch.isCertain(use.slot(), use.facts())
            && !availability.isCertain(use.slot(), use.facts())) {
          problems.add(Diagnostic.NOT_ALWAYS_BOUND, use.name().span(), use.name().text());
        }
      }
    }
    for (int i = 0; i < names.slotCount(); i++) {
      if (dependsOn(i, i, new HashSet<>())) {
        problems.add(Diagnostic.COMPUTED_CYCLE, declaration.name().span(), names.slot(i).name);
        return;
      }
    }
  }

  private boolean dependsOn(int slot, int target, Set<Integer> seen) {
    for (int source : names.slot(slot).computedFrom) {
      if (source == target || (seen.add(source) && dependsOn(source, target, seen))) {
        return true;
      }
    }
    return false;
  }

  /** Reports names that may be unbound where they are used. */
  private void require(List<NameUse> uses, Availability availability) {
    for (NameUse use : uses) {
      Names.Slot slot = names.slot(use.slot());
      boolean certain;
      if (slot.uses.contains(Names.Use.DIMENSION) || slot.uses.contains(Names.Use.LET)) {
        Set<Integer> depends = established.get(use.slot());
        certain =
            depends != null
                && depends.stream().allMatch(s -> availability.isCertain(s, use.facts()));
      } else {
        certain = availability.isCertain(use.slot(), use.facts());
      }
      if (!certain) {
        problems.add(Diagnostic.NOT_ALWAYS_BOUND, use.name().span(), use.name().text());
      }
    }
  }

  // ---- conditions -------------------------------------------------------------------------------

  private List<Condition> conditions(
      List<ClauseDecl> clauses, Facts facts, Availability availability) {
    List<Condition> conditions = new ArrayList<>();
    for (ClauseDecl clause : clauses) {
      condition(clause, facts, availability).ifPresent(conditions::add);
    }
    return conditions;
  }

  private Optional<Condition> condition(ClauseDecl clause, Facts facts, Availability availability) {
    List<NameUse> uses = new ArrayList<>();
    if (clause instanceof ClauseDecl.HoldsClause holds) {
      Expr expr = expressions.compile(holds.condition(), Kind.FLAG, scope, facts, uses);
      require(uses, availability);
      return Optional.of(new Condition.Holds(expr, holds.why(), holds.span().text(), holds.span()));
    }
    if (clause instanceof ClauseDecl.ValueClause value) {
      return valueClause(value, facts, availability);
    }
    if (clause instanceof ClauseDecl.WhenClause when) {
      Expr expr = expressions.compile(when.condition(), Kind.FLAG, scope, facts, uses);
      require(uses, availability);
      Map<Integer, Set<Integer>> before = new HashMap<>(established);
      List<Condition> then = conditions(when.then(), facts.given(expr, true, names), availability);
      Map<Integer, Set<Integer>> afterThen = established;
      established = new HashMap<>(before);
      List<Condition> otherwise =
          conditions(when.otherwise(), facts.given(expr, false, names), availability);
      established.keySet().retainAll(afterThen.keySet());
      established.putAll(before);
      return Optional.of(new Condition.When(expr, then, otherwise, when.span()));
    }
    ClauseDecl.LetClause let = (ClauseDecl.LetClause) clause;
    ExpressionCompiler.Typed value = expressions.compile(let.value(), scope, facts, uses);
    require(uses, availability);
    if (scope.find(let.name().text()).isPresent()) {
      problems.add(Diagnostic.DEFINED_TWICE, let.name().span(), let.name().text());
      return Optional.empty();
    }
    if (let.name().isCapitalised()) {
      problems.add(Diagnostic.VALUE_CAPITALISED, let.name().span(), let.name().text());
    }
    int slot = names.newSlot(let.name().text(), let.name().span());
    names.slot(slot).uses.add(Names.Use.LET);
    names.slot(slot).kind = value.kind();
    scope.bind(let.name().text(), new Pattern.Variable(slot));
    established.put(slot, Set.of());
    return Optional.of(new Condition.Let(slot, let.name().text(), value.expr(), let.span()));
  }

  private Optional<Condition> valueClause(
      ClauseDecl.ValueClause clause, Facts facts, Availability availability) {
    Optional<Integer> slot = expressions.slot(clause.name(), scope);
    if (slot.isEmpty()) {
      return Optional.empty();
    }
    if (!names.slot(slot.get()).isAlwaysValue()) {
      problems.add(Diagnostic.SHAPE_OF_NUMBER, clause.name().span(), clause.name().text());
      return Optional.empty();
    }
    if (!clause.optional()) {
      require(List.of(new NameUse(slot.get(), clause.name(), facts)), availability);
    }
    Optional<List<DimPattern>> dims = Optional.empty();
    if (clause.shape().isPresent()) {
      List<DimPattern> patterns = new ArrayList<>();
      boolean rest = false;
      for (DimDecl dim : clause.shape().get()) {
        if (dim instanceof DimDecl.Rest ellipsis) {
          if (rest) {
            problems.add(Diagnostic.TWO_RESTS, ellipsis.span());
          }
          rest = true;
        }
        patterns.add(dimension(dim, clause, slot.get()));
      }
      dims = Optional.of(patterns);
    }
    Span span = clause.span();
    return Optional.of(
        new Condition.ValueIs(
            slot.get(),
            clause.name().text(),
            clause.optional(),
            dims,
            clause.types(),
            clause.why(),
            conditionText(span),
            span));
  }

  /** The clause without its {@code else} and semicolon. */
  private static String conditionText(Span span) {
    String text = span.text();
    int end = text.indexOf(" else ");
    if (end < 0) {
      end = text.indexOf(';');
    }
    return (end < 0 ? text : text.substring(0, end)).strip();
  }

  private DimPattern dimension(DimDecl dim, ClauseDecl.ValueClause clause, int valueSlot) {
    if (dim instanceof DimDecl.Fixed fixed) {
      return new DimPattern.Fixed(fixed.size());
    }
    if (dim instanceof DimDecl.Any) {
      return new DimPattern.Any();
    }
    if (dim instanceof DimDecl.Rest) {
      return new DimPattern.Rest();
    }
    Name name = ((DimDecl.Named) dim).name();
    if (!name.isCapitalised()) {
      problems.add(Diagnostic.DIMENSION_LOWER_CASE, name.span(), name.text());
      return new DimPattern.Any();
    }
    int slot;
    if (scope.find(name.text()).orElse(null) instanceof Pattern.Variable known) {
      slot = known.slot();
    } else {
      slot = names.newSlot(name.text(), name.span());
      names.slot(slot).uses.add(Names.Use.DIMENSION);
      names.slot(slot).kind = Kind.NUMBER;
      scope.bind(name.text(), new Pattern.Variable(slot));
    }
    if (clause.optional()) {
      established.putIfAbsent(slot, Set.of(valueSlot));
    } else {
      established.put(slot, Set.of());
    }
    return new DimPattern.Named(slot, name.text(), ((DimDecl.Named) dim).lenient());
  }
}
