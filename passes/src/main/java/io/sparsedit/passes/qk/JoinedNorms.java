package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.compiler.shape.ValueFacts;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/** Norms of a tensor that holds several tensors, each of which is taken out of the result. */
public final class JoinedNorms {
  /** Q, K and V. */
  private static final long MOST_JOINED = 3;

  private final Graph graph;
  private final ValueFacts facts;

  /**
   * The norms of a graph.
   *
   * @param facts shapes and constants of the graph
   */
  public JoinedNorms(Graph graph, ValueFacts facts) {
    this.graph = graph;
    this.facts = facts;
  }

  /**
   * Normalises what is taken out, in place of the whole.
   *
   * @param opsets versions of the operator sets
   * @param isFixed whether a value depends on no input: weights do not
   * @return how many norms were there
   */
  public int split(Map<String, Long> opsets, Predicate<Value> isFixed) {
    boolean any = false;
    for (Node node : graph.nodes()) {
      any |= node.outputs().size() == 1 && isTakenApart(node.output());
    }
    if (!any) {
      return 0;
    }
    Map<Node, Integer> order = new HashMap<>();
    graph.nodes().forEach(node -> order.put(node, order.size()));
    List<NormMatch> norms =
        new ArrayList<>(
            new NormFinder(facts, isFixed).find(graph, PreparationFinder.rules(), opsets).values());
    norms.sort(Comparator.comparing(norm -> order.get(norm.output().producer().orElseThrow())));
    int split = 0;
    for (NormMatch norm : norms) {
      // The weights of a wide norm differ between what is taken out.
      if (!norm.wide() && isTakenApart(norm.output()) && isAsFound(norm)) {
        List<Node> inOrder = new ArrayList<>(norm.nodes());
        inOrder.sort(Comparator.comparing(order::get));
        List<Node> old = new ArrayList<>(inOrder);
        for (Value.Use use : List.copyOf(norm.output().uses())) {
          takeOut(use.node(), norm, inOrder);
          old.add(use.node());
        }
        // The exporter's attention is dead too, and has to stay.
        for (int i = old.size() - 1; i >= 0; i--) {
          if (old.get(i).outputs().stream().allMatch(Value::isUnused)) {
            graph.remove(old.get(i));
          }
        }
        split++;
      }
    }
    return split;
  }

  /** Whether a norm can be repeated, and none before it has changed what it reads. */
  private static boolean isAsFound(NormMatch norm) {
    return norm.nodes().stream().allMatch(node -> node.isAttached() && !node.is("Expand"))
        && norm.input().uses().stream().anyMatch(use -> norm.nodes().contains(use.node()));
  }

  /** Whether all that reads a value takes tensors out of it. */
  private boolean isTakenApart(Value value) {
    Optional<List<Dim>> shape = facts.shape(value);
    return shape.isPresent()
        && !value.isGraphOutput()
        && !value.uses().isEmpty()
        && value.uses().stream()
            .allMatch(use -> use.index() == 0 && takesApart(use.node(), shape.get()));
  }

  private boolean takesApart(Node node, List<Dim> dims) {
    if (node.graph() != graph) {
      return false;
    }
    if (node.is("Split")) {
      return joins(node.intAttribute("axis", 0), dims);
    }
    if (node.is("Gather")) {
      Optional<Tensor> index = facts.constant(node.requiredInput(1));
      return joins(node.intAttribute("axis", 0), dims)
          && index.flatMap(Tensor::longs).filter(longs -> longs.length == 1).isPresent()
          && index.get().dims().length <= 1;
    }
    if (!node.is("Slice")) {
      return false;
    }
    Optional<long[]> axes = node.input(3).flatMap(facts::constant).flatMap(Tensor::longs);
    return axes.isPresent() && axes.get().length == 1 && joins(axes.get()[0], dims);
  }

  /** Whether an axis is one of tensors, not of tokens, of heads or of lanes. */
  private static boolean joins(long axis, List<Dim> dims) {
    int place = Math.toIntExact(axis < 0 ? axis + dims.size() : axis);
    return place >= 0
        && place < dims.size() - 1
        && dims.get(place).isConstant()
        && dims.get(place).constant().getAsLong() <= MOST_JOINED;
  }

  private void takeOut(Node pick, NormMatch norm, List<Node> nodes) {
    Inserter insert = new Inserter(pick);
    if (pick.is("Gather")) {
      int axis = Math.toIntExact(pick.intAttribute("axis", 0));
      Tensor index = facts.constant(pick.requiredInput(1)).orElseThrow();
      Value taken =
          insert.gather(axis, norm.input(), insert.ints("index", index.longs().orElseThrow()));
      Value normed = normed(taken, norm, nodes, pick);
      boolean dropsAxis = index.dims().length == 0;
      pick.output()
          .replaceAllUsesWith(
              dropsAxis ? insert.op("Squeeze", normed, insert.ints("axis", axis)) : normed);
      return;
    }
    Node part = graph.insertBefore(pick, "", pick.opType(), "", List.of(norm.input()));
    for (int i = 1; i < pick.inputCount(); i++) {
      int place = i;
      pick.input(i).ifPresentOrElse(v -> part.setInput(place, v), () -> part.clearInput(place));
    }
    pick.attributes().forEach(part::setAttribute);
    for (Value output : pick.outputs()) {
      Value taken = part.addOutput(graph.freshName(output.name()));
      if (!output.isUnused()) {
        output.replaceAllUsesWith(normed(taken, norm, nodes, pick));
      }
    }
  }

  /** The norm of another value, before a node. */
  private Value normed(Value value, NormMatch norm, List<Node> nodes, Node before) {
    Map<Value, Value> copies = new HashMap<>(Map.of(norm.input(), value));
    for (Node node : nodes) {
      Node copy = graph.insertBefore(before, node.domain(), node.opType(), "", List.of());
      for (int i = 0; i < node.inputCount(); i++) {
        Optional<Value> input = node.input(i);
        if (input.isPresent()) {
          copy.setInput(i, copies.getOrDefault(input.get(), input.get()));
        } else {
          copy.clearInput(i);
        }
      }
      node.attributes().forEach(copy::setAttribute);
      copy.metadata().putAll(node.metadata());
      node.outputs()
          .forEach(output -> copies.put(output, copy.addOutput(graph.freshName(output.name()))));
    }
    return copies.getOrDefault(norm.output(), value);
  }
}
