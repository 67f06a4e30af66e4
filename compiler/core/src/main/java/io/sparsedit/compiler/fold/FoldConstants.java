package io.sparsedit.compiler.fold;

import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.onnx.ExternalData;
import io.sparsedit.compiler.shape.ConstantSource;
import io.sparsedit.compiler.shape.ConstantTensors;
import io.sparsedit.compiler.shape.ShapeInference;
import io.sparsedit.compiler.shape.ShapeTable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Replaces what does not depend on the model's inputs by initializers.
 *
 * <pre>
 *   Shape(x: [1,192,64]) → Slice[-1:] → Cast → Sqrt → Div(1, ·) → Sqrt → Mul(q, ·)
 *   ⇒ Mul(q, initializer)
 * </pre>
 *
 * <p>Constant nodes become initializers, and so do integers that shape inference knows, such as
 * Shape chains over known dimensions. Nodes all of whose inputs are constant then run in ONNX
 * Runtime, all of them in one session. A result is kept if it has at most so many elements, or is
 * not larger than what it is computed from; nodes with larger results stay. Random operators,
 * operators with subgraphs, calls of functions and DequantizeLinear stay too, and so does a node
 * that computes an output of its graph. External weights are read only where they are small.
 *
 * <p>Relies on: the same kernels that would have computed the values in every run compute them
 * here. (Half precision is the exception: on a CPU, ONNX Runtime computes chains of it in single
 * precision, so that results may differ by a rounding.) Names of inputs and outputs are preserved,
 * and a folded value keeps its name. Grids that are computed from small constants per axis, as in
 * rotary embeddings, become one table: look at them before.
 */
public final class FoldConstants {
  /** Elements up to which a result counts as small. */
  public static final long DEFAULT_MAX_ELEMENTS = 1 << 16;

  /**
   * What was done.
   *
   * @param constantNodes Constant nodes that became initializers
   * @param knownValues values that became initializers because shape inference knows them
   * @param computedValues values that ONNX Runtime computed
   * @param removedNodes nodes that are gone
   * @param sessions sessions of ONNX Runtime that it took
   * @param failures nodes with constant inputs that ONNX Runtime could not run, with its reasons
   */
  public record Result(
      int constantNodes,
      int knownValues,
      int computedValues,
      int removedNodes,
      int sessions,
      List<String> failures) {
    public Result {
      failures = List.copyOf(failures);
    }

    /** Whether anything was changed. */
    public boolean changed() {
      return removedNodes > 0 || constantNodes + knownValues + computedValues > 0;
    }
  }

  private final long maxElements;

  /** Folds results of up to {@link #DEFAULT_MAX_ELEMENTS} elements. */
  public FoldConstants() {
    this(DEFAULT_MAX_ELEMENTS);
  }

  /** Folds results of up to so many elements. */
  public FoldConstants(long maxElements) {
    this.maxElements = maxElements;
  }

  /** Folds a model; small external tensors are read next to the file it came from. */
  public Result apply(Model model) {
    ConstantSource source = ConstantSource.NONE;
    if (model.source().isPresent()) {
      ExternalData external = ExternalData.of(model);
      source = tensor -> Optional.of(external.load(tensor));
    }
    return apply(model, ShapeInference.infer(model, Map.of(), source), source);
  }

  /**
   * Folds a model.
   *
   * @param facts what shape inference says of the model as it is
   * @param source reads small external tensors
   */
  public Result apply(Model model, ShapeTable facts, ConstantSource source) {
    int constants = 0;
    int known = 0;
    int computed = 0;
    int removed = 0;
    Evaluator evaluator = new Evaluator(model, facts, source, maxElements);
    for (Graph graph : graphs(model.graph())) {
      int before = graph.nodeCount();
      constants += liftConstants(graph);
      known += replaceKnown(graph, facts);
      removed += before - graph.nodeCount();
      // What led to known values is dead by now and need not be computed.
      removed += graph.removeDeadNodes();
      before = graph.nodeCount();
      Map<Value, Tensor> values = evaluator.evaluate(graph);
      values.forEach(Replacement::replace);
      computed += values.size();
      removed += before - graph.nodeCount();
      removed += graph.removeDeadNodes();
    }
    return new Result(
        constants, known, computed, removed, evaluator.sessions(), evaluator.failures());
  }

  /** The graph and its subgraphs, outer ones first. */
  private static List<Graph> graphs(Graph graph) {
    List<Graph> all = new ArrayList<>();
    all.add(graph);
    for (Node node : graph.nodes()) {
      node.subgraphs().forEach(subgraph -> all.addAll(graphs(subgraph)));
    }
    return all;
  }

  private static int liftConstants(Graph graph) {
    int count = 0;
    for (Node node : graph.nodeList()) {
      Optional<Tensor> tensor = ConstantTensors.of(node);
      if (tensor.isPresent() && !node.output().isGraphOutput()) {
        Replacement.replace(node.output(), tensor.get());
        count++;
      }
    }
    return count;
  }

  private static int replaceKnown(Graph graph, ShapeTable facts) {
    int count = 0;
    for (Node node : graph.nodeList()) {
      for (Value output : node.outputs()) {
        // Floating-point values are left to ONNX Runtime, whose rounding counts.
        boolean eligible =
            !output.uses().isEmpty()
                && !facts.elementType(output).isFloating()
                && !output.isGraphOutput();
        Optional<Tensor> tensor = eligible ? facts.constant(output) : Optional.empty();
        if (tensor.isPresent()) {
          Replacement.replace(output, tensor.get());
          count++;
        }
      }
    }
    return count;
  }
}
