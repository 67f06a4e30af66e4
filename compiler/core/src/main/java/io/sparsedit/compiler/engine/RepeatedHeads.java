package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Key heads that are repeated for the query heads that share them.
 *
 * <pre>
 *   x: [B,K,S,D]    y = Reshape(Expand(Unsqueeze(x, 2), [B,K,G,S,D]), [B,K*G,S,D])
 * </pre>
 *
 * Found where the graph fixes the sizes.
 *
 * @param source x
 * @param reshape the node that gives y
 * @param sizes B, K, G, S and D
 */
record RepeatedHeads(Value source, Node reshape, List<Long> sizes) {
  private static final int GROUP_AXIS = 2;
  private static final int RANK = 5;

  /** What a node's output repeats, if it does. */
  static Optional<RepeatedHeads> at(Node node) {
    if (!node.is("Reshape")) {
      return Optional.empty();
    }
    Optional<Node> expand = node.requiredInput(0).producer().filter(n -> n.is("Expand"));
    Optional<Node> unsqueeze =
        expand.flatMap(n -> n.requiredInput(0).producer()).filter(n -> n.is("Unsqueeze"));
    if (unsqueeze.isEmpty() || !opensGroups(unsqueeze.get())) {
      return Optional.empty();
    }
    List<Long> sizes = longs(expand.get().requiredInput(1));
    if (sizes.size() != RANK) {
      return Optional.empty();
    }
    List<Long> merged =
        List.of(sizes.get(0), sizes.get(1) * sizes.get(2), sizes.get(3), sizes.get(4));
    return longs(node.requiredInput(1)).equals(merged)
        ? Optional.of(new RepeatedHeads(unsqueeze.get().requiredInput(0), node, sizes))
        : Optional.empty();
  }

  private static boolean opensGroups(Node unsqueeze) {
    List<Long> axes =
        unsqueeze
            .intsAttribute("axes")
            .orElseGet(() -> unsqueeze.input(1).map(RepeatedHeads::longs).orElse(List.of()));
    return axes.size() == 1 && Math.floorMod(axes.get(0), (long) RANK) == GROUP_AXIS;
  }

  private static List<Long> longs(Value value) {
    return value
        .constant()
        .flatMap(Tensor::longs)
        .map(elements -> Arrays.stream(elements).boxed().toList())
        .orElse(List.of());
  }

  /**
   * The same with tokens before heads, in front of the node.
   *
   * @param tokens x as [B,S,K,D]
   * @return y as [B,S,K*G,D]
   */
  Value tokensFirst(Graph graph, Value tokens) {
    long batch = sizes.get(0);
    long heads = sizes.get(1);
    long group = sizes.get(2);
    long count = sizes.get(3);
    long channels = sizes.get(4);
    Value opened = shaped(graph, "Reshape", tokens, 0, 0, 0, 1, -1);
    Value repeated = shaped(graph, "Expand", opened, batch, count, heads, group, channels);
    return shaped(graph, "Reshape", repeated, batch, count, heads * group, channels);
  }

  private Value shaped(Graph graph, String operator, Value value, long... dims) {
    return graph.insertBefore(
        reshape, operator, value, graph.addConstant("shape", Tensor.vector(dims)));
  }
}
