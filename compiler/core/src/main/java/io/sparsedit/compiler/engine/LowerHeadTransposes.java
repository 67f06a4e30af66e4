package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Makes a [B,H,S,D] tensor the transpose of a [B,S,H,D] one.
 *
 * <pre>
 *   before   q, k = QkNormRope(..., output_layout = "BHSD")
 *            v = Concat(Transpose(v1, 0 2 1 3), Transpose(v2, 0 2 1 3), axis = 2)
 *   after    q2, k2 = QkNormRope(..., output_layout = "BSHD")    q = Transpose(q2, 0 2 1 3) ...
 *            v = Transpose(Concat(v1, v2, axis = 1), 0 2 1 3)
 * </pre>
 *
 * {@code QkNormRope} writes either order at the same price, and a Concat over tokens, a Cast or a
 * repetition of heads moves the same elements in either order, so that nothing is lost where the
 * transpose is needed after all.
 */
final class LowerHeadTransposes {
  /** The operator that writes either layout. */
  static final String QK_NORM_ROPE = "QkNormRope";

  private static final String OUTPUT_LAYOUT = "output_layout";
  private static final String HEADS_FIRST = "BHSD";
  private static final String TOKENS_FIRST = "BSHD";
  private static final String AXIS = "axis";
  private static final int RANK = 4;
  private static final int TOKEN_AXIS = 2;
  private static final List<Long> SWAP = List.of(0L, 2L, 1L, 3L);

  private LowerHeadTransposes() {}

  /** Whether {@link #make} can. */
  static boolean canMake(Value value) {
    return value.producer().filter(node -> canMake(node, value)).isPresent();
  }

  private static boolean canMake(Node node, Value value) {
    if (isSwap(node)) {
      return true;
    }
    if (value.isGraphOutput() || node.graph() != value.graph()) {
      return false;
    }
    return isHeadMajorPreparation(node)
        ? node.outputs().stream().noneMatch(Value::isGraphOutput)
        : RepeatedHeads.at(node)
                .map(RepeatedHeads::source)
                .filter(LowerHeadTransposes::canMake)
                .isPresent()
            || (movesTokens(node)
                && node.presentInputs().stream().allMatch(LowerHeadTransposes::canMake));
  }

  /** The same tensor, made by a transpose. */
  static Value make(Graph graph, Value value) {
    Node node = value.producer().orElseThrow();
    if (isSwap(node)) {
      return value;
    }
    if (isHeadMajorPreparation(node)) {
      Node after = next(graph, node);
      node.setAttribute(OUTPUT_LAYOUT, TOKENS_FIRST);
      for (Value output : node.outputs()) {
        if (output != value && !output.isUnused()) {
          swapAfter(graph, after, output);
        }
      }
      return swapAfter(graph, after, value);
    }
    Optional<RepeatedHeads> repeated = RepeatedHeads.at(node);
    if (repeated.isPresent()) {
      Value source = make(graph, repeated.get().source());
      Value tokensFirst = source.producer().orElseThrow().requiredInput(0);
      Value swapped = swapBefore(graph, node, repeated.get().tokensFirst(graph, tokensFirst));
      value.type().ifPresent(swapped::setType);
      value.replaceAllUsesWith(swapped);
      removeUnused(graph, value);
      return swapped;
    }
    List<Value> made = new ArrayList<>();
    for (Value input : List.copyOf(node.presentInputs())) {
      made.add(make(graph, input));
    }
    for (int i = 0; i < made.size(); i++) {
      node.setInput(i, made.get(i).producer().orElseThrow().requiredInput(0));
    }
    if (node.is("Concat")) {
      node.setAttribute(AXIS, TOKEN_AXIS - 1);
    }
    for (Value transposed : made) {
      if (transposed.isUnused()) {
        graph.remove(transposed.producer().orElseThrow());
      }
    }
    return swapAfter(graph, next(graph, node), value);
  }

  /** Whether a node exchanges the axes of heads and tokens. */
  static boolean isSwap(Node node) {
    return node.is("Transpose") && node.intsAttribute("perm").filter(SWAP::equals).isPresent();
  }

  /** A new value, with the axes of heads and tokens exchanged. */
  static Value swapBefore(Graph graph, Node position, Value value) {
    Value swapped = graph.insertBefore(position, "Transpose", value);
    swapped.producer().orElseThrow().setAttribute("perm", new Attribute.IntList(SWAP));
    return swapped;
  }

  /** A transpose of the value takes its place for whoever reads it. */
  private static Value swapAfter(Graph graph, Node position, Value value) {
    List<Value.Use> uses = List.copyOf(value.uses());
    Value swapped = swapBefore(graph, position, value);
    value.type().ifPresent(swapped::setType);
    value.clearType();
    uses.forEach(use -> use.node().setInput(use.index(), swapped));
    return swapped;
  }

  /** Removes what computes a value, as far up as nobody else reads it. */
  private static void removeUnused(Graph graph, Value value) {
    Optional<Node> node = value.producer();
    if (!value.isUnused() || value.isGraphOutput() || node.isEmpty()) {
      return;
    }
    Optional<Value> first = node.get().input(0);
    if (node.get().outputs().stream().allMatch(output -> output == value)) {
      graph.remove(node.get());
      first.ifPresent(input -> removeUnused(graph, input));
    }
  }

  private static Node next(Graph graph, Node node) {
    List<Node> nodes = graph.nodeList();
    return nodes.get(nodes.indexOf(node) + 1);
  }

  private static boolean isHeadMajorPreparation(Node node) {
    return node.domain().equals(CallPlugins.DOMAIN)
        && node.opType().equals(QK_NORM_ROPE)
        && node.stringAttribute(OUTPUT_LAYOUT, "").equals(HEADS_FIRST);
  }

  private static boolean movesTokens(Node node) {
    long axis = node.intAttribute(AXIS, 0);
    return node.is("Cast") || (node.is("Concat") && (axis + RANK) % RANK == TOKEN_AXIS);
  }
}
