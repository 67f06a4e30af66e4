package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.function.Predicate;

/**
 * Makes the sparse sites of a compiled model dense again, for an engine of the dense model.
 *
 * <pre>
 *   before   plan..., next... = sparsedit.Svg2Plan(q, k, geometry, state..., action)
 *            o = sparsedit.BlockSparseAttention(q, k, v, plan..., [key_bias], action; scale = s)
 *   after    p = MatMul(Mul(q, sqrt(s)), Transpose(Mul(k, sqrt(s)), 0 1 3 2))
 *            o = MatMul(Softmax(Add(p, key_bias)), v)
 * </pre>
 *
 * That is the form in which exporters write attention, and which TensorRT makes one kernel.
 * Planners, state and {@code action} are gone, as inputs and outputs too.
 */
public final class AttendDensely {
  private static final String DOMAIN = "sparsedit";
  private static final String ATTENTION = "BlockSparseAttention";
  private static final String QK_NORM_ROPE = "QkNormRope";

  /** Inputs of an attention without a bias: q, k, v, five of the plan, the action. */
  private static final int INPUTS = 9;

  private AttendDensely() {}

  /** Changes the model; the number of sites that were made dense. */
  public static int in(Model model) {
    Graph graph = model.graph();
    EngineModel known = new EngineModel(model);
    List<Node> sites = own(graph, node -> node.opType().equals(ATTENTION));
    for (Node site : sites) {
      // The types of the model as it was: what is known of values stays right.
      attend(site, new Emit(site, model.opset()), known.facts().elementType(site.requiredInput(2)));
    }
    List<Node> planners =
        own(graph, node -> !node.opType().equals(ATTENTION) && !isPreparation(node));
    for (Node planner : planners) {
      planner.outputs().forEach(graph::removeOutput);
    }
    List<Value> read = graph.inputs().stream().filter(input -> !input.isUnused()).toList();
    graph.removeDeadNodes();
    read.stream().filter(Value::isUnused).forEach(graph::removeInput);
    return sites.size();
  }

  private static List<Node> own(Graph graph, Predicate<Node> which) {
    return graph.nodeList().stream()
        .filter(node -> node.domain().equals(DOMAIN))
        .filter(which)
        .toList();
  }

  private static boolean isPreparation(Node node) {
    return node.opType().equals(QK_NORM_ROPE);
  }

  private static void attend(Node site, Emit emit, DataType type) {
    boolean tokensFirst = site.stringAttribute("layout", "BHSD").equals("BSHD");
    Value root = emit.real("scale", Math.sqrt(site.floatAttribute("scale", 1)), type);
    Value query = headsFirst(emit, site.requiredInput(0), tokensFirst);
    Value key = headsFirst(emit, site.requiredInput(1), tokensFirst);
    Value value = headsFirst(emit, site.requiredInput(2), tokensFirst);
    Value turned = emit.transpose(emit.node("Mul", key, root), 0, 1, 3, 2);
    Value scores = emit.node("MatMul", emit.node("Mul", query, root), turned);
    if (site.inputCount() > INPUTS) {
      Value bias = site.requiredInput(INPUTS - 1);
      scores = emit.node("Add", scores, emit.cast(bias, DataType.FLOAT, type));
    }
    Value result = emit.node("MatMul", emit.softmax(scores), value);
    emit.replace(List.of(headsFirst(emit, result, tokensFirst)));
  }

  private static Value headsFirst(Emit emit, Value value, boolean tokensFirst) {
    return tokensFirst ? emit.transpose(value, 0, 2, 1, 3) : value;
  }
}
