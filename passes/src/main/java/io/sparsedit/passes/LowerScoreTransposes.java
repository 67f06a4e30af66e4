package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Moves transpositions of attention scores behind the softmax, where they meet those of the second
 * product.
 *
 * <pre>
 *   before   p = Softmax(Add(Transpose(MatMul(q, k)), mask))
 *   after    p = Transpose(Softmax(Add(MatMul(q, k), Transpose(mask))))
 * </pre>
 *
 * The softmax goes over the same axis, wherever it then is.
 */
final class LowerScoreTransposes implements Pass<Compilation> {
  /**
   * A value that is another one with its axes in another order.
   *
   * @param data the other one
   * @param perm the order, as in Transpose
   */
  private record Turned(Value data, List<Integer> perm) {}

  @Override
  public String name() {
    return "lower transpositions of scores";
  }

  @Override
  public int run(Compilation compilation) {
    return lower(compilation.model().graph(), compilation.facts());
  }

  private static int lower(Graph graph, ValueFacts facts) {
    int changed = 0;
    Map<Value, Turned> turned = new HashMap<>();
    for (Node node : graph.nodeList()) {
      for (Graph subgraph : node.subgraphs()) {
        changed += lower(subgraph, facts);
      }
      Optional<List<Integer>> perm = Permutations.of(node, facts);
      if (perm.isPresent()) {
        if (isOfScores(node)) {
          turned.put(node.output(), new Turned(node.requiredInput(0), perm.get()));
        }
      } else if (node.is("Softmax") || Elementwise.is(node)) {
        Optional<Turned> lowered = lowered(node, turned, facts);
        if (lowered.isPresent()) {
          Value result = new Inserter(node).transpose(lowered.get().data(), lowered.get().perm());
          node.replaceWith(List.of(result));
          turned.put(result, lowered.get());
          changed++;
        }
      }
    }
    if (changed > 0) {
      graph.removeDeadNodes();
    }
    return changed;
  }

  /** Whether scores are transposed, or probabilities. */
  private static boolean isOfScores(Node transpose) {
    Value data = transpose.requiredInput(0);
    return data.producer().filter(node -> node.is("Softmax")).isPresent()
        || (Elementwise.leadsToSoftmax(transpose.output()) && Elementwise.comesFromProduct(data));
  }

  /** The node's result before the transposition. */
  private static Optional<Turned> lowered(Node node, Map<Value, Turned> turned, ValueFacts facts) {
    Optional<Turned> first =
        node.presentInputs().stream().filter(turned::containsKey).findFirst().map(turned::get);
    if (first.isEmpty()) {
      return Optional.empty();
    }
    List<Integer> perm = first.get().perm();
    if (facts.shape(node.output()).map(List<Dim>::size).filter(r -> r == perm.size()).isEmpty()) {
      return Optional.empty();
    }
    Inserter insert = new Inserter(node);
    List<Integer> back = inverse(perm);
    List<Value> operands = new ArrayList<>();
    for (Value input : node.presentInputs()) {
      Turned known = turned.get(input);
      if (known != null && known.perm().equals(perm)) {
        operands.add(known.data());
        continue;
      }
      Optional<Value> operand = Elementwise.permuted(insert, input, back, facts);
      if (operand.isEmpty()) {
        return Optional.empty();
      }
      operands.add(operand.get());
    }
    Value result = insert.node(node.opType(), operands.toArray(Value[]::new));
    Node copy = result.producer().orElseThrow();
    node.attributes().forEach(copy::setAttribute);
    copy.setName(node.name());
    copy.metadata().putAll(node.metadata());
    if (node.is("Softmax")) {
      int axis = Math.floorMod(Math.toIntExact(node.intAttribute("axis", -1)), perm.size());
      copy.setAttribute("axis", perm.get(axis));
    }
    return Optional.of(new Turned(result, perm));
  }

  private static List<Integer> inverse(List<Integer> perm) {
    List<Integer> inverse = new ArrayList<>(perm);
    for (int i = 0; i < perm.size(); i++) {
      inverse.set(perm.get(i), i);
    }
    return inverse;
  }
}
