package io.sparsedit.compiler.engine;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.compiler.ort.OrtRunner;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * A model with one sparse site as the compiler emits it: transposes around a planner and an
 * attention. Their functions compute element by element, which is the same in every layout.
 *
 * <pre>
 *   q2, k2, v2 = Transpose(q), Transpose(k), Transpose(v)
 *   plan = sparsedit.MeanPlan(q2, k2)
 *   o = Neg(Transpose(sparsedit.BlockSparseAttention(q2, k2, v2, plan)))
 * </pre>
 */
final class SiteGraph {
  private static final List<Long> SWAP = List.of(0L, 2L, 1L, 3L);

  final Model model;
  final Graph graph = Graph.create("main");
  final Node planner;
  final Node attention;

  SiteGraph() {
    model = new Model(graph, 10);
    model.opsets().put("", 17L);
    model.opsets().put(CallPlugins.DOMAIN, 1L);
    Value q = transposed(input("q"));
    Value k = transposed(input("k"));
    Value v = transposed(input("v"));
    planner = call("MeanPlan", List.of(q, k));
    Value plan = planner.addOutput("plan");
    attention = call("BlockSparseAttention", List.of(q, k, v, plan));
    Value o = graph.append("Neg", transposed(attention.addOutput("attended")));
    o.rename("o");
    o.setType(ValueType.TensorType.of(DataType.FLOAT, 1, 5, 2, 3));
    graph.addOutput(o);
    model.functions().add(function("MeanPlan", List.of("q", "k")));
    model.functions().add(function("BlockSparseAttention", List.of("q", "k", "v", "plan")));
  }

  private Value input(String name) {
    return graph.addInput(name, ValueType.TensorType.of(DataType.FLOAT, 1, 5, 2, 3));
  }

  Value transposed(Value value) {
    Value out = graph.append("Transpose", value);
    out.producer().orElseThrow().setAttribute("perm", new Attribute.IntList(SWAP));
    return out;
  }

  private Node call(String operator, List<Value> inputs) {
    Node node = graph.addNode(CallPlugins.DOMAIN, operator, "site." + operator, inputs);
    node.setOverload("bhsd");
    node.setAttribute("site", 0);
    node.setAttribute("layout", "BHSD");
    return node;
  }

  /**
   * Puts a QkNormRope between the transposes of Q and K and their readers: there it negates them.
   *
   * @param outputLayout the layout that it writes; the rest of the graph wants heads first
   */
  Node prepare(String layout, String outputLayout) {
    Value q = attention.requiredInput(0);
    Value k = attention.requiredInput(1);
    boolean tokensFirst = layout.equals("BSHD");
    Value first = tokensFirst ? q.producer().orElseThrow().requiredInput(0) : q;
    Value second = tokensFirst ? k.producer().orElseThrow().requiredInput(0) : k;
    Node node =
        graph.insertBefore(
            planner,
            CallPlugins.DOMAIN,
            LowerHeadTransposes.QK_NORM_ROPE,
            "prepare",
            List.of(first, second));
    node.setAttribute("site", 0);
    node.setAttribute("tensors", 2);
    node.setAttribute("layout", layout);
    node.setAttribute("output_layout", outputLayout);
    for (int i = 0; i < 2; i++) {
      Value out = node.addOutput("prepared" + i);
      planner.setInput(i, out);
      attention.setInput(i, out);
    }
    if (tokensFirst) {
      graph.remove(q.producer().orElseThrow());
      graph.remove(k.producer().orElseThrow());
    }
    for (String overload : List.of("same", "swapped")) {
      Function function =
          new Function(CallPlugins.DOMAIN, LowerHeadTransposes.QK_NORM_ROPE, overload);
      function.opsets().put("", 17L);
      Graph body = function.body();
      for (String name : List.of("q", "k")) {
        body.addInput(name);
      }
      for (Value input : List.copyOf(body.inputs())) {
        Value negated = body.append("Neg", input);
        if (overload.equals("swapped")) {
          negated = body.append("Transpose", negated);
          negated.producer().orElseThrow().setAttribute("perm", new Attribute.IntList(SWAP));
        }
        body.addOutput(negated);
      }
      model.functions().add(function);
    }
    return node;
  }

  /** A weighted sum of the inputs. */
  private static Function function(String operator, List<String> inputs) {
    Function function = new Function(CallPlugins.DOMAIN, operator, "bhsd");
    function.opsets().put("", 17L);
    Graph body = function.body();
    Value sum = body.addInput(inputs.get(0));
    for (String input : inputs.subList(1, inputs.size())) {
      Value next = body.addInput(input);
      sum = body.append("Add", body.append("Add", sum, sum), next);
    }
    body.addOutput(sum);
    return function;
  }

  /** The elements of the model's outputs on seeded inputs. */
  Map<String, List<Double>> run() {
    for (Node node : graph.nodes()) {
      if (node.opType().equals(LowerHeadTransposes.QK_NORM_ROPE)) {
        boolean same =
            node.stringAttribute("layout", "").equals(node.stringAttribute("output_layout", ""));
        node.setOverload(same ? "same" : "swapped");
      }
    }
    Random random = new Random(7);
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (String name : List.of("q", "k", "v")) {
      float[] values = new float[30];
      for (int i = 0; i < values.length; i++) {
        values[i] = random.nextFloat();
      }
      inputs.put(name, Tensor.ofFloats(new long[] {1, 5, 2, 3}, values));
    }
    Map<String, List<Double>> elements = new LinkedHashMap<>();
    OrtRunner.run(model, inputs)
        .forEach(
            (name, tensor) ->
                elements.put(name, Arrays.stream(tensor.doubles().orElseThrow()).boxed().toList()));
    return elements;
  }

  long count(String operator) {
    return graph.nodeList().stream().filter(node -> node.opType().equals(operator)).count();
  }
}
