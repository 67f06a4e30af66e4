package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import io.sparsedit.compiler.ir.ValueType.TensorType;
import io.sparsedit.compiler.ort.OrtOptions;
import io.sparsedit.compiler.ort.OrtRunner;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A model that is one call of an operator: graph inputs and outputs are the call's, all dynamic.
 */
final class OneOp implements AutoCloseable {
  static final long OPSET = 18;

  private final OrtRunner runner;

  private OneOp(OrtRunner runner) {
    this.runner = runner;
  }

  static OneOp load(SparseOp call) {
    return load(call, OPSET, DataType.FLOAT);
  }

  static OneOp load(SparseOp call, long opset, DataType type) {
    return new OneOp(OrtRunner.load(model(call, opset, type), OrtOptions.DEFAULT));
  }

  /** The model; q, k, v and o are of the given type. */
  static Model model(SparseOp call, long opset, DataType type) {
    Graph graph = Graph.create("one op");
    Model model = new Model(graph, SparseOps.MIN_IR_VERSION);
    model.opsets().put("", opset);
    model.opsets().put(SparseOps.DOMAIN, SparseOps.VERSION);
    model.functions().add(call.function(opset));
    Map<String, Value> inputs = new LinkedHashMap<>();
    for (String input : call.inputs()) {
      inputs.put(input, graph.addInput(input, dynamic(input, type)));
    }
    // The node is placed before a marker, as a pass would place it before the node it replaces.
    Node marker = graph.addNode("", "Identity", "", List.of(inputs.values().iterator().next()));
    marker.addOutput("marker");
    Map<String, String> names = new LinkedHashMap<>();
    call.outputs().forEach(output -> names.put(output, output));
    Node node = call.insertBefore(marker, call.opType(), inputs, names);
    graph.remove(marker);
    for (Value output : node.outputs()) {
      output.setType(dynamic(output.name(), type));
      graph.addOutput(output);
    }
    return model;
  }

  /** A node of some graph. */
  static Node anyNode() {
    return Graph.create("any").addNode("", "Constant", "", List.of());
  }

  private static TensorType dynamic(String tensor, DataType type) {
    if (tensor.equals(SparseOps.ACTION) || tensor.equals(SparseOps.GEOMETRY)) {
      return type(DataType.INT32, 1);
    }
    if (List.of(SparseOps.Q, SparseOps.K, SparseOps.V, SparseOps.O).contains(tensor)) {
      return type(type, 4);
    }
    if (tensor.equals(QkNormRope.Q_OUT) || tensor.equals(QkNormRope.K_OUT)) {
      return type(type, 4);
    }
    if (tensor.endsWith("_weight")
        || tensor.equals(QkNormRope.Q_BIAS)
        || tensor.equals(QkNormRope.K_BIAS)) {
      return type(DataType.FLOAT, 1);
    }
    if (tensor.endsWith("keep")) {
      return type(DataType.INT32, 4);
    }
    if (tensor.endsWith("order") || tensor.endsWith("offsets")) {
      return type(DataType.INT32, 3);
    }
    if (tensor.endsWith(SvgPlan.HEAD_CLASSES)) {
      return type(DataType.INT32, 2);
    }
    if (tensor.endsWith(AdaSpaPlan.LSE)) {
      return type(DataType.FLOAT, 3);
    }
    return type(DataType.FLOAT, 4);
  }

  private static TensorType type(DataType type, int rank) {
    return new TensorType(type, Optional.of(Collections.nCopies(rank, new DeclaredDim.Unknown())));
  }

  /** The outputs of one run. */
  record Outputs(Map<String, Tensor> tensors) {
    Tensor get(String name) {
      return Optional.ofNullable(tensors.get(name))
          .orElseThrow(() -> new AssertionError("no output " + name));
    }
  }

  Outputs run(Map<String, Tensor> inputs) {
    return new Outputs(runner.run(inputs));
  }

  @Override
  public void close() {
    runner.close();
  }
}
