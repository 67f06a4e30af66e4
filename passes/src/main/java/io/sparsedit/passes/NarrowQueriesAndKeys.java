package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.rules.match.Match;
import io.sparsedit.compiler.rules.match.Rewriter;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Gives a site its queries and keys in the type in which the model multiplies them, where that is
 * narrower than the one they come in: rotary embeddings are often computed in f64 or f32.
 *
 * <pre>
 *   before   o = sparsedit.Attention(q, k, v)     of MatMul(Softmax(MatMul(Cast(q), Cast(k^T))), v)
 *   after    o = sparsedit.Attention(Cast(q), Cast(k), v)
 * </pre>
 *
 * The rules look through casts, so that q and k are what stands before all of them.
 */
final class NarrowQueriesAndKeys implements Pass<Compilation> {
  private static final int KEY = 1;

  /** Bits of the narrowest type that attention is computed in. */
  private static final int HALF = 16;

  @Override
  public String name() {
    return "narrow queries and keys";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_RECOGNISED);
  }

  @Override
  public int run(Compilation compilation) {
    List<Rewriter.Applied> rewrites = new ArrayList<>();
    int narrowed = 0;
    for (Site site : compilation.sites()) {
      Rewriter.Applied applied = site.recognition();
      List<Node> casts = narrow(site, compilation.facts());
      if (!casts.isEmpty()) {
        narrowed++;
        // They are removed last, after the node that reads them.
        casts.addAll(applied.nodes());
        applied =
            new Rewriter.Applied(applied.match(), casts, applied.constants(), applied.replaced());
      }
      rewrites.add(applied);
    }
    if (narrowed > 0) {
      compilation.graphChanged();
      compilation.setSites(RecogniseAttention.sites(compilation, rewrites));
    }
    return narrowed;
  }

  private static List<Node> narrow(Site site, ValueFacts facts) {
    Match match = site.recognition().match();
    DataType type = narrower(ofProduct(match, "q", facts), ofProduct(match, "k", facts));
    List<Node> casts = new ArrayList<>();
    Node attention = site.attention();
    for (int i = 0; i <= KEY; i++) {
      Value operand = attention.requiredInput(i);
      DataType own = facts.elementType(operand);
      if (type != own && narrower(own, type) == type) {
        Value cast = new Inserter(attention).node("Cast", operand);
        Node node = cast.producer().orElseThrow();
        node.setAttribute("to", type.code());
        attention.setInput(i, cast);
        casts.add(node);
      }
    }
    return casts;
  }

  /** The narrowest type that a matched operand has on its way to the first product. */
  private static DataType ofProduct(Match match, String name, ValueFacts facts) {
    Optional<Value> operand = match.value(name);
    return operand.isEmpty()
        ? DataType.UNDEFINED
        : narrowest(operand.get(), new HashSet<>(match.nodes()), facts);
  }

  private static DataType narrowest(Value value, Set<Node> matched, ValueFacts facts) {
    DataType type = facts.elementType(value);
    for (Value.Use use : value.uses()) {
      Node node = use.node();
      if (matched.contains(node) && !node.is("MatMul") && node.outputs().size() == 1) {
        type = narrower(type, narrowest(node.output(), matched, facts));
      }
    }
    return type;
  }

  /** The narrower one of two types; types below 16 bits are steps of a quantisation. */
  private static DataType narrower(DataType a, DataType b) {
    boolean narrower = b.isFloating() && b.bits() >= HALF && b.bits() < a.bits();
    return narrower ? b : a;
  }
}
