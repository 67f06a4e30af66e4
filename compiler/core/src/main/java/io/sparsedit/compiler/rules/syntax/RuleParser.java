package io.sparsedit.compiler.rules.syntax;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.rules.syntax.RuleFile.ExternDecl;
import io.sparsedit.compiler.rules.syntax.RuleFile.ParamDecl;
import io.sparsedit.compiler.rules.syntax.RuleFile.PatternDecl;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Alternative;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Choice;
import io.sparsedit.compiler.rules.syntax.StructureDecl.Repetition;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.antlr.v4.runtime.CharStreams;
import org.antlr.v4.runtime.CommonTokenStream;
import org.antlr.v4.runtime.ParserRuleContext;
import org.antlr.v4.runtime.Token;
import org.antlr.v4.runtime.tree.TerminalNode;
import org.jspecify.annotations.Nullable;

/** Turns the text of a rule file into a {@link RuleFile}. */
public final class RuleParser {
  private final Source source;
  private final Problems problems;

  private RuleParser(Source source, Problems problems) {
    this.source = source;
    this.problems = problems;
  }

  /**
   * Parses a file.
   *
   * @param problems takes what is wrong
   * @return the declarations; empty if the text is not well-formed
   */
  public static Optional<RuleFile> parse(Source source, Problems problems) {
    SyntaxErrors errors = new SyntaxErrors(source);
    RewriteLexer lexer = new RewriteLexer(CharStreams.fromString(source.text(), source.name()));
    lexer.removeErrorListeners();
    lexer.addErrorListener(errors);
    CommonTokenStream tokens = new CommonTokenStream(lexer);
    tokens.fill();
    NestingLimit.check(tokens.getTokens(), source).ifPresent(errors::report);
    if (errors.first().isEmpty()) {
      RewriteParser parser = new RewriteParser(tokens);
      parser.removeErrorListeners();
      parser.addErrorListener(errors);
      RewriteParser.FileContext tree = parser.file();
      if (errors.first().isEmpty()) {
        int before = problems.all().size();
        RuleFile file = new RuleParser(source, problems).file(tree);
        return problems.all().size() == before ? Optional.of(file) : Optional.empty();
      }
    }
    errors.first().ifPresent(problems::add);
    return Optional.empty();
  }

  private RuleFile file(RewriteParser.FileContext tree) {
    return new RuleFile(
        source,
        tree.extern().stream().map(this::extern).toList(),
        tree.pattern().stream().map(this::pattern).toList(),
        tree.rule_().stream().map(this::rule).toList());
  }

  private ExternDecl extern(RewriteParser.ExternContext tree) {
    List<ParamDecl> params = new ArrayList<>();
    for (RewriteParser.ParamContext param : tree.param()) {
      Name name = name(param.ID(0));
      Name type = param.ID().size() > 1 ? name(param.ID(1)) : new Name("value", name.span());
      params.add(new ParamDecl(name, type));
    }
    return new ExternDecl(name(tree.ID()), tree.kind.getText().equals("predicate"), params);
  }

  private PatternDecl pattern(RewriteParser.PatternContext tree) {
    List<Name> params = tree.ID().stream().skip(1).map(this::name).toList();
    Choice body;
    if (tree.block() != null) {
      Span span = span(tree.block());
      body =
          new Choice(
              List.of(
                  new Alternative(
                      Repetition.ONCE, block(tree.block()), Optional.empty(), List.of(), span)),
              span);
    } else {
      body = choice(tree.choice());
    }
    return new PatternDecl(name(tree.ID(0)), params, body);
  }

