package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.check.Names.Tags;
import io.sparsedit.compiler.rules.check.Names.Use;
import io.sparsedit.compiler.rules.match.Expr;
import io.sparsedit.compiler.rules.match.Pattern;
import io.sparsedit.compiler.rules.syntax.Diagnostic;
import io.sparsedit.compiler.rules.syntax.Name;
import io.sparsedit.compiler.rules.syntax.Problem;
import io.sparsedit.compiler.rules.syntax.Problems;
import io.sparsedit.compiler.rules.syntax.RuleFile.PatternDecl;
import io.sparsedit.compiler.rules.syntax.Span;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Alternative;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Arg;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Block;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Call;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Choice;
import io.sparsedit.compiler.rules.syntax.StructureDecl.NameArg;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Nested;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Reference;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Repetition;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Rest;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Statement;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Term;
import io.sparsedit.compiler.rules.syntax.StructureDecl.With;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Compiles statements to patterns; named patterns are expanded where they are called. */
final class StructureCompiler {
  private static final int MAX_OPERATORS = 500;
  private static final int MAX_PATHS = 256;

  /** A {@code with} expression, to be checked once it is known where names are bound. */
  record ComputedUse(Expr expr, List<ExpressionCompiler.NameUse> uses, Pattern branch) {}

  /** Thrown when a rule expands to too much; reported before. */
  static final class TooLarge extends RuntimeException {
    private static final long serialVersionUID = 1L;

    TooLarge() {
      super(null, null, false, false);
    }
  }

  /** What becomes of the tags of alternatives. */
  private enum TagMode {
    /** They belong to a statement. */
    COLLECT,
    /** Nobody can ask for them, but they are written in a pattern that others use too. */
    IGNORE,
    /** Nobody can ask for them. */
    FORBID
  }

  /** Where the tags of alternatives go. */
  private record TagSink(TagMode mode, Tags tags) {
    static TagSink collecting(Tags tags) {
      return new TagSink(TagMode.COLLECT, tags);
    }

    static TagSink forbidding() {
      return new TagSink(TagMode.FORBID, new Tags());
    }

    TagSink insidePattern() {
      return mode == TagMode.FORBID ? new TagSink(TagMode.IGNORE, new Tags()) : this;
    }
  }

  /** A pattern and, for every way through its alternatives, the tags on it. */
  private record Compiled(Pattern pattern, List<List<String>> paths) {
    static Compiled untagged(Pattern pattern) {
      return new Compiled(pattern, List.of(List.of()));
    }
  }

  private final Names names;
  private final OperatorTable operators;
  private final Map<String, PatternDecl> patterns;
  private final ExpressionCompiler expressions;
  private final Problems problems;
  private final ArgumentCompiler arguments;
  private final OperatorCompiler operatorCalls;
  private final Set<String> expanding = new LinkedHashSet<>();
  private final List<ComputedUse> computedUses = new ArrayList<>();
  private int operatorCount;

  StructureCompiler(
      Names names,
      OperatorTable operators,
      Map<String, PatternDecl> patterns,
      ExpressionCompiler expressions,
      Problems problems) {
    this.names = names;
    this.operators = operators;
    this.patterns = patterns;
    this.expressions = expressions;
    this.problems = problems;
    arguments = new ArgumentCompiler(names, this::nested, problems);
    operatorCalls = new OperatorCompiler(names, operators, patterns.keySet(), arguments, problems);
  }

  List<ComputedUse> computedUses() {
    return computedUses;
  }

  /** Compiles the statements of a rule. The result is the pattern of the last one. */
  Pattern statements(List<Statement> statements, Scope scope) {
    return block(statements, scope, Optional.empty(), Optional.empty()).pattern();
  }

  /** Compiles a named pattern on its own, to check it even where no rule uses it. */
  void check(PatternDecl pattern) {
    Scope scope = Scope.ofPattern(names);
    for (Name param : pattern.params()) {
      scope.bind(param.text(), new Pattern.Variable(names.newSlot(param.text(), param.span())));
    }
    expanding.add(pattern.name().text());
    choice(pattern.body(), scope, List.of(), TagSink.collecting(new Tags()));
    expanding.remove(pattern.name().text());
  }

