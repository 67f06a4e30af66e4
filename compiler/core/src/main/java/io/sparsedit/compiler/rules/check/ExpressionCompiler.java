package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.match.Builtin;
import io.sparsedit.compiler.rules.match.Datum;
import io.sparsedit.compiler.rules.match.Expr;
import io.sparsedit.compiler.rules.match.Externs;
import io.sparsedit.compiler.rules.match.Pattern;
import io.sparsedit.compiler.rules.syntax.Diagnostic;
import io.sparsedit.compiler.rules.syntax.ExprDecl;
import io.sparsedit.compiler.rules.syntax.Name;
import io.sparsedit.compiler.rules.syntax.Problem;
import io.sparsedit.compiler.rules.syntax.Problems;
import io.sparsedit.compiler.rules.syntax.RuleFile.ExternDecl;
import io.sparsedit.compiler.rules.syntax.Span;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/** Compiles expressions: resolves names, checks types, and notes which names must be bound. */
final class ExpressionCompiler {
  /** An expression with its type. */
  record Typed(Expr expr, Kind kind) {}

  /** A name that must be bound where the facts hold. */
  record NameUse(int slot, Name name, Facts facts) {}

  private static final Set<String> SPECIAL = Set.of("default", "tag");
  private static final Typed BROKEN = new Typed(new Expr.Literal(Datum.of(0)), Kind.ANY);

  private final Names names;
  private final Map<String, ExternDecl> externs;
  private final Externs implementations;
  private final Problems problems;

  ExpressionCompiler(
      Names names, Map<String, ExternDecl> externs, Externs implementations, Problems problems) {
    this.names = names;
    this.externs = externs;
    this.implementations = implementations;
    this.problems = problems;
  }

  /** The datum of a literal. */
  static Datum literal(ExprDecl literal) {
    if (literal instanceof ExprDecl.IntLiteral i) {
      return Datum.of(i.value());
    }
    if (literal instanceof ExprDecl.RealLiteral r) {
      return Datum.of(r.value());
    }
    if (literal instanceof ExprDecl.TextLiteral t) {
      return Datum.of(t.value());
    }
    if (literal instanceof ExprDecl.TypeLiteral t) {
      return new Datum.Type(t.value());
    }
    ExprDecl.ListOf list = (ExprDecl.ListOf) literal;
    return new Datum.Items(list.items().stream().map(ExpressionCompiler::literal).toList());
  }

  /**
   * Compiles an expression.
   *
   * @param uses takes the names that must be bound
   */
  Typed compile(ExprDecl expr, Scope scope, Facts facts, List<NameUse> uses) {
    return compile(expr, scope, facts, uses, Kind.ANY);
  }

  /** Compiles an expression that must be of the given type. */
  Expr compile(ExprDecl expr, Kind wanted, Scope scope, Facts facts, List<NameUse> uses) {
    Typed typed = compile(expr, scope, facts, uses, wanted);
    if (!typed.kind().fits(wanted)) {
      problems.add(Diagnostic.WRONG_TYPE, expr.span(), wanted.words(), typed.kind().words());
    }
    return typed.expr();
  }

  private Typed compile(ExprDecl expr, Scope scope, Facts facts, List<NameUse> uses, Kind wanted) {
    if (expr instanceof ExprDecl.Ref ref) {
      return reference(ref.name(), scope, facts, uses, wanted);
    }
    if (expr instanceof ExprDecl.Invoke invoke) {
      return invoke(invoke, scope, facts, uses);
    }
    if (expr instanceof ExprDecl.Negate negate) {
      return new Typed(
          new Expr.Negate(compile(negate.operand(), Kind.NUMBER, scope, facts, uses)), Kind.NUMBER);
    }
    if (expr instanceof ExprDecl.Not not) {
      return new Typed(
          new Expr.Not(compile(not.operand(), Kind.FLAG, scope, facts, uses)), Kind.FLAG);
    }
    if (expr instanceof ExprDecl.Arithmetic a) {
      return new Typed(
          new Expr.Arithmetic(
              a.operator(),
              compile(a.left(), Kind.NUMBER, scope, facts, uses),
              compile(a.right(), Kind.NUMBER, scope, facts, uses)),
          Kind.NUMBER);
    }
    if (expr instanceof ExprDecl.Compare compare) {
      return compare(compare, scope, facts, uses);
    }
    if (expr instanceof ExprDecl.In in) {
      return in(in, scope, facts, uses);
    }
    if (expr instanceof ExprDecl.Logic logic) {
      return logic(logic, scope, facts, uses);
    }
    if (expr instanceof ExprDecl.IsTag isTag) {
      List<Expr.Branch> branches = branches(isTag.name(), isTag.tag(), scope);
      return new Typed(new Expr.Taken(branches), Kind.FLAG);
    }
    if (expr instanceof ExprDecl.IsPresent isPresent) {
      Expr present = present(isPresent.name(), scope);
      return new Typed(isPresent.present() ? present : new Expr.Not(present), Kind.FLAG);
    }
    if (expr instanceof ExprDecl.CaseOf caseOf) {
      return caseOf(caseOf, scope, facts, uses, wanted);
    }
    if (expr instanceof ExprDecl.ListOf list) {
      List<Expr> items = new ArrayList<>();
      for (ExprDecl item : list.items()) {
        items.add(compile(item, scope, facts, uses).expr());
      }
      return new Typed(new Expr.ListOf(items), Kind.LIST);
    }
    Datum datum = literal(expr);
    Kind kind =
        datum instanceof Datum.Text
            ? Kind.TEXT
            : datum instanceof Datum.Type ? Kind.TYPE : Kind.NUMBER;
    return new Typed(new Expr.Literal(datum), kind);
  }

