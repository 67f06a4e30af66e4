package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType.TensorType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/**
 * Writes the body of an ONNX function: one method an operator, appending a node and returning its
 * output.
 *
 * <p>Constants and attributes of the call become {@code Constant} nodes of the outermost body, one
 * for each different value; subgraphs capture them. Operators whose form depends on the opset are
 * written in the form of the model's opset. Indices, counts and shapes are i64 throughout, scalars
 * (rank 0) unless a method says vector.
 */
final class Ops {
  private static final int FLOAT_ATTRIBUTE = 1;
  private static final int INT_ATTRIBUTE = 2;

  private final Graph graph;
  private final Shared shared;
  private final Optional<Ops> outer;
  private final Map<Fact, Value> computed = new HashMap<>();

  /** What the bodies of one function share. */
  private static final class Shared {
    final Graph root;
    final long opset;
    final Map<String, Value> constants = new HashMap<>();
    final Map<String, Integer> nodeNames = new HashMap<>();
    final Map<Value, Long> scalars = new HashMap<>();

    Shared(Graph root, long opset) {
      this.root = root;
      this.opset = opset;
    }
  }

  private Ops(Graph graph, Shared shared, Optional<Ops> outer) {
    this.graph = graph;
    this.shared = shared;
    this.outer = outer;
  }

  private Ops subgraph(String name) {
    return new Ops(Graph.createSubgraph(graph, name), shared, Optional.of(this));
  }

  /** Something that is computed once of a value. */
  private record Fact(String what, Value of) {}

  /** What this body or an enclosing one has computed; else it is computed here. */
  private Value computedOnce(Fact key, Supplier<Value> computation) {
    for (Optional<Ops> ops = Optional.of(this); ops.isPresent(); ops = ops.get().outer) {
      Value value = ops.get().computed.get(key);
      if (value != null) {
        return value;
      }
    }
    Value value = computation.get();
    computed.put(key, value);
    return value;
  }

  // ---- functions and subgraphs ------------------------------------------------------------------

  /** Writes the outermost body: from the values of the inputs to those of the outputs. */
  @FunctionalInterface
  interface Body {
    Map<String, Value> write(Ops ops, Map<String, Value> inputs);
  }

  /** Writes a branch of an If. */
  @FunctionalInterface
  interface Branch {
    List<Value> write(Ops ops);
  }

  /** Writes the body of a Loop. */
  @FunctionalInterface
  interface LoopBody {
    /**
     * Writes one iteration.
     *
     * @param iteration number of the iteration, from 0
     * @param carried the carried values as the last iteration left them
     */
    Iteration write(Ops ops, Value iteration, List<Value> carried);
  }

  /**
   * What one iteration of a Loop leaves.
   *
   * @param carried values for the next iteration
   * @param scanned values that the loop stacks along a new first axis, of one shape in all
   *     iterations
   */
  record Iteration(List<Value> carried, List<Value> scanned) {
    static Iteration scan(Value... scanned) {
      return new Iteration(List.of(), List.of(scanned));
    }

    static Iteration carry(Value... carried) {
      return new Iteration(List.of(carried), List.of());
    }
  }

  /**
   * The function that a call needs.
   *
   * @throws IllegalArgumentException if the opset is too old
   */
  static Function function(SparseOp op, long opset, String documentation, Body body) {
    if (opset < SparseOps.MIN_OPSET) {
      throw new IllegalArgumentException(
          op.opType() + " needs opset " + SparseOps.MIN_OPSET + " or later, not " + opset);
    }
    Function function = new Function(SparseOps.DOMAIN, op.opType(), op.overload());
    function.setDocString(documentation);
    function.opsets().put("", opset);
    function.attributeNames().addAll(op.attributes().keySet());
    Graph graph = function.body();
    Map<String, Value> inputs = new HashMap<>();
    op.inputs().forEach(input -> inputs.put(input, graph.addInput(input)));
    // Outputs have the names of the signature, so these names are taken first.
    Map<String, Value> outputs =
        body.write(new Ops(graph, new Shared(graph, opset), Optional.empty()), inputs);
    for (String output : op.outputs()) {
      Node node = graph.addNode("", "Identity", "", List.of(lookup(outputs, output)));
      graph.addOutput(node.addOutput(graph.freshName(output)));
    }
    graph.removeDeadNodes();
    return function;
  }

