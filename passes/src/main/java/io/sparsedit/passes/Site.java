package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.rules.match.Rewriter;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.passes.qk.QkPreparation;
import java.util.Optional;

/**
 * One attention site of a model.
 *
 * @param id place among all sites in graph order
 * @param name module path where the exporter left one, otherwise {@code site<id>}
 * @param attention the canonical {@code sparsedit.Attention} node: q, k, v [B,H,S,D] and an
 *     optional mask, beside the nodes that the exporter wrote
 * @param recognition the rewrite that put the canonical node in; undoing it gives the exporter's
 *     nodes back
 * @param shape sizes
 * @param elementType element type of q
 * @param scale factor on q·k
 * @param masked whether it has a mask
 * @param kind what attends to what
 * @param tokens what the query tokens are, in order; for self and joint sites the key tokens too
 * @param preparation QK-norm and RoPE in front of q and k
 * @param method the method that makes the site sparse and its settings; empty if it stays dense
 * @param reason why it stays dense, or empty
 */
public record Site(
    int id,
    String name,
    Node attention,
    Rewriter.Applied recognition,
    Shape shape,
    DataType elementType,
    double scale,
    boolean masked,
    SiteKind kind,
    TokenLayout tokens,
    QkPreparation preparation,
    Optional<MethodSettings> method,
    String reason) {

  /**
   * Sizes of a site.
   *
   * @param batch batch B
   * @param heads heads H
   * @param queryTokens query tokens
   * @param keyTokens key and value tokens
   * @param headDim head dimension D
   */
  public record Shape(Dim batch, Dim heads, Dim queryTokens, Dim keyTokens, Dim headDim) {}

  /** The rule that recognised the site. */
  public String rule() {
    return recognition.match().rule().name();
  }

  /** Queries, [B,H,Sq,D], after QK-norm and RoPE, not scaled. */
  public Value query() {
    return attention.requiredInput(0);
  }

  /** Keys, [B,H,Sk,D], after QK-norm and RoPE, not scaled. */
  public Value key() {
    return attention.requiredInput(1);
  }

  /** Values, [B,H,Sk,D]. */
  public Value value() {
    return attention.requiredInput(2);
  }

  /** The mask of a site that has one, as long as the canonical node stands. */
  public Optional<Value> mask() {
    return attention.input(3);
  }

  /** Whether the site becomes sparse. */
  public boolean sparsify() {
    return method.isPresent();
  }

  /** The same site with its kind and tokens. */
  Site classified(SiteKind newKind, TokenLayout newTokens) {
    return with(newKind, newTokens, preparation, method, reason);
  }

  /** The same site with what stands in front of q and k. */
  Site prepared(QkPreparation found) {
    return with(kind, tokens, found, method, reason);
  }

  /** The same site, to become sparse. */
  Site chosen(MethodSettings settings) {
    return with(kind, tokens, preparation, Optional.of(settings), "");
  }

  /** The same site, to stay dense. */
  Site leftDense(String why) {
    return with(kind, tokens, preparation, Optional.empty(), why);
  }

  /** The same site with so many tokens, of which its mask hides some. */
  Site withRoom(Dim count, TokenLayout layout) {
    Shape roomy = new Shape(shape.batch(), shape.heads(), count, count, shape.headDim());
    return new Site(
        id,
        name,
        attention,
        recognition,
        roomy,
        elementType,
        scale,
        true,
        kind,
        layout,
        preparation,
        method,
        reason);
  }

  private Site with(
      SiteKind newKind,
      TokenLayout newTokens,
      QkPreparation newPreparation,
      Optional<MethodSettings> newMethod,
      String newReason) {
    return new Site(
        id,
        name,
        attention,
        recognition,
        shape,
        elementType,
        scale,
        masked,
        newKind,
        newTokens,
        newPreparation,
        newMethod,
        newReason);
  }
}