  private RuleDecl rule(RewriteParser.Rule_Context tree) {
    StringBuilder doc = new StringBuilder();
    List<RuleDecl.OpsetBound> opsets = new ArrayList<>();
    List<Name> keep = new ArrayList<>();
    Optional<RuleDecl.BenefitDecl> benefit = Optional.empty();
    for (RewriteParser.HeaderContext header : tree.header()) {
      if (header instanceof RewriteParser.DocContext d) {
        for (TerminalNode line : d.STRING()) {
          doc.append(doc.isEmpty() ? "" : " ").append(text(line));
        }
      } else if (header instanceof RewriteParser.OpsetContext o) {
        opsets.add(
            new RuleDecl.OpsetBound(
                qualified(o.qname()), Comparison.of(o.cmp().getText()), integer(o.INT(), 1_000)));
      } else if (header instanceof RewriteParser.BenefitContext b) {
        benefit =
            Optional.of(
                new RuleDecl.BenefitDecl(
                    Math.toIntExact(integer(b.INT(), 1_000_000)), span(b.INT().getSymbol())));
      } else if (header instanceof RewriteParser.KeepContext k) {
        k.ID().forEach(id -> keep.add(name(id)));
      }
    }
    List<ClauseDecl> conditions = new ArrayList<>();
    for (int i = 0; i < tree.getChildCount(); i++) {
      if (tree.getChild(i) instanceof RewriteParser.WhereContext where) {
        conditions.addAll(clauses(where.clauses()));
      } else if (tree.getChild(i) instanceof RewriteParser.LetContext let) {
        conditions.add(new ClauseDecl.LetClause(name(let.ID()), expression(let.expr()), span(let)));
      }
    }
    return new RuleDecl(
        qualified(tree.qname()),
        doc.toString(),
        opsets,
        benefit,
        keep,
        block(tree.match().block()).statements(),
        conditions,
        Optional.ofNullable(tree.rewrite()).map(this::rewrite));
  }

  // ---- structure --------------------------------------------------------------------------------

  private StructureDecl.Block block(RewriteParser.BlockContext tree) {
    List<StructureDecl.Statement> statements = new ArrayList<>();
    for (RewriteParser.BindContext bind : tree.bind()) {
      List<Name> targets = bind.target().stream().map(t -> new Name(t.getText(), span(t))).toList();
      statements.add(new StructureDecl.Statement(targets, choice(bind.choice())));
    }
    return new StructureDecl.Block(statements, span(tree));
  }

  private Choice choice(RewriteParser.ChoiceContext tree) {
    return new Choice(tree.alt().stream().map(this::alternative).toList(), span(tree));
  }

  private Alternative alternative(RewriteParser.AltContext tree) {
    List<StructureDecl.With> with = new ArrayList<>();
    if (tree.with() != null) {
      for (int i = 0; i < tree.with().ID().size(); i++) {
        with.add(new StructureDecl.With(name(tree.with().ID(i)), expression(tree.with().expr(i))));
      }
    }
    return new Alternative(
        repetition(tree.optional()),
        term(tree.term()),
        Optional.ofNullable(tree.TAG()).map(this::name),
        with,
        span(tree));
  }

  private static Repetition repetition(RewriteParser.@Nullable OptionalContext tree) {
    if (tree == null) {
      return Repetition.ONCE;
    }
    return tree.getChildCount() > 1 ? Repetition.ANY_NUMBER : Repetition.OPTIONAL;
  }

  private StructureDecl.Term term(RewriteParser.TermContext tree) {
    if (tree.call() != null) {
      return call(tree.call());
    }
    return tree.block() != null
        ? block(tree.block())
        : new StructureDecl.Reference(name(tree.ID()));
  }

  private StructureDecl.Call call(RewriteParser.CallContext tree) {
    boolean commutative = tree.getChild(1).getText().equals("~");
    List<StructureDecl.AttributeDecl> attributes =
        tree.attrs() == null
            ? List.of()
            : tree.attrs().attr().stream().map(this::attribute).toList();
    return new StructureDecl.Call(
        qualified(tree.qname()),
        commutative,
        tree.arg().stream().map(this::argument).toList(),
        attributes,
        span(tree));
  }

  private StructureDecl.Arg argument(RewriteParser.ArgContext tree) {
    if (tree instanceof RewriteParser.ChoiceArgContext nested) {
      return new StructureDecl.Nested(choice(nested.choice()));
    }
    if (tree instanceof RewriteParser.CallArgContext nested) {
      Span span = span(nested);
      return new StructureDecl.Nested(
          new Choice(
              List.of(
                  new Alternative(
                      repetition(nested.optional()),
                      call(nested.call()),
                      Optional.empty(),
                      List.of(),
                      span)),
              span));
    }
    if (tree instanceof RewriteParser.NumberArgContext number) {
      return new StructureDecl.NumberArg(number(number.number()), span(tree));
    }
    if (tree instanceof RewriteParser.NameArgContext named) {
      Name name = named.ID() == null ? new Name("_", span(named.getStart())) : name(named.ID());
      boolean optional = named.getChildCount() > 1 && named.getChild(1).getText().equals("?");
      return new StructureDecl.NameArg(name, optional, constraint(named.constraint()));
    }
    return new StructureDecl.Rest(span(tree));
  }