  private Typed in(ExprDecl.In in, Scope scope, Facts facts, List<NameUse> uses) {
    Typed operand = compile(in.operand(), scope, facts, uses);
    List<Expr> items = new ArrayList<>();
    for (ExprDecl item : in.items()) {
      items.add(compile(item, operand.kind(), scope, facts, uses));
    }
    return new Typed(new Expr.In(operand.expr(), items), Kind.FLAG);
  }

  /** The right side may rely on what the left one says. */
  private Typed logic(ExprDecl.Logic logic, Scope scope, Facts facts, List<NameUse> uses) {
    Expr left = compile(logic.left(), Kind.FLAG, scope, facts, uses);
    Facts then = facts.given(left, logic.conjunction(), names);
    Expr right = compile(logic.right(), Kind.FLAG, scope, then, uses);
    return new Typed(new Expr.Logic(logic.conjunction(), left, right), Kind.FLAG);
  }

  private Typed compare(ExprDecl.Compare compare, Scope scope, Facts facts, List<NameUse> uses) {
    boolean isEquality =
        switch (compare.comparison()) {
          case EQUAL, NOT_EQUAL -> true;
          case AT_MOST, LESS, AT_LEAST, GREATER -> false;
        };
    Typed left = compile(compare.left(), scope, facts, uses, Kind.ANY);
    if (!isEquality && !left.kind().fits(Kind.NUMBER)) {
      problems.add(
          Diagnostic.WRONG_TYPE, compare.left().span(), Kind.NUMBER.words(), left.kind().words());
    }
    Expr right =
        compile(compare.right(), isEquality ? left.kind() : Kind.NUMBER, scope, facts, uses);
    return new Typed(new Expr.Compare(compare.comparison(), left.expr(), right), Kind.FLAG);
  }

  private Typed reference(Name name, Scope scope, Facts facts, List<NameUse> uses, Kind wanted) {
    Optional<Integer> slotIndex = slot(name, scope);
    if (slotIndex.isEmpty()) {
      return BROKEN;
    }
    Names.Slot slot = names.slot(slotIndex.get());
    uses.add(new NameUse(slot.index, name, facts));
    boolean numeric = slot.isNumeric() && !(wanted == Kind.VALUE && slot.isAlwaysValue());
    return new Typed(
        new Expr.Slot(slot.index, name.text(), numeric), numeric ? slot.kind : Kind.VALUE);
  }

  /** The slot of a name that must be known here. */
  Optional<Integer> slot(Name name, Scope scope) {
    Optional<Pattern> meaning = scope.find(name.text());
    if (meaning.isEmpty()) {
      problems.add(
          Problem.of(Diagnostic.UNKNOWN_NAME, name.span(), name.text())
              .suggest(name.text(), scope.all()));
      return Optional.empty();
    }
    if (meaning.get() instanceof Pattern.Variable variable) {
      return Optional.of(variable.slot());
    }
    return Optional.empty();
  }

  private Expr present(Name name, Scope scope) {
    Optional<Integer> slot = slot(name, scope);
    if (slot.isEmpty()) {
      return new Expr.Literal(Datum.of(true));
    }
    Names.Tags tags = names.tags.getOrDefault(slot.get(), new Names.Tags());
    return tags.presence
        .<Expr>map(branch -> new Expr.Taken(List.of(branch)))
        .orElseGet(() -> new Expr.Bound(slot.get()));
  }

