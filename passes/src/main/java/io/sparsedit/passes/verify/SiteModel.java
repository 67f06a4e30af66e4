package io.sparsedit.passes.verify;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ort.OrtRunner;
import io.sparsedit.passes.functions.ActionCode;
import io.sparsedit.passes.functions.Planner;
import io.sparsedit.passes.functions.SparseOps;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * One sparse site cut out of a compiled model: its planner and its attention, with q, k, v and the
 * state as inputs.
 */
final class SiteModel implements AutoCloseable {
  /** What a site computes on a cold planning step. */
  record Result(Tensor output, PlanTensors plan) {}

  private final OrtRunner runner;
  private final SparseSite site;
  private final int sites;
  private final Map<String, Tensor> fixedInputs;
  private final Map<String, List<Long>> stateDims;

  private SiteModel(
      OrtRunner runner,
      SparseSite site,
      int sites,
      Map<String, Tensor> fixedInputs,
      Map<String, List<Long>> stateDims) {
    this.runner = runner;
    this.site = site;
    this.sites = sites;
    this.fixedInputs = fixedInputs;
    this.stateDims = stateDims;
  }

  /**
   * Cuts out a site.
   *
   * @param compiled the compiled model
   * @param site one of its sites
   * @param elementType element type of q, k and v
   * @param setPlanner changes settings of the planner in the cut-out model
   */
  static SiteModel of(
      Model compiled, SparseSite site, DataType elementType, Consumer<Node> setPlanner) {
    Graph graph = Graph.create("site");
    Map<Value, Value> inner = new HashMap<>();
    Map<String, Tensor> fixed = new LinkedHashMap<>();
    Map<String, List<Long>> state = new LinkedHashMap<>();
    ValueType activations = rank(elementType, 4);
    for (Value value : List.of(site.query(), site.key(), site.value())) {
      inner.computeIfAbsent(value, v -> graph.addInput(v.name(), activations));
    }
    List<Value> inputs = new ArrayList<>(site.planner().presentInputs());
    inputs.addAll(site.attention().presentInputs());
    for (Value value : inputs) {
      boolean isPlan = value.producer().filter(p -> p == site.planner()).isPresent();
      if (inner.containsKey(value) || isPlan) {
        continue;
      }
      if (value.constant().isPresent()) {
        inner.put(value, graph.addInitializer(value.name(), value.constant().get()));
        continue;
      }
      ValueType type = value.type().orElseThrow();
      inner.put(value, graph.addInput(value.name(), relaxed(type)));
      if (value.producer().isPresent()) {
        continue; // the geometry of a video of symbolic size
      }
      if (!value.name().equals(SparseOps.ACTION)) {
        state.put(value.name(), sizes(type));
      }
    }
    Node planner = clone(graph, site.planner(), inner);
    setPlanner.accept(planner);
    Node attention = clone(graph, site.attention(), inner);
    attention.output().setType(activations);
    graph.addOutput(attention.output());
    for (Value plan : planner.outputs().subList(0, Planner.PLAN.size())) {
      graph.addOutput(plan);
    }
    Model model = new Model(graph, compiled.irVersion());
    model.opsets().putAll(compiled.opsets());
    model.functions().addAll(compiled.functions());
    int sites = SparseSite.of(compiled).size();
    return new SiteModel(OrtRunner.load(model), site, sites, fixed, state);
  }

  private static Node clone(Graph graph, Node node, Map<Value, Value> inner) {
    List<Value> inputs = node.presentInputs().stream().map(v -> mapped(inner, v)).toList();
    Node copy = graph.addNode(node.domain(), node.opType(), node.name(), inputs);
    copy.setOverload(node.overload());
    node.attributes().forEach(copy::setAttribute);
    for (Value output : node.outputs()) {
      inner.put(output, copy.addOutput(output.name()));
    }
    return copy;
  }

  private static Value mapped(Map<Value, Value> inner, Value value) {
    Value found = inner.get(value);
    if (found == null) {
      throw new IllegalStateException("no counterpart of " + value);
    }
    return found;
  }

  private static ValueType rank(DataType type, int rank) {
    return new ValueType.TensorType(
        type, Optional.of(Collections.nCopies(rank, new DeclaredDim.Unknown())));
  }

  private static ValueType relaxed(ValueType type) {
    return type instanceof ValueType.TensorType tensor && tensor.dims().isPresent()
        ? rank(tensor.elementType(), tensor.dims().get().size())
        : type;
  }

  /** Sizes of a state tensor, -1 where they follow q. */
  private static List<Long> sizes(ValueType type) {
    List<DeclaredDim> dims = ((ValueType.TensorType) type).dims().orElseThrow();
    return dims.stream()
        .map(dim -> dim instanceof DeclaredDim.Fixed fixed ? fixed.size() : -1L)
        .toList();
  }

  /**
   * Runs the site on its own, cold.
   *
   * @param computed what else the site reads that the model computes, by name
   */
  Result run(Tensor q, Tensor k, Tensor v, Map<String, Tensor> computed) {
    Map<String, Tensor> inputs = new HashMap<>(fixedInputs);
    inputs.putAll(computed);
    inputs.put(site.query().name(), q);
    inputs.put(site.key().name(), k);
    inputs.put(site.value().name(), v);
    inputs.put(SparseOps.ACTION, Actions.all(sites, ActionCode.PLAN_SPARSE.cold()));
    stateDims.forEach((name, dims) -> inputs.put(name, Actions.zeros(stateSizes(dims, q))));
    inputs.keySet().retainAll(runner.inputNames());
    List<Tensor> outputs = new ArrayList<>(runner.run(inputs).values());
    return new Result(
        outputs.get(0),
        new PlanTensors(
            outputs.get(1), outputs.get(2), outputs.get(3), outputs.get(4), outputs.get(5)));
  }

  /** The first two axes of any state are batch and heads, as of q. */
  private static long[] stateSizes(List<Long> dims, Tensor q) {
    long[] sizes = new long[dims.size()];
    for (int axis = 0; axis < sizes.length; axis++) {
      sizes[axis] = axis < 2 ? q.dims()[axis] : dims.get(axis);
    }
    return sizes;
  }

  @Override
  public void close() {
    runner.close();
  }
}
