package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.ModelCopy;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.List;
import java.util.Map;

/** Runs models that have canonical attention nodes, by what such a node means. */
final class CanonicalForm {
  private CanonicalForm() {}

  /** The outputs of the model; the model stays as it is. */
  static Map<String, Tensor> run(Model model, Map<String, Tensor> inputs) {
    return OrtRunner.run(spelledOut(model), inputs);
  }

  /** The elements of the model's first output for the inputs of its graph; it stays as it is. */
  static double[] output(Model model, SpelledGraph spelled) {
    return run(model, spelled.inputs()).values().iterator().next().doubles().orElseThrow();
  }

  private static Model spelledOut(Model model) {
    Model copy = ModelCopy.of(model);
    copy.graph().removeDeadNodes();
    ValueFacts facts = ShapeInference.infer(copy);
    for (Graph graph : Subgraphs.withSelf(copy.graph())) {
      for (Node node : graph.nodeList()) {
        if (node.domain().equals("sparsedit")) {
          node.replaceWith(List.of(spelledOut(node, facts)));
        }
      }
    }
    return copy;
  }

  /** softmax(scale q kᵀ + mask) v. */
  private static Value spelledOut(Node node, ValueFacts facts) {
    Inserter insert = new Inserter(node);
    Graph graph = node.graph();
    Value scale =
        graph.addConstant("scale", Tensor.scalar(node.floatAttribute("scale", Float.NaN)));
    Value scores =
        insert.node(
            "Mul",
            insert.node("MatMul", node.requiredInput(0), insert.swapLast(node.requiredInput(1), 4)),
            scale);
    if (node.input(3).isPresent()) {
      scores = masked(insert, scores, node, facts);
    }
    Value softmax = insert.node("Softmax", scores);
    softmax.producer().orElseThrow().setAttribute("axis", new Attribute.IntValue(-1));
    return insert.node("MatMul", softmax, node.requiredInput(2));
  }

  private static Value masked(Inserter insert, Value scores, Node node, ValueFacts facts) {
    Value mask = node.requiredInput(3);
    if (facts.elementType(mask) != DataType.BOOL) {
      return insert.node("Add", scores, mask);
    }
    Value low = node.graph().addConstant("low", Tensor.scalar(-1e30f));
    return node.stringAttribute("mask_kind", "").equals("drop")
        ? insert.node("Where", mask, low, scores)
        : insert.node("Where", mask, scores, low);
  }
}