  private Compiled block(
      List<Statement> statements,
      Scope scope,
      Optional<List<Integer>> outputs,
      Optional<TagSink> sink) {
    announceTargets(statements, scope);
    Compiled last = Compiled.untagged(new Pattern.Anything());
    for (int i = 0; i < statements.size(); i++) {
      Statement statement = statements.get(i);
      boolean isLast = i == statements.size() - 1;
      boolean handedOut = isLast && outputs.isPresent() && !outputs.get().isEmpty();
      if (handedOut && outputs.get().size() != statement.targets().size()) {
        problems.add(
            Diagnostic.OUTPUT_COUNT,
            statement.targets().get(0).span(),
            outputs.get().size(),
            statement.targets().size());
        return Compiled.untagged(new Pattern.Anything());
      }
      List<Integer> slots = handedOut ? outputs.get() : newSlots(statement.targets());
      Tags tags = new Tags();
      TagSink statementSink = isLast && sink.isPresent() ? sink.get() : TagSink.collecting(tags);
      last = choice(statement.choice(), scope, slots, statementSink);
      tags.paths = last.paths();
      boolean isDefinition = !handedOut && (!isLast || outputs.isEmpty());
      for (int t = 0; t < slots.size(); t++) {
        int slot = slots.get(t);
        if (slot == Pattern.NO_SLOT || statement.targets().get(t).isAnonymous()) {
          continue;
        }
        if (!handedOut) {
          names.slot(slot).uses.add(Use.VALUE);
          names.tags.put(slot, tags);
        }
        if (isDefinition) {
          names.definitions.put(slot, last.pattern());
        }
        bind(statement.targets().get(t), slot, scope);
      }
    }
    return last;
  }

  private void announceTargets(List<Statement> statements, Scope scope) {
    Set<String> targets = new HashSet<>();
    for (Statement statement : statements) {
      for (Name target : statement.targets()) {
        if (target.isAnonymous()) {
          continue;
        }
        arguments.requireLowerCase(target);
        if (!targets.add(target.text())) {
          problems.add(Diagnostic.DEFINED_TWICE, target.span(), target.text());
        }
        scope.announce(target.text());
      }
    }
  }

  private List<Integer> newSlots(List<Name> targets) {
    return targets.stream()
        .map(
            target ->
                target.isAnonymous()
                    ? Pattern.NO_SLOT
                    : names.newSlot(target.text(), target.span()))
        .toList();
  }

  private void bind(Name target, int slot, Scope scope) {
    if (scope.isKnown(target.text())) {
      problems.add(Diagnostic.DEFINED_TWICE, target.span(), target.text());
    }
    scope.bind(target.text(), new Pattern.Variable(slot));
  }

  // ---- alternatives -----------------------------------------------------------------------------

  /** A term in the place of an argument: nobody can ask for the tags in it. */
  private Pattern nested(Choice choice, Scope scope) {
    return choice(choice, scope, List.of(), TagSink.forbidding()).pattern();
  }

  private Compiled choice(Choice choice, Scope scope, List<Integer> outputs, TagSink sink) {
    List<Alternative> alternatives = choice.alternatives();
    Alternative first = alternatives.get(0);
    if (alternatives.size() == 1 && first.tag().isEmpty() && first.with().isEmpty()) {
      return repeated(first, scope, outputs, sink);
    }
    int id = names.newChoice(alternatives.size());
    List<Pattern.Branch> branches = new ArrayList<>();
    List<List<String>> paths = new ArrayList<>();
    Set<String> seen = new HashSet<>();
    for (int i = 0; i < alternatives.size(); i++) {
      Alternative alternative = alternatives.get(i);
      Expr.Branch branch = new Expr.Branch(id, i);
      Optional<String> tag = alternative.tag().map(Name::text);
      if (tag.isPresent()) {
        Span span = alternative.tag().get().span();
        if (!seen.add(tag.get())) {
          problems.add(Diagnostic.DUPLICATE_TAG, span, tag.get());
        }
        if (sink.mode() == TagMode.FORBID) {
          problems.add(Diagnostic.NESTED_TAG, span, tag.get());
        }
        sink.tags().branches.add(new Expr.TaggedBranch(branch, tag.get().substring(1)));
      }
      Compiled compiled = repeated(alternative, scope, outputs, sink);
      branches.add(
          new Pattern.Branch(
              compiled.pattern(), computed(alternative.with(), scope, compiled.pattern())));
      for (List<String> path : compiled.paths()) {
        List<String> extended = new ArrayList<>(path);
        tag.ifPresent(t -> extended.add(0, t.substring(1)));
        if (paths.size() < MAX_PATHS) {
          paths.add(extended);
        }
      }
    }
    return new Compiled(new Pattern.Choice(id, branches), paths);
  }