  private static StructureDecl.Constraint constraint(
      RewriteParser.@Nullable ConstraintContext tree) {
    if (tree == null) {
      return StructureDecl.Constraint.NONE;
    }
    return switch (tree.getText()) {
      case "const" -> StructureDecl.Constraint.CONST;
      case "constscalar" -> StructureDecl.Constraint.CONST_SCALAR;
      default -> StructureDecl.Constraint.GRAPH_INPUT;
    };
  }

  private StructureDecl.AttributeDecl attribute(RewriteParser.AttrContext tree) {
    if (tree instanceof RewriteParser.AttrEqualsContext equals) {
      return new StructureDecl.AttributeOneOf(
          name(equals.ID()), List.of(literal(equals.literal())));
    }
    if (tree instanceof RewriteParser.AttrOneOfContext oneOf) {
      return new StructureDecl.AttributeOneOf(
          name(oneOf.ID()), oneOf.list().literal().stream().map(this::literal).toList());
    }
    if (tree instanceof RewriteParser.AttrCaptureContext capture) {
      return new StructureDecl.AttributeCapture(name(capture.ID(0)), name(capture.ID(1)));
    }
    return new StructureDecl.AttributeAbsent(name(((RewriteParser.AttrAbsentContext) tree).ID()));
  }

  private ExprDecl literal(RewriteParser.LiteralContext tree) {
    Span span = span(tree);
    if (tree.number() != null) {
      return tree.number().INT() == null
          ? new ExprDecl.RealLiteral(number(tree.number()), span)
          : new ExprDecl.IntLiteral(
              integer(tree.number().INT(), Long.MAX_VALUE)
                  * (tree.number().getText().startsWith("-") ? -1 : 1),
              span);
    }
    if (tree.STRING() != null) {
      return new ExprDecl.TextLiteral(text(tree.STRING()), span);
    }
    if (tree.DTYPE() != null) {
      return new ExprDecl.TypeLiteral(dataType(tree.DTYPE().getText()), span);
    }
    return new ExprDecl.ListOf(tree.list().literal().stream().map(this::literal).toList(), span);
  }

  private static double number(RewriteParser.NumberContext tree) {
    return real(tree.getText());
  }

  private static double real(String written) {
    return written.endsWith("inf")
        ? (written.startsWith("-") ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY)
        : Double.parseDouble(written);
  }

  // ---- conditions -------------------------------------------------------------------------------

  private List<ClauseDecl> clauses(RewriteParser.ClausesContext tree) {
    return tree.clause().stream().map(this::clause).toList();
  }

  private ClauseDecl clause(RewriteParser.ClauseContext tree) {
    if (tree instanceof RewriteParser.ValueClauseContext value) {
      Optional<List<ClauseDecl.DimDecl>> shape =
          Optional.ofNullable(value.shape())
              .map(s -> s.dim().stream().map(this::dimension).toList());
      List<DataType> types =
          value.type() == null
              ? List.of()
              : value.type().DTYPE().stream().map(t -> dataType(t.getText())).toList();
      return new ClauseDecl.ValueClause(
          name(value.ID()),
          value.getChild(1).getText().equals("?"),
          shape,
          types,
          why(value.STRING()),
          span(tree));
    }
    if (tree instanceof RewriteParser.HoldsClauseContext holds) {
      return new ClauseDecl.HoldsClause(
          expression(holds.expr()), why(holds.STRING()), span(holds.expr()));
    }
    RewriteParser.WhenClauseContext when = (RewriteParser.WhenClauseContext) tree;
    return new ClauseDecl.WhenClause(
        expression(when.expr()),
        clauses(when.clauses(0)),
        when.clauses().size() > 1 ? clauses(when.clauses(1)) : List.of(),
        span(when));
  }

  private Optional<String> why(@Nullable TerminalNode tree) {
    return Optional.ofNullable(tree).map(RuleParser::text);
  }

