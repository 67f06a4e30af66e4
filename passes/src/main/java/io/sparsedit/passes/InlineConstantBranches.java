package io.sparsedit.passes;

import io.sparsedit.compiler.fold.FoldConstants;
import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.ModelCopy;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Puts the branch of an If whose condition is known in the place of the If.
 *
 * <pre>
 *   before   y = If(true) { then: t = ...; t    else: e = ...; e }
 *   after    y = ...
 * </pre>
 *
 * Exporters leave such a choice where a size decides it that they know, as in squeezing an axis.
 */
final class InlineConstantBranches implements Pass<Compilation> {
  @Override
  public String name() {
    return "inline constant branches";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.CONSTANTS_FOLDED);
  }

  @Override
  public int run(Compilation compilation) {
    int all = 0;
    while (true) {
      int inlined = inlineIn(compilation.model().graph(), compilation.facts());
      if (inlined == 0) {
        return all;
      }
      all += inlined;
      // What the branch computed from sizes may be constant now, another condition among it.
      compilation.graphChanged();
      new FoldConstants(FoldConstantSubgraphs.MAX_ELEMENTS).apply(compilation.model());
      compilation.graphChanged();
    }
  }

  private static int inlineIn(Graph graph, ValueFacts facts) {
    int inlined = 0;
    for (Node node : graph.nodeList()) {
      Optional<Graph> branch = node.is("If") ? branch(node, facts) : Optional.empty();
      if (branch.isPresent()) {
        node.replaceWith(ModelCopy.inline(branch.get(), node, Map.of(), Map.of()));
        inlined++;
      } else {
        for (Graph subgraph : node.subgraphs()) {
          inlined += inlineIn(subgraph, facts);
        }
      }
    }
    return inlined;
  }

  private static Optional<Graph> branch(Node node, ValueFacts facts) {
    Optional<double[]> condition =
        facts.constant(node.requiredInput(0)).flatMap(Tensor::doubles).filter(c -> c.length == 1);
    return condition
        .flatMap(c -> node.attribute(c[0] == 0 ? "else_branch" : "then_branch"))
        .map(attribute -> ((Attribute.GraphValue) attribute).value());
  }
}
