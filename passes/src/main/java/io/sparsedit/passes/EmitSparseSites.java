package io.sparsedit.passes;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.pass.Pass;
import io.sparsedit.compiler.rules.match.Rewriter;
import io.sparsedit.compiler.shape.Dim;
import io.sparsedit.passes.functions.BlockSparseAttention;
import io.sparsedit.passes.functions.Layout;
import io.sparsedit.passes.functions.Planner;
import io.sparsedit.passes.functions.SiteShape;
import io.sparsedit.passes.functions.SparseOp;
import io.sparsedit.passes.functions.SparseOps;
import io.sparsedit.passes.functions.StateTensor;
import io.sparsedit.passes.functions.TextPosition;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Turns each chosen site into its method's planner and the block-sparse attention.
 *
 * <pre>
 *   before   o = sparsedit.Attention(q, k, v)
 *   after    query_order, key_order, query_offsets, key_offsets, keep, next.s0.q_centroids,
 *              next.s0.k_centroids = sparsedit.Svg2Plan(q, k, geometry, state.s0.q_centroids,
 *                                                       state.s0.k_centroids, action)
 *            o = sparsedit.BlockSparseAttention(q, k, v, query_order, ..., keep, action)
 * </pre>
 *
 * The model gets the input {@code action} and, a site, its state as inputs and outputs, and the
 * functions that define both operators. Methods differ in the planner alone: a planner names the
 * inputs that it wants ({@link Planner#inputs()}) and gets them.
 */
final class EmitSparseSites implements Pass<Compilation> {
  @Override
  public String name() {
    return "emit sparse sites";
  }

  @Override
  public Set<Established> needs() {
    return Set.of(Established.SITES_CHOSEN, Established.GEOMETRY_FOUND);
  }

  @Override
  public Set<Established> establishes() {
    return Set.of(Established.SITES_EMITTED);
  }

  @Override
  public int run(Compilation compilation) {
    List<Site> chosen = compilation.sites().stream().filter(Site::sparsify).toList();
    if (chosen.isEmpty()) {
      return 0;
    }
    Model model = compilation.model();
    Graph graph = model.graph();
    requireFree(graph, SparseOps.ACTION, compilation);
    Value action =
        graph.addInput(SparseOps.ACTION, ValueType.TensorType.of(DataType.INT32, chosen.size()));
    Value geometry =
        GeometryTensor.add(
            compilation.geometry().orElseThrow(), chosen.get(0).attention(), compilation.facts());
    // Layers share their mask: one bias serves all that do.
    Map<Object, Value> keyBiases = new HashMap<>();
    for (Site site : chosen) {
      Optional<Value> keyBias =
          KeyMask.of(site, compilation.facts())
              .map(mask -> keyBiases.computeIfAbsent(mask.identity(), any -> mask.emit()));
      emit(compilation, site, action, geometry, keyBias);
    }
    model.opsets().put(SparseOps.DOMAIN, SparseOps.VERSION);
    model.setIrVersion(Math.max(model.irVersion(), SparseOps.MIN_IR_VERSION));
    return chosen.size();
  }

  private static void emit(
      Compilation compilation, Site site, Value action, Value geometry, Optional<Value> keyBias) {
    int index = compilation.emitted().size();
    MethodSettings settings = site.method().orElseThrow();
    PlannedSite planned =
        planned(
            index,
            site,
            keyBias.isPresent(),
            compilation.schedule(settings).reusesPlans(),
            compilation.preset());
    Planner plan = settings.planner(planned);
    BlockSparseAttention sparse =
        new BlockSparseAttention(
            index, planned.layout(), planned.scale(), planned.masked(), settings.compensate());

    Map<String, Value> available = new HashMap<>();
    available.put(SparseOps.Q, site.query());
    available.put(SparseOps.K, as(site.elementType(), site.key(), site, compilation));
    available.put(SparseOps.V, as(site.elementType(), site.value(), site, compilation));
    available.put(SparseOps.GEOMETRY, geometry);
    available.put(SparseOps.ACTION, action);
    keyBias.ifPresent(bias -> available.put(SparseOps.KEY_BIAS, bias));
    List<StateBinding> state = bindState(compilation, site, plan, index, available);
    Node planner = insertPlanner(site, plan, available, state);
    for (int i = 0; i < Planner.PLAN.size(); i++) {
      available.put(Planner.PLAN.get(i), planner.output(i));
    }
    Node attention =
        sparse.insertBefore(
            site.attention(), site.name() + ".attention", inputsOf(sparse, available), Map.of());
    for (Node node : List.of(planner, attention)) {
      node.metadata().put(SiteMetadata.SITE, site.name());
      node.metadata().put(Rewriter.PROVENANCE, site.rule());
    }
    replaceOutput(compilation, site, attention.output());
    define(compilation.model(), planner, plan);
    define(compilation.model(), attention, sparse);
    compilation.emitted().add(new EmittedSite(planned, site, planner, attention, state));
  }

  /** Adds the graph inputs of a planner's state to what its node can read. */
  private static List<StateBinding> bindState(
      Compilation compilation, Site site, Planner plan, int index, Map<String, Value> available) {
    Graph graph = compilation.model().graph();
    List<StateBinding> state = new ArrayList<>();
    for (StateTensor tensor : plan.state(siteShape(site))) {
      String input = tensor.graphInput(index);
      String output = tensor.graphOutput(index);
      requireFree(graph, input, compilation);
      requireFree(graph, output, compilation);
      available.put(tensor.input(), graph.addInput(input, tensor.valueType()));
      state.add(new StateBinding(tensor, input, output));
    }
    return state;
  }

  /** The planner's node, whose next state becomes graph outputs. */
  private static Node insertPlanner(
      Site site, Planner plan, Map<String, Value> available, List<StateBinding> state) {
    Map<String, String> names = new HashMap<>();
    state.forEach(binding -> names.put(binding.tensor().output(), binding.output()));
    Node planner =
        plan.insertBefore(
            site.attention(), site.name() + ".plan", inputsOf(plan, available), names);
    for (StateBinding binding : state) {
      StateTensor tensor = binding.tensor();
      Value next = planner.output(plan.outputs().indexOf(tensor.output()));
      next.setType(tensor.valueType());
      planner.graph().addOutput(next);
    }
    return planner;
  }

  /** Puts what the sparse attention gives in the place of the dense attention. */
  private static void replaceOutput(Compilation compilation, Site site, Value sparse) {
    Value output = sparse;
    DataType declared = compilation.facts().elementType(site.attention().output());
    if (declared != DataType.UNDEFINED && declared != site.elementType()) {
      output = cast(output, declared, site.attention());
    }
    Optional<PairMask> pairs = PairMask.of(site, compilation.facts());
    if (pairs.isPresent()) {
      output = pairs.get().restore(site, output, compilation);
    }
    site.attention().output().type().ifPresent(output::setType);
    site.attention().output().replaceAllUsesWith(output);
    site.attention().graph().remove(site.attention());
  }

  /** What the planner of a site is told. */
  static PlannedSite planned(
      int index, Site site, boolean masked, boolean keepsPlan, Preset preset) {
    return new PlannedSite(
        index,
        Layout.BHSD,
        (float) site.scale(),
        site.tokens().textPosition().orElse(TextPosition.NONE),
        masked,
        keepsPlan,
        videoTokens(site).constant().orElse(Long.MAX_VALUE),
        preset);
  }

  private static Dim videoTokens(Site site) {
    return site.tokens().hasVideo() ? site.tokens().video() : site.shape().queryTokens();
  }

  /** What an operator reads, of what there is. */
  private static Map<String, Value> inputsOf(SparseOp op, Map<String, Value> available) {
    Map<String, Value> inputs = new HashMap<>();
    for (String name : op.inputs()) {
      Value value = available.get(name);
      if (value == null) {
        throw new IllegalStateException(op.opType() + " wants " + name);
      }
      inputs.put(name, value);
    }
    return inputs;
  }

  /** The value in the element type of the queries: exporters widen some of q, k and v. */
  private static Value as(DataType type, Value value, Site site, Compilation compilation) {
    return compilation.facts().elementType(value) == type
        ? value
        : cast(value, type, site.attention());
  }

  private static Value cast(Value value, DataType type, Node before) {
    Value cast = before.graph().insertBefore(before, "Cast", value);
    cast.producer().orElseThrow().setAttribute("to", type.code());
    return cast;
  }

  private static void define(Model model, Node call, SparseOp op) {
    if (model.functionOf(call).isEmpty()) {
      model.functions().add(op.function(model.opset()));
    }
  }

  private static SiteShape siteShape(Site site) {
    return new SiteShape(
        DeclaredDims.of(site.shape().batch()),
        DeclaredDims.of(site.shape().heads()),
        DeclaredDims.of(site.shape().queryTokens()),
        DeclaredDims.of(site.shape().headDim()));
  }

  private static void requireFree(Graph graph, String name, Compilation compilation) {
    // A fresh name is the name itself unless the graph or a subgraph of it has it.
    if (!graph.freshName(name).equals(name)) {
      throw SparsifyException.failure(
          compilation.file()
              + " already has a value named '"
              + name
              + "', a name that the compiled model needs. Rename it in the model.");
    }
  }
}
