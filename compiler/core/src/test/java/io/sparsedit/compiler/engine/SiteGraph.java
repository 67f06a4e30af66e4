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
