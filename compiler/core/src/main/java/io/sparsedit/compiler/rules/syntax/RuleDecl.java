package io.sparsedit.compiler.rules.syntax;

import java.util.List;
import java.util.Optional;

/**
 * A rule as written.
 *
 * @param name its qualified name
 * @param doc what it is for
 * @param opsets bounds on operator-set versions
 * @param benefit the written benefit
 * @param keep interior values that may be read elsewhere
 * @param match the statements, root last
 * @param conditions where clauses and lets in order
 * @param rewrite the replacement; empty for a rule that only recognises
 */
public record RuleDecl(
    Name name,
    String doc,
    List<OpsetBound> opsets,
    Optional<BenefitDecl> benefit,
    List<Name> keep,
    List<StructureDecl.Statement> match,
    List<ClauseDecl> conditions,
    Optional<List<BuildDecl>> rewrite) {

  /** {@code opset domain >= version;} */
  public record OpsetBound(Name domain, Comparison comparison, long version) {}

  /** {@code benefit n;} */
  public record BenefitDecl(int value, Span span) {}

  /** One statement of the replacement. */
  public record BuildDecl(List<Name> targets, SourceDecl source) {}
}
