package io.sparsedit.passes.verify;

import io.sparsedit.compiler.SparsifyException;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.passes.SiteMetadata;
import io.sparsedit.passes.functions.BlockSparseAttention;
import io.sparsedit.passes.functions.MeasurePlan;
import io.sparsedit.passes.functions.Planner;
import io.sparsedit.passes.functions.Planners;
import io.sparsedit.passes.functions.SparseOps;
import io.sparsedit.passes.functions.TextPosition;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * A sparse site of a compiled model, read off its nodes.
 *
 * @param name the site's name
 * @param index its place in {@code action}
 * @param planner the node that makes the plan
 * @param attention the node that executes it
 * @param inputs what the two read, by the names that their functions give it; a plan excepted
 */
record SparseSite(String name, int index, Node planner, Node attention, Map<String, Value> inputs) {

  private static final Set<String> NOT_STATE =
      Set.of(
          SparseOps.Q,
          SparseOps.K,
          SparseOps.V,
          SparseOps.GEOMETRY,
          SparseOps.KEY_BIAS,
          SparseOps.ACTION);

  /** The sparse sites of a compiled model in the order of their index. */
  static List<SparseSite> of(Model model) {
    Map<Long, Node> attentions = new TreeMap<>();
    Map<Long, Node> planners = new TreeMap<>();
    for (Node node : model.graph().nodes()) {
      if (node.domain().equals(SparseOps.DOMAIN)) {
        long index = node.intAttribute(SparseOps.SITE, -1);
        if (node.opType().equals(BlockSparseAttention.OP_TYPE)) {
          attentions.put(index, node);
        } else if (!node.opType().equals(MeasurePlan.OP_TYPE)) {
          planners.put(index, node);
        }
      }
    }
    if (!attentions.keySet().equals(planners.keySet())) {
      throw SparsifyException.failure(
          model.source().map(Object::toString).orElse("the model")
              + ": planners "
              + planners.keySet()
              + " and attentions "
              + attentions.keySet()
              + " do not belong together; it is not a model that SparseDiT wrote");
    }
    List<SparseSite> sites = new ArrayList<>();
    for (Map.Entry<Long, Node> entry : attentions.entrySet()) {
      Node attention = entry.getValue();
      Node planner = Optional.ofNullable(planners.get(entry.getKey())).orElseThrow();
      String name = attention.metadata().getOrDefault(SiteMetadata.SITE, "site" + entry.getKey());
      Map<String, Value> inputs = new LinkedHashMap<>(inputsOf(planner, model));
      inputs.putAll(inputsOf(attention, model));
      inputs.keySet().removeAll(Planner.PLAN);
      sites.add(new SparseSite(name, entry.getKey().intValue(), planner, attention, inputs));
    }
    return sites;
  }

  private static Map<String, Value> inputsOf(Node node, Model model) {
    List<Value> formal = model.functionOf(node).orElseThrow().body().inputs();
    Map<String, Value> inputs = new LinkedHashMap<>();
    for (int i = 0; i < formal.size(); i++) {
      inputs.put(formal.get(i).name(), node.requiredInput(i));
    }
    return inputs;
  }

  Value query() {
    return attention.requiredInput(0);
  }

  Value key() {
    return attention.requiredInput(1);
  }

  Value value() {
    return attention.requiredInput(2);
  }

  Value output() {
    return attention.output();
  }

  /** Where text stands. */
  TextPosition text() {
    return Planners.text(planner);
  }

  /** Frames, height and width of the video. */
  Value geometry() {
    return Optional.ofNullable(inputs.get(SparseOps.GEOMETRY)).orElseThrow();
  }

  /** The bias of the keys, where the model masks them. */
  Optional<Value> keyBias() {
    return Optional.ofNullable(inputs.get(SparseOps.KEY_BIAS));
  }

  /** What comes from the last step, by the names that the planner gives it. */
  Map<String, Value> state() {
    Map<String, Value> state = new LinkedHashMap<>(inputs);
    state.keySet().removeAll(NOT_STATE);
    return state;
  }

  double scale() {
    return attention.floatAttribute(SparseOps.SCALE, Float.NaN);
  }

  /** The plan tensors' values in the order of {@link Planner#PLAN}. */
  List<Value> plan() {
    return planner.outputs().subList(0, Planner.PLAN.size());
  }
}