  /** The branches that bear a tag of a statement. */
  List<Expr.Branch> branches(Name statement, Name tag, Scope scope) {
    Optional<Integer> slot = slot(statement, scope);
    if (slot.isEmpty()) {
      return List.of();
    }
    Names.Tags tags = names.tags.getOrDefault(slot.get(), new Names.Tags());
    List<Expr.Branch> branches = tags.of(tag.text().substring(1));
    if (branches.isEmpty()) {
      List<String> candidates = tags.names().stream().map(t -> "#" + t).toList();
      problems.add(
          Problem.of(Diagnostic.UNKNOWN_TAG, tag.span(), statement.text(), tag.text())
              .suggest(tag.text(), candidates));
    }
    return branches;
  }

  /** Checks that the arms of a case cover all ways to match a statement. */
  void checkArms(Name statement, List<Optional<Name>> arms, Span span, Scope scope) {
    Set<String> seen = new HashSet<>();
    boolean open = true;
    for (Optional<Name> arm : arms) {
      if (!open) {
        problems.add(Diagnostic.UNREACHABLE_ARM, arm.map(Name::span).orElse(span));
      }
      if (arm.isEmpty()) {
        open = false;
      } else if (!seen.add(arm.get().text().substring(1))) {
        problems.add(Diagnostic.DUPLICATE_TAG, arm.get().span(), arm.get().text());
      }
    }
    Optional<Pattern> meaning = scope.find(statement.text());
    if (!open || !(meaning.orElse(null) instanceof Pattern.Variable variable)) {
      return;
    }
    Names.Tags tags = names.tags.getOrDefault(variable.slot(), new Names.Tags());
    Set<String> missing = new TreeSet<>();
    boolean untagged = false;
    for (List<String> path : tags.paths) {
      if (path.stream().noneMatch(seen::contains)) {
        untagged |= path.isEmpty();
        path.stream().limit(1).forEach(t -> missing.add("#" + t));
      }
    }
    if (untagged) {
      missing.add("an alternative without a tag");
    }
    if (!missing.isEmpty()) {
      problems.add(Diagnostic.CASE_INCOMPLETE, span, statement.text(), String.join(", ", missing));
    }
  }

  /** What is known in an arm. */
  Facts inArm(List<Expr.Branch> branches, Facts facts) {
    return branches.isEmpty() ? facts : facts.given(new Expr.Taken(branches), true, names);
  }

  /** What is known in the arms after one. */
  Facts afterArm(List<Expr.Branch> branches, Facts facts) {
    return branches.isEmpty() ? facts : facts.given(new Expr.Taken(branches), false, names);
  }

  private Typed caseOf(
      ExprDecl.CaseOf caseOf, Scope scope, Facts facts, List<NameUse> uses, Kind wanted) {
    List<Expr.Arm> arms = new ArrayList<>();
    Facts remaining = facts;
    Kind kind = wanted;
    for (ExprDecl.Arm arm : caseOf.arms()) {
      List<Expr.Branch> branches =
          arm.tag().map(t -> branches(caseOf.name(), t, scope)).orElse(List.of());
      Typed value = compile(arm.value(), scope, inArm(branches, remaining), uses, kind);
      if (!value.kind().fits(kind)) {
        problems.add(Diagnostic.WRONG_TYPE, arm.value().span(), kind.words(), value.kind().words());
      }
      kind = kind == Kind.ANY ? value.kind() : kind;
      remaining = afterArm(branches, remaining);
      arms.add(new Expr.Arm(branches, value.expr()));
    }
    checkArms(
        caseOf.name(),
        caseOf.arms().stream().map(ExprDecl.Arm::tag).toList(),
        caseOf.span(),
        scope);
    return new Typed(new Expr.CaseOf(caseOf.name().text(), arms), kind);
  }

  // ---- calls ------------------------------------------------------------------------------------

  private Typed invoke(ExprDecl.Invoke invoke, Scope scope, Facts facts, List<NameUse> uses) {
    String name = invoke.name().text();
    if (SPECIAL.contains(name)) {
      return special(invoke, scope, facts, uses);
    }
    Optional<Builtin> builtin = Builtin.of(name);
    if (builtin.isPresent()) {
      return builtin(builtin.get(), invoke, scope, facts, uses);
    }
    ExternDecl extern = externs.get(name);
    if (extern == null) {
      problems.add(
          Problem.of(Diagnostic.UNKNOWN_FUNCTION, invoke.name().span(), name)
              .suggest(name, functionNames()));
      return BROKEN;
    }
    return extern(extern, invoke, scope, facts, uses);
  }