  /** The value that a map has for a key. */
  static Value lookup(Map<String, Value> values, String key) {
    return Optional.ofNullable(values.get(key))
        .orElseThrow(() -> new IllegalArgumentException("no value for " + key));
  }

  /**
   * {@code If}.
   *
   * @param name of the node and its outputs
   */
  List<Value> ifElse(String name, Value condition, Branch then, Branch otherwise) {
    Graph thenGraph = branch("then", then);
    Graph elseGraph = branch("else", otherwise);
    Node node = graph.addNode("", "If", nodeName(name), List.of(condition));
    node.setAttribute("then_branch", new Attribute.GraphValue(thenGraph));
    node.setAttribute("else_branch", new Attribute.GraphValue(elseGraph));
    return addOutputs(node, name, thenGraph.outputs().size());
  }

  private Graph branch(String name, Branch branch) {
    Ops ops = subgraph(name);
    branch.write(ops).forEach(ops::output);
    return ops.graph;
  }

  /**
   * {@code Loop} with a trip count; the carried values, then the scanned ones.
   *
   * @param name of the node and its outputs
   */
  List<Value> loop(String name, Value trips, List<Value> carried, LoopBody body) {
    Ops inner = subgraph("body");
    Value iteration =
        inner.graph.addInput(graph.freshName(name + "_index"), TensorType.of(DataType.INT64));
    Value condition =
        inner.graph.addInput(graph.freshName(name + "_condition"), TensorType.of(DataType.BOOL));
    List<Value> before = new ArrayList<>();
    for (int i = 0; i < carried.size(); i++) {
      before.add(inner.graph.addInput(graph.freshName(name + "_carried")));
    }
    Iteration after = body.write(inner, iteration, before);
    if (after.carried().size() != carried.size()) {
      throw new IllegalArgumentException("a loop carries the same values in and out");
    }
    inner.output(condition);
    after.carried().forEach(inner::output);
    after.scanned().forEach(inner::output);
    List<Value> inputs = new ArrayList<>(List.of(trips, bool(true)));
    inputs.addAll(carried);
    Node node = graph.addNode("", "Loop", nodeName(name), inputs);
    node.setAttribute("body", new Attribute.GraphValue(inner.graph));
    return addOutputs(node, name, carried.size() + after.scanned().size());
  }

  private String nodeName(String name) {
    int number = shared.nodeNames.merge(name, 1, Integer::sum);
    return number == 1 ? name : name + "_" + number;
  }

  /** Makes a value an output of this subgraph; only what its own nodes compute can be one, once. */
  private void output(Value value) {
    boolean own =
        value.graph() == graph && value.producer().isPresent() && !graph.outputs().contains(value);
    graph.addOutput(own ? value : op("Identity", value));
  }

