package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.check.Names.Tags;
import io.sparsedit.compiler.rules.check.Names.Use;
import io.sparsedit.compiler.rules.check.OperatorSchema.AttributeSchema;
import io.sparsedit.compiler.rules.match.Datum;
import io.sparsedit.compiler.rules.match.Expr;
import io.sparsedit.compiler.rules.match.Pattern;
import io.sparsedit.compiler.rules.match.Pattern.AttributeCondition;
import io.sparsedit.compiler.rules.syntax.Diagnostic;
import io.sparsedit.compiler.rules.syntax.ExprDecl;
import io.sparsedit.compiler.rules.syntax.Name;
import io.sparsedit.compiler.rules.syntax.Problem;
import io.sparsedit.compiler.rules.syntax.Problems;
import io.sparsedit.compiler.rules.syntax.RuleFile.PatternDecl;
import io.sparsedit.compiler.rules.syntax.Span;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Alternative;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Arg;
import io.sparsedit.compiler.rules.syntax.StructureDecl.AttributeAbsent;
import io.sparsedit.compiler.rules.syntax.StructureDecl.AttributeCapture;
import io.sparsedit.compiler.rules.syntax.StructureDecl.AttributeDecl;
import io.sparsedit.compiler.rules.syntax.StructureDecl.AttributeOneOf;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Block;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Call;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Choice;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Constraint;
import io.sparsedit.compiler.rules.syntax.StructureDecl.NameArg;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Nested;
import io.sparsedit.compiler.rules.syntax.StructureDecl.NumberArg;
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
  private static final int MAX_COMMUTATIVE_ARGS = 4;
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
    Set<String> targets = new HashSet<>();
    for (Statement statement : statements) {
      for (Name target : statement.targets()) {
        if (!target.isAnonymous()) {
          requireLowerCase(target);
          if (!targets.add(target.text())) {
            problems.add(Diagnostic.DEFINED_TWICE, target.span(), target.text());
          }
          scope.announce(target.text());
        }
      }
    }
    Compiled last = Compiled.untagged(new Pattern.Anything());
    for (int i = 0; i < statements.size(); i++) {
      Statement statement = statements.get(i);
      boolean isLast = i == statements.size() - 1;
      List<Name> statementTargets = statement.targets();
      boolean handedOut = isLast && outputs.isPresent() && !outputs.get().isEmpty();
      List<Integer> slots = new ArrayList<>();
      if (handedOut) {
        slots.addAll(outputs.get());
        if (slots.size() != statementTargets.size()) {
          problems.add(
              Diagnostic.OUTPUT_COUNT,
              statementTargets.get(0).span(),
              slots.size(),
              statementTargets.size());
          return Compiled.untagged(new Pattern.Anything());
        }
      } else {
        for (Name target : statementTargets) {
          slots.add(
              target.isAnonymous() ? Pattern.NO_SLOT : names.newSlot(target.text(), target.span()));
        }
      }
      Tags tags = new Tags();
      TagSink statementSink = isLast && sink.isPresent() ? sink.get() : TagSink.collecting(tags);
      Compiled compiled = choice(statement.choice(), scope, slots, statementSink);
      tags.paths = compiled.paths();
      for (int t = 0; t < slots.size(); t++) {
        Name target = statementTargets.get(t);
        int slot = slots.get(t);
        if (slot == Pattern.NO_SLOT || target.isAnonymous()) {
          continue;
        }
        if (!handedOut) {
          names.slot(slot).uses.add(Use.VALUE);
          names.tags.put(slot, tags);
          if (!isLast || outputs.isEmpty()) {
            names.definitions.put(slot, compiled.pattern());
          }
        }
        if (scope.isKnown(target.text())) {
          problems.add(Diagnostic.DEFINED_TWICE, target.span(), target.text());
        }
        scope.bind(target.text(), new Pattern.Variable(slot));
      }
      last = compiled;
    }
    return last;
  }

  // ---- alternatives -----------------------------------------------------------------------------

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
      requireLowerCase(definition.name());
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
    Pattern inner = shareable(argument(call.args().get(0), scope), call.args().get(0).span());
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
    if (!endsInAgain(layer, id) || names.slotCount() > slotsBefore || bindsSlots(layer)) {
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

  /** Whether every way through a layer leads to the next one. */
  private static boolean endsInAgain(Pattern pattern, int id) {
    if (pattern instanceof Pattern.Again again) {
      return again.id() == id;
    }
    if (pattern instanceof Pattern.Op op) {
      return op.args().stream().anyMatch(a -> endsInAgain(a.pattern(), id));
    }
    if (pattern instanceof Pattern.Choice choice) {
      return choice.branches().stream().allMatch(b -> endsInAgain(b.pattern(), id));
    }
    return pattern instanceof Pattern.Repeat repeat && endsInAgain(repeat.inner(), id);
  }

  private static boolean bindsSlots(Pattern pattern) {
    if (pattern instanceof Pattern.Variable) {
      return true;
    }
    if (pattern instanceof Pattern.Constant constant) {
      return constant.slot() != Pattern.NO_SLOT;
    }
    if (pattern instanceof Pattern.GraphInput input) {
      return input.slot() != Pattern.NO_SLOT;
    }
    if (pattern instanceof Pattern.Op op) {
      return op.args().stream().anyMatch(a -> bindsSlots(a.pattern()))
          || op.attributes().stream().anyMatch(AttributeCondition.Capture.class::isInstance);
    }
    if (pattern instanceof Pattern.Choice choice) {
      return choice.branches().stream()
          .anyMatch(b -> bindsSlots(b.pattern()) || !b.computed().isEmpty());
    }
    return pattern instanceof Pattern.Repeat repeat && bindsSlots(repeat.inner());
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
    return Compiled.untagged(value(reference.name(), scope));
  }

  private Pattern value(Name name, Scope scope) {
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

  // ---- calls ------------------------------------------------------------------------------------

  private Compiled call(
      Call call, Scope scope, List<Integer> outputs, TagSink sink, Optional<Pattern> firstArg) {
    String name = call.name().text();
    boolean isPattern = !name.contains(".") && !call.name().isCapitalised();
    return isPattern
        ? expand(call, scope, outputs, sink, firstArg)
        : Compiled.untagged(operator(call, scope, outputs, firstArg));
  }

  private void count(Call call) {
    if (++operatorCount > MAX_OPERATORS) {
      problems.add(Diagnostic.RULE_TOO_LARGE, call.span(), MAX_OPERATORS);
      throw new TooLarge();
    }
  }

  private Compiled expand(
      Call call, Scope scope, List<Integer> outputs, TagSink sink, Optional<Pattern> firstArg) {
    count(call);
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
          range(declaration.params().size(), declaration.params().size(), "argument"),
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
              : isPlainName(arg)
                  ? patternArgument((NameArg) arg, scope)
                  : shareable(argument(arg, scope), arg.span());
      inner.bind(declaration.params().get(i).text(), meaning);
    }
    expanding.add(name);
    Compiled body = choice(declaration.body(), inner, outputs, sink.insidePattern());
    expanding.remove(name);
    return body;
  }

  private static boolean isPlainName(Arg arg) {
    return arg instanceof NameArg named
        && !named.name().isAnonymous()
        && named.constraint() == Constraint.NONE;
  }

  /** A name passed to a pattern: what it is used as depends on the pattern. */
  private Pattern patternArgument(NameArg arg, Scope scope) {
    requireLowerCase(arg.name());
    if (scope.isPending(arg.name().text())) {
      problems.add(Diagnostic.USED_BEFORE_DEFINITION, arg.name().span(), arg.name().text());
      return new Pattern.Anything();
    }
    return scope.resolve(arg.name());
  }

  private Pattern operator(
      Call call, Scope scope, List<Integer> outputs, Optional<Pattern> firstArg) {
    count(call);
    String qualified = call.name().text();
    int dot = qualified.lastIndexOf('.');
    String domain = dot < 0 ? "" : qualified.substring(0, dot);
    if (domain.equals("ai.onnx")) {
      domain = "";
    }
    String type = qualified.substring(dot + 1);
    Optional<OperatorSchema> schema = domain.isEmpty() ? operators.find(type) : Optional.empty();
    if (domain.isEmpty() && schema.isEmpty()) {
      List<String> candidates = new ArrayList<>(operators.names());
      candidates.addAll(patterns.keySet());
      problems.add(
          Problem.of(Diagnostic.UNKNOWN_OPERATOR, call.name().span(), type)
              .suggest(type, candidates));
    }
    List<Arg> args = new ArrayList<>(call.args());
    boolean before = !args.isEmpty() && args.get(0) instanceof Rest;
    boolean after = args.size() > 1 && args.get(args.size() - 1) instanceof Rest;
    if (before) {
      args.remove(0);
    }
    if (after) {
      args.remove(args.size() - 1);
    }
    if (call.commutative()) {
      boolean tooMany = args.size() > MAX_COMMUTATIVE_ARGS;
      boolean optional = args.stream().anyMatch(a -> a instanceof NameArg n && n.optional());
      if (tooMany || optional) {
        problems.add(Diagnostic.COMMUTATIVE_ARGS, call.name().span(), MAX_COMMUTATIVE_ARGS);
      }
      if (schema.isPresent() && !OperatorTable.isCommutative(type)) {
        problems.add(Diagnostic.NOT_COMMUTATIVE, call.name().span(), type);
      }
    }
    schema.ifPresent(s -> checkCounts(call, s, args.size(), before || after, outputs));
    List<Pattern.Argument> patternArgs = new ArrayList<>();
    for (int i = 0; i < args.size(); i++) {
      Arg arg = args.get(i);
      if (arg instanceof Rest) {
        problems.add(Diagnostic.REST_POSITION, arg.span());
        continue;
      }
      boolean optional = arg instanceof NameArg named && named.optional();
      Pattern pattern =
          i == 0 && !before && firstArg.isPresent() ? firstArg.get() : argument(arg, scope);
      patternArgs.add(
          new Pattern.Argument(
              pattern, optional ? Optional.of(names.newChoice(2)) : Optional.empty()));
    }
    List<AttributeCondition> attributes = new ArrayList<>();
    Set<String> seen = new HashSet<>();
    for (AttributeDecl attribute : call.attributes()) {
      if (!seen.add(attribute.name().text())) {
        problems.add(
            Diagnostic.DUPLICATE_ATTRIBUTE, attribute.name().span(), attribute.name().text());
      }
      attributes.add(attribute(attribute, type, schema, scope));
    }
    Pattern.Rest rest =
        before
            ? (after ? Pattern.Rest.AROUND : Pattern.Rest.BEFORE)
            : (after ? Pattern.Rest.AFTER : Pattern.Rest.NOWHERE);
    return new Pattern.Op(
        domain, type, patternArgs, rest, call.commutative(), attributes, outputs, call.span());
  }

  private void checkCounts(
      Call call, OperatorSchema schema, int args, boolean rest, List<Integer> outputs) {
    if (args > schema.maxInputs() || (!rest && args < schema.minInputs())) {
      problems.add(
          Diagnostic.INPUT_COUNT,
          call.name().span(),
          schema.name(),
          range(schema.minInputs(), schema.maxInputs(), "input"),
          args);
    }
    if (outputs.size() > schema.maxOutputs()) {
      problems.add(
          Diagnostic.TOO_MANY_OUTPUTS,
          call.name().span(),
          schema.name(),
          range(schema.minOutputs(), schema.maxOutputs(), "output"),
          outputs.size());
    }
  }

  static String range(int low, int high, String noun) {
    String count =
        low == high
            ? Integer.toString(low)
            : high == Integer.MAX_VALUE ? low + " or more" : low + " to " + high;
    return count + " " + noun + (low == high && low == 1 ? "" : "s");
  }

  private AttributeCondition attribute(
      AttributeDecl attribute, String operator, Optional<OperatorSchema> schema, Scope scope) {
    String name = attribute.name().text();
    Optional<AttributeSchema> known = schema.map(s -> s.attributes().get(name));
    if (schema.isPresent() && known.isEmpty()) {
      problems.add(
          Problem.of(Diagnostic.UNKNOWN_ATTRIBUTE, attribute.name().span(), operator, name)
              .suggest(name, schema.get().attributes().keySet()));
    }
    Optional<Datum> fallback = known.flatMap(AttributeSchema::fallback);
    if (attribute instanceof AttributeAbsent) {
      return new AttributeCondition.Absent(name);
    }
    if (attribute instanceof AttributeCapture capture) {
      requireLowerCase(capture.capture());
      Pattern target = scope.resolve(capture.capture());
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
            Diagnostic.VALUE_AND_NUMBER, capture.capture().span(), capture.capture().text());
      }
      slot.uses.add(Use.ATTRIBUTE);
      slot.kind = known.map(k -> k.type().kind()).orElse(Kind.ANY);
      return new AttributeCondition.Capture(name, variable.slot(), fallback, choice);
    }
    List<Datum> data = new ArrayList<>();
    for (ExprDecl literal : ((AttributeOneOf) attribute).literals()) {
      Datum datum = ExpressionCompiler.literal(literal);
      if (known.isPresent() && !known.get().type().accepts(datum)) {
        problems.add(
            Diagnostic.ATTRIBUTE_TYPE,
            literal.span(),
            name,
            operator,
            known.get().type().name(),
            datum);
      }
      data.add(datum);
    }
    boolean axis = name.equals("axis") && known.isPresent();
    return new AttributeCondition.OneOf(name, data, fallback, axis);
  }

  private Pattern argument(Arg arg, Scope scope) {
    if (arg instanceof Nested nested) {
      return choice(nested.choice(), scope, List.of(), TagSink.forbidding()).pattern();
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

  private void requireLowerCase(Name name) {
    if (name.isCapitalised()) {
      problems.add(Diagnostic.VALUE_CAPITALISED, name.span(), name.text());
    }
  }
}