  private List<Pattern.Computed> computed(List<With> with, Scope scope, Pattern branch) {
    List<Pattern.Computed> computed = new ArrayList<>();
    for (With definition : with) {
      arguments.requireLowerCase(definition.name());
      Pattern target = scope.resolve(definition.name());
      List<ExpressionCompiler.NameUse> uses = new ArrayList<>();
      ExpressionCompiler.Typed value =
          expressions.compile(definition.value(), scope, Facts.NONE, uses);
      uses.forEach(u -> names.slot(u.slot()).read = true);
      if (!(target instanceof Pattern.Variable variable)) {
        continue;
      }
      Names.Slot slot = names.slot(variable.slot());
      if (slot.uses.contains(Use.VALUE) || slot.uses.contains(Use.CONSTANT)) {
        problems.add(
            Diagnostic.VALUE_AND_NUMBER, definition.name().span(), definition.name().text());
        continue;
      }
      slot.uses.add(Use.COMPUTED);
      slot.kind = value.kind();
      uses.forEach(u -> slot.computedFrom.add(u.slot()));
      computedUses.add(new ComputedUse(value.expr(), uses, branch));
      computed.add(new Pattern.Computed(variable.slot(), value.expr()));
    }
    return computed;
  }

  private Compiled repeated(
      Alternative alternative, Scope scope, List<Integer> outputs, TagSink sink) {
    Term term = alternative.term();
    if (alternative.repetition() == Repetition.ONCE) {
      return term(term, scope, outputs, sink);
    }
    if (!(term instanceof Call call)
        || call.args().isEmpty()
        || !(call.args().get(0) instanceof Nested
            || (call.args().get(0) instanceof NameArg arg
                && !arg.name().isAnonymous()
                && !arg.optional()))) {
      problems.add(Diagnostic.OPT_NEEDS_OPERATOR, term.span());
      return Compiled.untagged(new Pattern.Anything());
    }
    if (outputs.size() > 1) {
      problems.add(Diagnostic.OUTPUTS_NEED_OPERATOR, term.span());
      return Compiled.untagged(new Pattern.Anything());
    }
    Pattern inner =
        shareable(arguments.compile(call.args().get(0), scope), call.args().get(0).span());
    if (alternative.repetition() == Repetition.OPTIONAL) {
      int id = names.newChoice(2);
      Compiled present = call(call, scope, outputs, sink, Optional.of(inner));
      sink.tags().presence = Optional.of(new Expr.Branch(id, 0));
      List<List<String>> paths = new ArrayList<>(present.paths());
      paths.add(List.of());
      return new Compiled(
          new Pattern.Choice(
              id,
              List.of(
                  new Pattern.Branch(present.pattern(), List.of()),
                  new Pattern.Branch(inner, List.of()))),
          paths);
    }
    int id = names.newChoice(1);
    int slotsBefore = names.slotCount();
    Pattern layer =
        call(
                call,
                scope,
                List.of(),
                new TagSink(TagMode.IGNORE, new Tags()),
                Optional.of(new Pattern.Again(id)))
            .pattern();
    if (!Layers.endsInAgain(layer, id)
        || names.slotCount() > slotsBefore
        || Layers.bindsSlots(layer)) {
      problems.add(Diagnostic.CAPTURE_IN_REPETITION, call.span());
    }
    Pattern.Repeat repeat = new Pattern.Repeat(id, layer, inner);
    names.repeats.put(id, repeat);
    return Compiled.untagged(repeat);
  }