  private List<Value> addOutputs(Node node, String hint, int count) {
    List<Value> outputs = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      outputs.add(node.addOutput(graph.freshName(hint)));
    }
    return outputs;
  }

  /** Gives a value that was just computed a speaking name. */
  Value named(String name, Value value) {
    value.rename(value.graph().freshName(name));
    return value;
  }

  // ---- constants and attributes -----------------------------------------------------------------

  /** An i64 scalar. */
  Value i64(long value) {
    Value scalar = constant("i" + value, Tensor.scalar(value));
    shared.scalars.put(scalar, value);
    return scalar;
  }

  /** An i64 vector. */
  Value i64s(long... values) {
    String name =
        LongStream.of(values).mapToObj(Long::toString).collect(Collectors.joining("_", "v", ""));
    return constant(name, Tensor.vector(values));
  }

  /** An i64 vector under a name, where listing its elements would say less. */
  Value i64s(String name, long... values) {
    return constant(name, Tensor.vector(values));
  }

  /** An i32 scalar. */
  Value i32(int value) {
    return constant("int" + value, Tensor.ofInts(new long[0], value));
  }

  /** An f32 scalar. */
  Value f32(float value) {
    return constant("f" + value, Tensor.scalar(value));
  }

  /** An f64 scalar. */
  Value f64(double value) {
    ByteBuffer bytes = ByteBuffer.allocate(Double.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putDouble(0, value);
    return constant("d" + value, Tensor.raw(DataType.DOUBLE, new long[0], bytes));
  }

  /** A bool scalar. */
  Value bool(boolean value) {
    return constant(Boolean.toString(value), Tensor.scalar(value));
  }

  private Value constant(String name, Tensor tensor) {
    return shared.constants.computeIfAbsent(
        name,
        key -> {
          Node node = shared.root.addNode("", "Constant", "", List.of());
          node.setAttribute("value", new Attribute.TensorValue(tensor));
          String valid = key.replace("-", "minus_").replace('.', '_').toLowerCase(Locale.ROOT);
          return node.addOutput(shared.root.freshName(valid));
        });
  }

  /** An INT attribute of the call as an i64 scalar. */
  Value intAttribute(String name) {
    return attribute("value_int", name, INT_ATTRIBUTE);
  }

  /** A FLOAT attribute of the call as an f32 scalar. */
  Value floatAttribute(String name) {
    return attribute("value_float", name, FLOAT_ATTRIBUTE);
  }

  private Value attribute(String constantForm, String name, int type) {
    return shared.constants.computeIfAbsent(
        "attribute " + name,
        key -> {
          Node node = shared.root.addNode("", "Constant", "", List.of());
          node.setAttribute(constantForm, new Attribute.Reference(name, type));
          return node.addOutput(shared.root.freshName(name));
        });
  }

  // ---- any operator -----------------------------------------------------------------------------

  /** An operator without attributes. */
  Value op(String opType, Value... inputs) {
    return op(opType, Map.of(), inputs);
  }

  /** An operator with one output. */
  Value op(String opType, Map<String, Attribute> attributes, Value... inputs) {
    return node(opType, attributes, 1, inputs).get(0);
  }

  private List<Value> node(
      String opType, Map<String, Attribute> attributes, int outputs, Value... inputs) {
    Node node = graph.addNode("", opType, "", List.of(inputs));
    // In order of name: a map of attributes may have another order in the next process.
    new TreeMap<>(attributes).forEach(node::setAttribute);
    return addOutputs(node, opType.toLowerCase(Locale.ROOT), outputs);
  }

  private static Attribute attr(long value) {
    return new Attribute.IntValue(value);
  }

  private static Attribute ints(long... values) {
    return new Attribute.IntList(LongStream.of(values).boxed().toList());
  }

  // ---- arithmetic and logic ---------------------------------------------------------------------

  Value add(Value a, Value b) {
    return op("Add", a, b);
  }

  Value sub(Value a, Value b) {
    return op("Sub", a, b);
  }

  Value mul(Value a, Value b) {
    return op("Mul", a, b);
  }

  /** Quotient; truncated towards 0 on integers. */
  Value div(Value a, Value b) {
    return op("Div", a, b);
  }

  /** Remainder of integers with the sign of {@code b}. */
  Value mod(Value a, Value b) {
    return op("Mod", a, b);
  }

  /** Quotient of integers of at least 0, rounded up. */
  Value ceilDiv(Value a, Value b) {
    return div(sub(add(a, b), i64(1)), b);
  }

  Value min(Value a, Value b) {
    return op("Min", a, b);
  }

  Value max(Value a, Value b) {
    return op("Max", a, b);
  }

  Value exp(Value a) {
    return op("Exp", a);
  }

  Value log(Value a) {
    return op("Log", a);
  }

  Value floor(Value a) {
    return op("Floor", a);
  }

  Value sqrt(Value a) {
    return op("Sqrt", a);
  }

  Value less(Value a, Value b) {
    return op("Less", a, b);
  }

  Value lessOrEqual(Value a, Value b) {
    return op("LessOrEqual", a, b);
  }

  Value greater(Value a, Value b) {
    return op("Greater", a, b);
  }

  Value equal(Value a, Value b) {
    return op("Equal", a, b);
  }

  Value and(Value a, Value b) {
    return op("And", a, b);
  }

  Value or(Value a, Value b) {
    return op("Or", a, b);
  }

  Value not(Value a) {
    return op("Not", a);
  }

  Value where(Value condition, Value then, Value otherwise) {
    return op("Where", condition, then, otherwise);
  }

  Value cast(Value a, DataType type) {
    return op("Cast", Map.of("to", attr(type.code())), a);
  }

  /** As {@link #cast} to the element type of {@code like}. */
  Value castLike(Value a, Value like) {
    return op("CastLike", a, like);
  }

  Value f32(Value a) {
    return cast(a, DataType.FLOAT);
  }

  Value f64(Value a) {
    return cast(a, DataType.DOUBLE);
  }

  Value i64(Value a) {
    return cast(a, DataType.INT64);
  }

  Value i32(Value a) {
    return cast(a, DataType.INT32);
  }

  Value bool(Value a) {
    return cast(a, DataType.BOOL);
  }

  // ---- shapes -----------------------------------------------------------------------------------

  /** The shape as a vector. */
  Value shape(Value a) {
    return computedOnce(new Fact("shape", a), () -> op("Shape", a));
  }

  /** Dimensions {@code start} up to but without {@code end} as a vector. */
  Value shape(Value a, int start, int end) {
    return op("Shape", Map.of("start", attr(start), "end", attr(end)), a);
  }

  /** Dimensions from {@code start} on as a vector. */
  Value shapeFrom(Value a, int start) {
    return op("Shape", Map.of("start", attr(start)), a);
  }

  /** Dimension {@code axis} as a scalar. */
  Value dim(Value a, int axis) {
    return computedOnce(new Fact("dim " + axis, a), () -> squeeze(shape(a, axis, axis + 1), 0));
  }

  /** A scalar as a vector. */
  Value asVector(Value scalar) {
    Long constant = shared.scalars.get(scalar);
    return constant == null
        ? computedOnce(new Fact("vector", scalar), () -> unsqueeze(scalar, 0))
        : i64s(constant);
  }

  /** The scalars as one vector. */
  Value vector(Value... scalars) {
    Value[] parts = new Value[scalars.length];
    for (int i = 0; i < scalars.length; i++) {
      parts[i] = asVector(scalars[i]);
    }
    return parts.length == 1 ? parts[0] : concat(0, parts);
  }

  /** {@code Reshape}; a dimension of 0 is 0, one dimension may be -1. */
  Value reshape(Value a, Value shape) {
    return op("Reshape", Map.of("allowzero", attr(1)), a, shape);
  }

  /** The elements as a vector. */
  Value flatten(Value a) {
    return op("Reshape", a, i64s(-1));
  }

  Value expand(Value a, Value shape) {
    return op("Expand", a, shape);
  }

  Value unsqueeze(Value a, long... axes) {
    return op("Unsqueeze", a, i64s(axes));
  }

  Value squeeze(Value a, long... axes) {
    return op("Squeeze", a, i64s(axes));
  }

  Value transpose(Value a, long... permutation) {
    return op("Transpose", Map.of("perm", ints(permutation)), a);
  }

  Value concat(int axis, Value... parts) {
    return op("Concat", Map.of("axis", attr(axis)), parts);
  }

  /** The numbers 0, 1, … up to but without {@code end}. */
  Value range(Value end) {
    return op("Range", i64(0), end, i64(1));
  }

  /** f32 zeros. */
  Value zeros(Value shape) {
    return op("ConstantOfShape", shape);
  }

  /** i64 of one value. */
  Value filled(long value, Value shape) {
    return op(
        "ConstantOfShape", Map.of("value", new Attribute.TensorValue(Tensor.vector(value))), shape);
  }

  // ---- selection --------------------------------------------------------------------------------

  /** {@code Gather} along the first axis. */
  Value gather(Value data, Value indices) {
    return op("Gather", data, indices);
  }

  /** Rows {@code start} up to but without {@code end} along the first axis. */
  Value slice(Value data, Value start, Value end) {
    return op("Slice", data, asVector(start), asVector(end));
  }

  /** Columns {@code start} up to but without {@code end}: along the second axis. */
  Value sliceColumns(Value data, Value start, Value end) {
    return op("Slice", data, asVector(start), asVector(end), i64s(1));
  }

  /** Indices {@code start} up to but without {@code end} along an axis. */
  Value slice(Value data, int axis, Value start, Value end) {
    return op("Slice", data, asVector(start), asVector(end), i64s(axis));
  }

  /** Rows where a vector of bools is true. */
  Value compress(Value data, Value condition) {
    return op("Compress", Map.of("axis", attr(0)), data, condition);
  }

  /** The indices at which a vector of bools is true, ascending, as a vector. */
  Value indicesOf(Value condition) {
    return squeeze(op("NonZero", condition), 0);
  }

  /** Appends rows of f32 0 up to {@code height} rows. */
  Value padRows(Value matrix, Value height) {
    Value missing = sub(height, dim(matrix, 0));
    return op("Pad", matrix, vector(i64(0), i64(0), missing, i64(0)));
  }

  /**
   * {@code data} with {@code rows[i]} in row {@code indices[i]}; the indices differ.
   *
   * <p>ONNX Runtime's ScatterND works on several threads. That is why sums use {@link #scatterAdd}.
   */
  Value scatterRows(Value data, Value indices, Value rows) {
    return op("ScatterND", data, unsqueeze(indices, 1), rows);
  }

  /** {@code data} with {@code updates} written at {@code indices} along an axis. */
  Value scatter(int axis, Value data, Value indices, Value updates) {
    return op("ScatterElements", Map.of("axis", attr(axis)), data, indices, updates);
  }

  /**
   * {@code data} with {@code updates} added at {@code indices} along the first axis, in the order
   * of the updates.
   */
  Value scatterAdd(Value data, Value indices, Value updates) {
    return op(
        "ScatterElements",
        Map.of("axis", attr(0), "reduction", new Attribute.StringValue("add")),
        data,
        indices,
        updates);
  }

  /** How often each number below {@code count} occurs in a vector of i64. */
  Value histogram(Value numbers, Value count) {
    Value ones = filled(1, shape(numbers));
    return scatterAdd(filled(0, asVector(count)), numbers, ones);
  }

  /**
   * Sorts along the last axis, equal elements in order of their index.
   *
   * @return the sorted elements and their indices
   */
  Sorted sort(Value data, Value count, boolean descending) {
    List<Value> outputs =
        node(
            "TopK",
            Map.of("largest", attr(descending ? 1 : 0), "sorted", attr(1)),
            2,
            data,
            asVector(count));
    return new Sorted(outputs.get(0), outputs.get(1));
  }

  /** Sorted elements and where they came from. */
  record Sorted(Value elements, Value indices) {}

  // ---- reductions and matrices ------------------------------------------------------------------

  /** Sum over an axis, which goes. */
  Value sum(Value a, int axis) {
    return op("ReduceSum", Map.of("keepdims", attr(0)), a, i64s(axis));
  }

  /** Maximum over an axis, which goes. */
  Value maxOver(Value a, int axis) {
    // Axes became an input in opset 18.
    return shared.opset < 18
        ? op(
            "ReduceMax",
            Map.of("axes", new Attribute.IntList(List.of((long) axis)), "keepdims", attr(0)),
            a)
        : op("ReduceMax", Map.of("keepdims", attr(0)), a, i64s(axis));
  }

  /** Mean over axes, which become 1. */
  Value mean(Value a, long... axes) {
    // Axes became an input in opset 18.
    return shared.opset < 18
        ? op("ReduceMean", Map.of("axes", ints(axes), "keepdims", attr(1)), a)
        : op("ReduceMean", Map.of("keepdims", attr(1)), a, i64s(axes));
  }

  /** Sums of the elements up to and including each, along an axis. */
  Value cumSum(Value a, int axis) {
    return op("CumSum", a, i64(axis));
  }

  /** Sums of the elements before each, along an axis. */
  Value cumSumBefore(Value a, int axis) {
    return op("CumSum", Map.of("exclusive", attr(1)), a, i64(axis));
  }

  /** Index of the least element of each row; the first of equals. */
  Value argMinRows(Value matrix) {
    return op("ArgMin", Map.of("axis", attr(1), "keepdims", attr(0)), matrix);
  }

  Value matMul(Value a, Value b) {
    return op("MatMul", a, b);
  }

  /** {@code factor a b^T}. */
  Value timesTransposed(Attribute factor, Value a, Value b) {
    return op("Gemm", Map.of("alpha", factor, "transB", attr(1)), a, b);
  }

  /** {@code factor a b^T + c}. */
  Value timesTransposedPlus(Attribute factor, Value a, Value b, Value c) {
    return op("Gemm", Map.of("alpha", factor, "transB", attr(1)), a, b, c);
  }

  /** {@code factor a b^T + c}. */
  Value timesTransposedPlus(float factor, Value a, Value b, Value c) {
    return timesTransposedPlus(new Attribute.FloatValue(factor), a, b, c);
  }

  /** A FLOAT attribute of the call, for use as a node's attribute. */
  static Attribute callAttribute(String name) {
    return new Attribute.Reference(name, FLOAT_ATTRIBUTE);
  }

  Value softmaxRows(Value matrix) {
    return op("Softmax", Map.of("axis", attr(-1)), matrix);
  }
}
