package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Lets plugins read and write tokens before heads where the graph has them so.
 *
 * <pre>
 *   before   q2 = Transpose(q, 0 2 1 3)    k2 = Transpose(k, ...)    v2 = Transpose(v, ...)
 *            plan... = Svg2Plan(q2, k2, ..., layout = "BHSD")
 *            o2 = BlockSparseAttention(q2, k2, v2, plan..., layout = "BHSD")
 *            o = Transpose(o2, 0 2 1 3)
 *   after    plan... = Svg2Plan(q, k, ..., layout = "BSHD")
 *            o = BlockSparseAttention(q, k, v, plan..., layout = "BSHD")
 * </pre>
 *
 * Projections give [B,S,H,D]; the canonical form has [B,H,S,D]. The plugins take both, and TensorRT
 * moves no transpose into or out of a plugin. The portable model stays as it is.
 */
final class ReadTokenMajor {
  private static final String ATTENTION = "BlockSparseAttention";
  private static final String LAYOUT = "layout";
  private static final String SITE = "site";
  private static final String HEADS_FIRST = "BHSD";
  private static final String TOKENS_FIRST = "BSHD";
  private static final int ACTIVATIONS = 3;

  private ReadTokenMajor() {}

  /** Changes the graph; the number of sites that were changed. */
  static int in(Graph graph) {
    int changed = 0;
    List<Node> calls =
        graph.nodeList().stream().filter(node -> node.domain().equals(CallPlugins.DOMAIN)).toList();
    for (Node attention : calls) {
      if (attention.opType().equals(ATTENTION) && isHeadsFirst(attention)) {
        List<Node> site =
            calls.stream()
                .filter(node -> site(node) == site(attention))
                .filter(node -> !node.opType().equals(LowerHeadTransposes.QK_NORM_ROPE))
                .toList();
        changed += rewrite(graph, attention, site) ? 1 : 0;
      }
    }
    return changed;
  }

  private static long site(Node node) {
    return node.intAttribute(SITE, -1);
  }

  private static boolean isHeadsFirst(Node node) {
    return node.stringAttribute(LAYOUT, "").equals(HEADS_FIRST);
  }

  private static boolean rewrite(Graph graph, Node attention, List<Node> site) {
    for (int i = 0; i < ACTIVATIONS; i++) {
      if (!LowerHeadTransposes.canMake(attention.requiredInput(i))) {
        return false;
      }
    }
    Value output = attention.output();
    boolean inThisGraph = output.uses().stream().allMatch(use -> use.node().graph() == graph);
    if (output.isGraphOutput()
        || !inThisGraph
        || !site.stream().allMatch(ReadTokenMajor::isHeadsFirst)) {
      return false;
    }
    Map<Value, Value> swapped = new HashMap<>();
    for (int i = 0; i < ACTIVATIONS; i++) {
      Value transposed = LowerHeadTransposes.make(graph, attention.requiredInput(i));
      swapped.put(transposed, transposed.producer().orElseThrow().requiredInput(0));
    }
    for (Node node : site) {
      for (int i = 0; i < node.inputCount(); i++) {
        Optional<Value> source = node.input(i).map(swapped::get);
        if (source.isPresent()) {
          node.setInput(i, source.get());
        }
      }
      node.setAttribute(LAYOUT, new Attribute.StringValue(TOKENS_FIRST));
    }
    swapped.keySet().forEach(value -> removeIfUnused(graph, value));
    writeTokenMajor(graph, output);
    return true;
  }

  /** The output's transposes give way to the output itself; other uses get a transpose. */
  private static void writeTokenMajor(Graph graph, Value output) {
    output.clearType();
    for (Value.Use use : List.copyOf(output.uses())) {
      if (LowerHeadTransposes.isSwap(use.node()) && !use.node().output().isGraphOutput()) {
        use.node().output().replaceAllUsesWith(output);
        graph.remove(use.node());
      } else {
        use.node().setInput(use.index(), LowerHeadTransposes.swapBefore(graph, use.node(), output));
      }
    }
  }

  private static void removeIfUnused(Graph graph, Value value) {
    if (value.isUnused()) {
      value.producer().ifPresent(graph::remove);
    }
  }
}
