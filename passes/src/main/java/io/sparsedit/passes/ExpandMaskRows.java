package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Gives the mask of a dense Attention node one row for each query.
 *
 * <pre>
 *   before   o = Attention(q, k, v, mask [B,1,1,Sk])
 *   after    o = Attention(q, k, v, Expand(mask, [Sq, 1]))
 * </pre>
 *
 * ONNX lets the mask's rows broadcast; ONNX Runtime's CPU kernel does not. Done to the compiled
 * model and to the dense one that it is compared with.
 */
final class ExpandMaskRows implements Pass<Compilation> {
  private static final int MASK = 3;

  @Override
  public String name() {
    return "expand mask rows";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_CHOSEN);
  }

  @Override
  public int run(Compilation compilation) {
    return expand(compilation.model().graph(), compilation.facts());
  }

  /** Does so to a model that is not being compiled. */
  static Model in(Model model) {
    for (Node node : model.graph().nodes()) {
      if (node.is("Attention") && node.input(MASK).isPresent()) {
        expand(model.graph(), ShapeInference.infer(model));
        break;
      }
    }
    return model;
  }

  private static int expand(Graph graph, ValueFacts facts) {
    int expanded = 0;
    for (Node node : graph.nodeList()) {
      if (!node.is("Attention") || node.input(MASK).isEmpty()) {
        continue;
      }
      Optional<List<Dim>> query = facts.shape(node.requiredInput(0));
      Optional<List<Dim>> mask = facts.shape(node.requiredInput(MASK));
      boolean known = query.isPresent() && mask.isPresent() && mask.get().size() >= 2;
      if (!known || mask.get().get(mask.get().size() - 2).equals(tokens(query.get()))) {
        continue;
      }
      Value rows = rows(node, tokens(query.get()));
      Value keys = graph.addConstant("mask_keys", Tensor.vector(1));
      Node shape = graph.insertBefore(node, "", "Concat", "", List.of(rows, keys));
      shape.setAttribute("axis", 0);
      Value target = shape.addOutput(graph.freshName("mask_shape"));
      node.setInput(MASK, graph.insertBefore(node, "Expand", node.requiredInput(MASK), target));
      expanded++;
    }
    return expanded;
  }

  /** In [B,H,S,D] and in [B,S,H*D] tokens are the last axis but one. */
  private static Dim tokens(List<Dim> query) {
    return query.get(query.size() - 2);
  }

  private static Value rows(Node node, Dim tokens) {
    Graph graph = node.graph();
    if (tokens.isConstant()) {
      return graph.addConstant("mask_rows", Tensor.vector(tokens.constant().getAsLong()));
    }
    Value shape = graph.insertBefore(node, "Shape", node.requiredInput(0));
    return graph.insertBefore(
        node, "Gather", shape, graph.addConstant("token_axis", Tensor.vector(-2)));
  }
}
