package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.stream.IntStream;

/** Puts nodes of standard operators before a node. */
final class Inserter {
  private final Graph graph;
  private final Node position;

  Inserter(Node position) {
    this.graph = position.graph();
    this.position = position;
  }

  Node position() {
    return position;
  }

  Value ints(String name, long... numbers) {
    return graph.addConstant(name, Tensor.vector(numbers));
  }

  Value floats(String name, float... numbers) {
    return graph.addConstant(name, Tensor.ofFloats(new long[] {numbers.length}, numbers));
  }

  Value op(String opType, Value... inputs) {
    return graph.insertBefore(position, opType, inputs);
  }

  private Value op(String opType, String attribute, Attribute setting, Value... inputs) {
    Value output = op(opType, inputs);
    output.producer().orElseThrow().setAttribute(attribute, setting);
    return output;
  }

  Value cast(Value value, DataType type) {
    return op("Cast", "to", new Attribute.IntValue(type.code()), value);
  }

  Value concat(int axis, List<Value> parts) {
    return parts.size() == 1
        ? parts.get(0)
        : op("Concat", "axis", new Attribute.IntValue(axis), parts.toArray(new Value[0]));
  }

  Value gather(int axis, Value data, Value indices) {
    return op("Gather", "axis", new Attribute.IntValue(axis), data, indices);
  }

  Value reshape(Value value, long... shape) {
    return op("Reshape", value, ints("shape", shape));
  }

  /** The value with its axes in an order. */
  Value transpose(Value value, List<Integer> order) {
    boolean inOrder = IntStream.range(0, order.size()).allMatch(i -> order.get(i) == i);
    List<Long> perm = order.stream().map(Integer::longValue).toList();
    return inOrder ? value : op("Transpose", "perm", new Attribute.IntList(perm), value);
  }
}
