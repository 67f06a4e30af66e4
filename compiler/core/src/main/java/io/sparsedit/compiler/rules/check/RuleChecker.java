package io.sparsedit.compiler.rules.check;

import io.sparsedit.compiler.rules.match.Builtin;
import io.sparsedit.compiler.rules.match.Externs;
import io.sparsedit.compiler.rules.match.Rule;
import io.sparsedit.compiler.rules.syntax.Diagnostic;
import io.sparsedit.compiler.rules.syntax.Name;
import io.sparsedit.compiler.rules.syntax.Problem;
import io.sparsedit.compiler.rules.syntax.Problems;
import io.sparsedit.compiler.rules.syntax.RuleDecl;
import io.sparsedit.compiler.rules.syntax.RuleFile;
import io.sparsedit.compiler.rules.syntax.RuleFile.ExternDecl;
import io.sparsedit.compiler.rules.syntax.RuleFile.ParamDecl;
import io.sparsedit.compiler.rules.syntax.RuleFile.PatternDecl;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Checks rule files and compiles their rules.
 *
 * <p>Named patterns can be used in all files that are checked together. Externs are declared in
 * each file that uses them.
 */
public final class RuleChecker {
  private static final OperatorTable OPERATORS = OperatorTable.load();

  private final Externs implementations;
  private final Problems problems;

  /** A checker that reports to {@code problems}. */
  public RuleChecker(Externs implementations, Problems problems) {
    this.implementations = implementations;
    this.problems = problems;
  }

  /** The rules of the files, in order; without those that have a problem. */
  public List<Rule> check(List<RuleFile> files) {
    Map<String, PatternDecl> patterns = patterns(files);
    List<Rule> rules = new ArrayList<>();
    Map<String, Name> ruleNames = new HashMap<>();
    for (RuleFile file : files) {
      Map<String, ExternDecl> externs = externs(file);
      for (PatternDecl pattern : file.patterns()) {
        compiler(patterns, externs).check(pattern);
      }
      for (RuleDecl declaration : file.rules()) {
        Name other = ruleNames.putIfAbsent(declaration.name().text(), declaration.name());
        if (other != null) {
          problems.add(
              Diagnostic.DUPLICATE_RULE,
              declaration.name().span(),
              declaration.name().text(),
              other.span().fileAndLine());
        }
        Optional<Rule> rule = compiler(patterns, externs).compile(declaration);
        rule.ifPresent(rules::add);
      }
    }
    return rules;
  }

  private RuleCompiler compiler(
      Map<String, PatternDecl> patterns, Map<String, ExternDecl> externs) {
    return new RuleCompiler(OPERATORS, patterns, externs, implementations, problems);
  }

  private Map<String, ExternDecl> externs(RuleFile file) {
    Map<String, ExternDecl> externs = new LinkedHashMap<>();
    for (ExternDecl extern : file.externs()) {
      String name = extern.name().text();
      if (Builtin.of(name).isPresent()
          || name.equals("default")
          || name.equals("tag")
          || externs.putIfAbsent(name, extern) != null) {
        problems.add(Diagnostic.DUPLICATE_FUNCTION, extern.name().span(), name);
      }
      boolean implemented =
          extern.predicate()
              ? implementations.predicate(name).isPresent()
              : implementations.function(name).isPresent();
      if (!implemented) {
        problems.add(
            Problem.of(
                    Diagnostic.NO_IMPLEMENTATION,
                    extern.name().span(),
                    extern.predicate() ? "predicate" : "function",
                    name)
                .suggest(name, implementations.names(extern.predicate())));
      }
      for (ParamDecl param : extern.params()) {
        if (ExpressionCompiler.externKind(param.type().text()).isEmpty()) {
          problems.add(
              Problem.of(
                      Diagnostic.UNKNOWN_PARAMETER_TYPE, param.type().span(), param.type().text())
                  .suggest(param.type().text(), List.of("value", "number", "string")));
        }
      }
    }
    return externs;
  }

  private Map<String, PatternDecl> patterns(List<RuleFile> files) {
    Map<String, PatternDecl> patterns = new LinkedHashMap<>();
    for (PatternDecl pattern : files.stream().flatMap(f -> f.patterns().stream()).toList()) {
      Name name = pattern.name();
      if (name.isCapitalised()) {
        problems.add(Diagnostic.PATTERN_CAPITALISED, name.span(), name.text());
      }
      PatternDecl other = patterns.putIfAbsent(name.text(), pattern);
      if (other != null) {
        problems.add(
            Diagnostic.DUPLICATE_PATTERN,
            name.span(),
            name.text(),
            other.name().span().fileAndLine());
      }
      Set<String> params = new HashSet<>();
      for (Name param : pattern.params()) {
        if (param.isCapitalised()) {
          problems.add(Diagnostic.VALUE_CAPITALISED, param.span(), param.text());
        }
        if (!params.add(param.text())) {
          problems.add(Diagnostic.DEFINED_TWICE, param.span(), param.text());
        }
      }
    }
    return patterns;
  }
}