  private ClauseDecl.DimDecl dimension(RewriteParser.DimContext tree) {
    if (tree.INT() != null) {
      return new ClauseDecl.DimDecl.Fixed(integer(tree.INT(), Long.MAX_VALUE));
    }
    if (tree.ID() != null) {
      return new ClauseDecl.DimDecl.Named(name(tree.ID()), tree.getChildCount() > 1);
    }
    return tree.getText().equals("_")
        ? new ClauseDecl.DimDecl.Any()
        : new ClauseDecl.DimDecl.Rest(span(tree));
  }

  private ExprDecl expression(RewriteParser.ExprContext tree) {
    return new ExpressionBuilder().visit(tree);
  }

  private final class ExpressionBuilder extends RewriteBaseVisitor<ExprDecl> {
    @Override
    public ExprDecl visitParen(RewriteParser.ParenContext tree) {
      return visit(tree.expr());
    }

    @Override
    public ExprDecl visitInvoke(RewriteParser.InvokeContext tree) {
      return new ExprDecl.Invoke(name(tree.ID()), all(tree.expr()), span(tree));
    }

    @Override
    public ExprDecl visitNegate(RewriteParser.NegateContext tree) {
      return new ExprDecl.Negate(visit(tree.expr()), span(tree));
    }

    @Override
    public ExprDecl visitMultiply(RewriteParser.MultiplyContext tree) {
      return new ExprDecl.Arithmetic(
          tree.op.getText().charAt(0), visit(tree.expr(0)), visit(tree.expr(1)), span(tree));
    }

    @Override
    public ExprDecl visitSum(RewriteParser.SumContext tree) {
      return new ExprDecl.Arithmetic(
          tree.op.getText().charAt(0), visit(tree.expr(0)), visit(tree.expr(1)), span(tree));
    }

    @Override
    public ExprDecl visitIn(RewriteParser.InContext tree) {
      return new ExprDecl.In(visit(tree.expr()), all(tree.items().expr()), span(tree));
    }

    @Override
    public ExprDecl visitCompare(RewriteParser.CompareContext tree) {
      return new ExprDecl.Compare(
          Comparison.of(tree.cmp().getText()),
          visit(tree.expr(0)),
          visit(tree.expr(1)),
          span(tree));
    }

    @Override
    public ExprDecl visitIs(RewriteParser.IsContext tree) {
      return tree.TAG() != null
          ? new ExprDecl.IsTag(name(tree.ID()), name(tree.TAG()), span(tree))
          : new ExprDecl.IsPresent(
              name(tree.ID()), tree.getChild(2).getText().equals("present"), span(tree));
    }

    @Override
    public ExprDecl visitNot(RewriteParser.NotContext tree) {
      return new ExprDecl.Not(visit(tree.expr()), span(tree));
    }

    @Override
    public ExprDecl visitAnd(RewriteParser.AndContext tree) {
      return new ExprDecl.Logic(true, visit(tree.expr(0)), visit(tree.expr(1)), span(tree));
    }

    @Override
    public ExprDecl visitOr(RewriteParser.OrContext tree) {
      return new ExprDecl.Logic(false, visit(tree.expr(0)), visit(tree.expr(1)), span(tree));
    }

    @Override
    public ExprDecl visitCase(RewriteParser.CaseContext tree) {
      List<ExprDecl.Arm> arms = new ArrayList<>();
      for (RewriteParser.ArmContext arm : tree.arm()) {
        arms.add(
            new ExprDecl.Arm(
                Optional.ofNullable(arm.TAG()).map(RuleParser.this::name),
                visit(arm.expr()),
                span(arm)));
      }
      return new ExprDecl.CaseOf(name(tree.ID()), arms, span(tree));
    }

    @Override
    public ExprDecl visitListItems(RewriteParser.ListItemsContext tree) {
      return new ExprDecl.ListOf(all(tree.items().expr()), span(tree));
    }

    @Override
    public ExprDecl visitLiteral_(RewriteParser.Literal_Context tree) {
      Span span = span(tree);
      if (tree.INT() != null) {
        return new ExprDecl.IntLiteral(integer(tree.INT(), Long.MAX_VALUE), span);
      }
      if (tree.STRING() != null) {
        return new ExprDecl.TextLiteral(text(tree.STRING()), span);
      }
      if (tree.DTYPE() != null) {
        return new ExprDecl.TypeLiteral(dataType(tree.DTYPE().getText()), span);
      }
      return new ExprDecl.RealLiteral(real(tree.getText()), span);
    }

