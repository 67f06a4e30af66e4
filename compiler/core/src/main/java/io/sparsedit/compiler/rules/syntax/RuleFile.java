package io.sparsedit.compiler.rules.syntax;

import java.util.List;

/** The declarations of one file, as written. */
public record RuleFile(
    Source source, List<ExternDecl> externs, List<PatternDecl> patterns, List<RuleDecl> rules) {

  /**
   * {@code extern predicate name(param: type, …);}
   *
   * @param predicate whether it is a predicate rather than a function
   */
  public record ExternDecl(Name name, boolean predicate, List<ParamDecl> params) {}

  /**
   * A parameter of an extern.
   *
   * @param type as written; {@code value} where it is not
   */
  public record ParamDecl(Name name, Name type) {}

  /** {@code pattern name(a, b) = …;} */
  public record PatternDecl(Name name, List<Name> params, StructureDecl.Choice body) {}
}