  /** A pattern that may stand in several places and is matched once. */
  private Pattern shareable(Pattern pattern, Span span) {
    if (pattern instanceof Pattern.Variable
        || pattern instanceof Pattern.Anything
        || pattern instanceof Pattern.Again) {
      return pattern;
    }
    int slot = names.newSlot("", span);
    names.slot(slot).uses.add(Use.VALUE);
    names.definitions.put(slot, pattern);
    return new Pattern.Variable(slot);
  }

  private Compiled term(Term term, Scope scope, List<Integer> outputs, TagSink sink) {
    if (term instanceof Call call) {
      return call(call, scope, outputs, sink, Optional.empty());
    }
    if (term instanceof Block inner) {
      return block(inner.statements(), scope.block(), Optional.of(outputs), Optional.of(sink));
    }
    Reference reference = (Reference) term;
    if (outputs.size() > 1) {
      problems.add(Diagnostic.OUTPUTS_NEED_OPERATOR, term.span());
    }
    return Compiled.untagged(arguments.value(reference.name(), scope));
  }

  // ---- calls ------------------------------------------------------------------------------------

  private Compiled call(
      Call call, Scope scope, List<Integer> outputs, TagSink sink, Optional<Pattern> firstArg) {
    count(call);
    String name = call.name().text();
    boolean isPattern = !name.contains(".") && !call.name().isCapitalised();
    return isPattern
        ? expand(call, scope, outputs, sink, firstArg)
        : Compiled.untagged(operatorCalls.compile(call, scope, outputs, firstArg));
  }

  private void count(Call call) {
    if (++operatorCount > MAX_OPERATORS) {
      problems.add(Diagnostic.RULE_TOO_LARGE, call.span(), MAX_OPERATORS);
      throw new TooLarge();
    }
  }

  private Compiled expand(
      Call call, Scope scope, List<Integer> outputs, TagSink sink, Optional<Pattern> firstArg) {
    String name = call.name().text();
    PatternDecl declaration = patterns.get(name);
    Compiled nothing = Compiled.untagged(new Pattern.Anything());
    if (declaration == null) {
      List<String> candidates = new ArrayList<>(patterns.keySet());
      candidates.addAll(operators.names());
      problems.add(
          Problem.of(Diagnostic.UNKNOWN_PATTERN, call.name().span(), name)
              .suggest(name, candidates));
      return nothing;
    }
    if (call.commutative() || !call.attributes().isEmpty()) {
      problems.add(Diagnostic.PATTERN_CALL, call.name().span(), name);
    }
    if (call.args().size() != declaration.params().size()) {
      problems.add(
          Diagnostic.PATTERN_ARITY,
          call.name().span(),
          name,
          OperatorSchema.count(
              declaration.params().size(), declaration.params().size(), "argument"),
          call.args().size());
      return nothing;
    }
    if (expanding.contains(name)) {
      problems.add(
          Diagnostic.RECURSIVE_PATTERN,
          call.name().span(),
          name,
          String.join(" -> ", expanding) + " -> " + name);
      return nothing;
    }
    Scope inner = Scope.ofPattern(names);
    for (int i = 0; i < call.args().size(); i++) {
      Arg arg = call.args().get(i);
      if (arg instanceof Rest || (arg instanceof NameArg named && named.optional())) {
        problems.add(Diagnostic.PATTERN_ARGUMENT, arg.span(), name);
        return nothing;
      }
      Pattern meaning =
          i == 0 && firstArg.isPresent()
              ? firstArg.get()
              : ArgumentCompiler.isPlainName(arg)
                  ? arguments.passed((NameArg) arg, scope)
                  : shareable(arguments.compile(arg, scope), arg.span());
      inner.bind(declaration.params().get(i).text(), meaning);
    }
    expanding.add(name);
    Compiled body = choice(declaration.body(), inner, outputs, sink.insidePattern());
    expanding.remove(name);
    return body;
  }
}