  private List<String> functionNames() {
    List<String> known = new ArrayList<>(externs.keySet());
    known.addAll(SPECIAL);
    for (Builtin builtin : Builtin.values()) {
      known.add(builtin.spelling());
    }
    return known;
  }

  private Typed builtin(
      Builtin function, ExprDecl.Invoke invoke, Scope scope, Facts facts, List<NameUse> uses) {
    if (wrongCount(invoke, function.minArgs(), function.maxArgs())) {
      return BROKEN;
    }
    List<Expr> args = new ArrayList<>();
    for (int i = 0; i < invoke.args().size(); i++) {
      Kind kind =
          switch (function.parameter(i)) {
            case 'v' -> Kind.VALUE;
            case 'l' -> Kind.LIST;
            default -> Kind.NUMBER;
          };
      args.add(compile(invoke.args().get(i), kind, scope, facts, uses));
    }
    Kind result =
        switch (function.result()) {
          case 'b' -> Kind.FLAG;
          case 't' -> Kind.TYPE;
          case 'l' -> Kind.LIST;
          default -> Kind.NUMBER;
        };
    return new Typed(new Expr.Apply(function, args), result);
  }

  private Typed extern(
      ExternDecl extern, ExprDecl.Invoke invoke, Scope scope, Facts facts, List<NameUse> uses) {
    String name = invoke.name().text();
    if (wrongCount(invoke, extern.params().size(), extern.params().size())) {
      return BROKEN;
    }
    List<Expr> args = new ArrayList<>();
    for (int i = 0; i < invoke.args().size(); i++) {
      Kind kind = externKind(extern.params().get(i).type().text()).orElse(Kind.ANY);
      args.add(compile(invoke.args().get(i), kind, scope, facts, uses));
    }
    if (extern.predicate()) {
      return new Typed(
          implementations
              .predicate(name)
              .<Expr>map(p -> new Expr.CallPredicate(name, p, args))
              .orElse(BROKEN.expr()),
          Kind.FLAG);
    }
    return new Typed(
        implementations
            .function(name)
            .<Expr>map(f -> new Expr.CallFunction(name, f, args))
            .orElse(BROKEN.expr()),
        Kind.ANY);
  }

  /** The type of an extern's parameter, as declared. */
  static Optional<Kind> externKind(String written) {
    return switch (written) {
      case "value" -> Optional.of(Kind.VALUE);
      case "number" -> Optional.of(Kind.NUMBER);
      case "string" -> Optional.of(Kind.TEXT);
      default -> Optional.empty();
    };
  }

  private boolean wrongCount(ExprDecl.Invoke invoke, int min, int max) {
    int count = invoke.args().size();
    if (count >= min && count <= max) {
      return false;
    }
    problems.add(
        Diagnostic.ARGUMENT_COUNT,
        invoke.name().span(),
        invoke.name().text(),
        OperatorSchema.count(min, max, "argument"),
        count);
    return true;
  }

  private Typed special(ExprDecl.Invoke invoke, Scope scope, Facts facts, List<NameUse> uses) {
    boolean isTag = invoke.name().text().equals("tag");
    int count = isTag ? 1 : 2;
    if (wrongCount(invoke, count, count)) {
      return BROKEN;
    }
    if (!(invoke.args().get(0) instanceof ExprDecl.Ref ref)) {
      problems.add(Diagnostic.NAME_NEEDED, invoke.args().get(0).span(), invoke.name().text());
      return BROKEN;
    }
    Optional<Integer> slotIndex = slot(ref.name(), scope);
    if (slotIndex.isEmpty()) {
      return BROKEN;
    }
    if (isTag) {
      Names.Tags tags = names.tags.getOrDefault(slotIndex.get(), new Names.Tags());
      if (tags.paths.stream().anyMatch(List::isEmpty)) {
        problems.add(Diagnostic.TAG_INCOMPLETE, ref.span(), ref.name().text());
      }
      return new Typed(new Expr.TagOf(ref.name().text(), tags.branches), Kind.TEXT);
    }
    Names.Slot slot = names.slot(slotIndex.get());
    Typed fallback = compile(invoke.args().get(1), scope, facts, uses);
    if (slot.isNumeric() && !fallback.kind().fits(slot.kind)) {
      problems.add(
          Diagnostic.WRONG_TYPE,
          invoke.args().get(1).span(),
          slot.kind.words(),
          fallback.kind().words());
    }
    Expr.Slot use = new Expr.Slot(slot.index, ref.name().text(), slot.isNumeric());
    return new Typed(new Expr.SlotOrElse(use, fallback.expr()), fallback.kind());
  }
}