    @Override
    public ExprDecl visitRef(RewriteParser.RefContext tree) {
      return new ExprDecl.Ref(name(tree.ID()));
    }

    private List<ExprDecl> all(List<RewriteParser.ExprContext> trees) {
      return trees.stream().map(this::visit).toList();
    }
  }

  // ---- rewrite ----------------------------------------------------------------------------------

  private List<RuleDecl.BuildDecl> rewrite(RewriteParser.RewriteContext tree) {
    List<RuleDecl.BuildDecl> builds = new ArrayList<>();
    for (RewriteParser.BuildContext build : tree.build()) {
      builds.add(
          new RuleDecl.BuildDecl(
              build.ID().stream().map(this::name).toList(), input(build.source())));
    }
    return builds;
  }

  private SourceDecl input(RewriteParser.SourceContext tree) {
    if (tree instanceof RewriteParser.NewNodeContext node) {
      List<SourceDecl.Setting> settings = new ArrayList<>();
      if (node.settings() != null) {
        for (RewriteParser.SettingContext setting : node.settings().setting()) {
          settings.add(new SourceDecl.Setting(name(setting.ID()), expression(setting.expr())));
        }
      }
      return new SourceDecl.NewNode(
          qualified(node.qname()),
          node.source().stream().map(this::input).toList(),
          settings,
          span(tree));
    }
    if (tree instanceof RewriteParser.NewConstantContext constant) {
      return new SourceDecl.NewConstant(
          expression(constant.expr(0)),
          constant.expr().size() > 1 ? Optional.of(expression(constant.expr(1))) : Optional.empty(),
          span(tree));
    }
    if (tree instanceof RewriteParser.Pick_Context pick) {
      List<SourceDecl.PickArm> arms = new ArrayList<>();
      for (RewriteParser.PickContext arm : pick.pick()) {
        arms.add(
            new SourceDecl.PickArm(
                Optional.ofNullable(arm.TAG()).map(this::name), input(arm.source()), span(arm)));
      }
      return new SourceDecl.Pick(name(pick.ID()), arms, span(tree));
    }
    if (tree instanceof RewriteParser.ExistingContext existing) {
      return new SourceDecl.Existing(name(existing.ID()), existing.getChildCount() > 1);
    }
    return new SourceDecl.NoInput(span(tree));
  }

  // ---- tokens -----------------------------------------------------------------------------------

  private static String text(TerminalNode string) {
    String written = string.getText();
    StringBuilder out = new StringBuilder();
    for (int i = 1; i < written.length() - 1; i++) {
      char c = written.charAt(i);
      if (c == '\\') {
        c = written.charAt(++i);
        c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
      }
      out.append(c);
    }
    return out.toString();
  }

  private long integer(TerminalNode digits, long max) {
    try {
      long value = Long.parseLong(digits.getText());
      if (value <= max) {
        return value;
      }
    } catch (NumberFormatException e) {
      // reported below
    }
    problems.add(Diagnostic.NUMBER_TOO_LARGE, span(digits.getSymbol()), digits.getText(), max);
    return 0;
  }

  private static DataType dataType(String written) {
    for (DataType type : DataType.values()) {
      if (type.shortName().equals(written)) {
        return type;
      }
    }
    throw new IllegalArgumentException(written);
  }

  private Name name(TerminalNode id) {
    return new Name(id.getText(), span(id.getSymbol()));
  }

  private Name qualified(RewriteParser.QnameContext tree) {
    return new Name(tree.getText(), span(tree));
  }

  private Span span(Token token) {
    return SyntaxErrors.span(source, token);
  }

  private Span span(ParserRuleContext tree) {
    Token start = tree.getStart();
    Token stop = tree.getStop() == null ? start : tree.getStop();
    int length =
        stop.getLine() == start.getLine()
            ? stop.getStopIndex() - start.getStartIndex() + 1
            : start.getText().length();
    return new Span(
        source, start.getLine(), start.getCharPositionInLine() + 1, Math.max(1, length));
  }
}
