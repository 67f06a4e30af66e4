package io.sparsedit.passes;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.passes.functions.MeasurePlan;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Measures the plan of each sparse site.
 *
 * <pre>
 *   before   o = sparsedit.BlockSparseAttention(q, k, v, query_order, ..., keep, action)
 *   after    the same, and
 *            measured.s0.density, measured.s0.recall =
 *                sparsedit.MeasurePlan(q, k, query_order, ..., keep, action)
 * </pre>
 */
final class MeasurePlans implements Pass<Compilation> {
  private static final int ROWS = 128;

  @Override
  public String name() {
    return "measure plans";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_EMITTED);
  }

  @Override
  public int run(Compilation compilation) {
    for (EmittedSite site : compilation.emitted()) {
      measure(compilation.model(), site);
    }
    return compilation.emitted().size();
  }

  private static void measure(Model model, EmittedSite site) {
    PlannedSite planned = site.planned();
    MeasurePlan measure =
        new MeasurePlan(
            site.index(),
            planned.layout(),
            planned.scale(),
            ROWS,
            planned.text(),
            planned.masked());
    Map<String, Value> available = new HashMap<>(inputsOf(model, site.planner()));
    available.putAll(inputsOf(model, site.attention()));
    available.keySet().retainAll(measure.inputs());
    Node node =
        measure.insertBefore(
            site.attention(),
            site.site().name() + ".measure",
            available,
            Map.of(
                MeasurePlan.DENSITY, MeasurePlan.densityOutput(site.index()),
                MeasurePlan.RECALL, MeasurePlan.recallOutput(site.index())));
    Graph graph = model.graph();
    List<DeclaredDim> dims =
        List.of(
            DeclaredDims.of(site.site().shape().batch()),
            DeclaredDims.of(site.site().shape().heads()));
    for (Value output : node.outputs()) {
      output.setType(new ValueType.TensorType(DataType.FLOAT, Optional.of(dims)));
      graph.addOutput(output);
    }
    if (model.functionOf(node).isEmpty()) {
      model.functions().add(measure.function(model.opset()));
    }
  }

  /** What a call reads, by the names that its function gives it. */
  private static Map<String, Value> inputsOf(Model model, Node call) {
    List<Value> names = model.functionOf(call).orElseThrow().body().inputs();
    Map<String, Value> inputs = new HashMap<>();
    for (int i = 0; i < names.size(); i++) {
      inputs.put(names.get(i).name(), call.requiredInput(i));
    }
    return inputs;
  }
}
