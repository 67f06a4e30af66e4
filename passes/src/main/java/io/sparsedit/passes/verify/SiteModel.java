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
import io.sparsedit.passes.functions.Planners;
import io.sparsedit.passes.functions.SiteShape;
import io.sparsedit.passes.functions.SparseOps;
import io.sparsedit.passes.functions.StateTensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * One sparse site cut out of a compiled model: its planner and its attention, with everything that
 * they read as inputs, under the names that their functions give it.
 */
final class SiteModel implements AutoCloseable {
  /** What a site computes on a cold planning step. */
  record Result(Tensor output, PlanTensors plan) {}

  private final OrtRunner runner;
  private final Planner call;
  private final int sites;

  private SiteModel(OrtRunner runner, Planner call, int sites) {
    this.runner = runner;
    this.call = call;
    this.sites = sites;
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
    site.inputs()
        .forEach(
            (name, value) -> {
              boolean isActivation = List.of(SparseOps.Q, SparseOps.K, SparseOps.V).contains(name);
              ValueType type = isActivation ? rank(elementType, 4) : typeOf(name, value);
              inner.computeIfAbsent(value, any -> graph.addInput(name, type));
            });
    Node planner = clone(graph, site.planner(), inner);
    setPlanner.accept(planner);
    Node attention = clone(graph, site.attention(), inner);
    attention.output().setType(rank(elementType, 4));
    graph.addOutput(attention.output());
    for (Value plan : planner.outputs().subList(0, Planner.PLAN.size())) {
      graph.addOutput(plan);
    }
    Model model = new Model(graph, compiled.irVersion());
    model.opsets().putAll(compiled.opsets());
    model.functions().addAll(compiled.functions());
    return new SiteModel(
        OrtRunner.load(model),
        Planners.of(planner, site.inputs().keySet()),
        SparseSite.of(compiled).size());
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

  private static ValueType typeOf(String name, Value value) {
    return switch (name) {
      case SparseOps.GEOMETRY -> rank(DataType.INT32, 1);
      case SparseOps.KEY_BIAS -> rank(DataType.FLOAT, 4);
      default -> {
        ValueType type = value.type().orElseThrow();
        yield type instanceof ValueType.TensorType tensor && tensor.dims().isPresent()
            ? rank(tensor.elementType(), tensor.dims().get().size())
            : type;
      }
    };
  }

  /** Runs the site on its own, cold. */
  Result run(SiteInputs site) {
    Map<String, Tensor> inputs = new HashMap<>();
    inputs.put(SparseOps.Q, site.query());
    inputs.put(SparseOps.K, site.key());
    inputs.put(SparseOps.V, site.value());
    inputs.put(SparseOps.GEOMETRY, site.geometry());
    site.keyBias().ifPresent(bias -> inputs.put(SparseOps.KEY_BIAS, bias));
    inputs.put(SparseOps.ACTION, Actions.all(sites, ActionCode.PLAN_SPARSE.cold()));
    long[] dims = site.query().dims();
    for (StateTensor state : call.state(SiteShape.of(dims[0], dims[1], dims[2], dims[3]))) {
      inputs.put(state.input(), Actions.zeros(state.type(), sizes(state)));
    }
    inputs.keySet().retainAll(runner.inputNames());
    List<Tensor> outputs = new ArrayList<>(runner.run(inputs).values());
    return new Result(
        outputs.get(0),
        new PlanTensors(
            outputs.get(1), outputs.get(2), outputs.get(3), outputs.get(4), outputs.get(5)));
  }

  private static long[] sizes(StateTensor state) {
    return state.dims().stream()
        .mapToLong(
            dim -> {
              if (dim instanceof DeclaredDim.Fixed fixed) {
                return fixed.size();
              }
              throw new IllegalStateException(state + " does not follow from the site's shape");
            })
        .toArray();
  }

  @Override
  public void close() {
    runner.close();
  }
}
