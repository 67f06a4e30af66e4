package io.sparsedit.compiler.shape;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** One node as its rule sees it: facts of the inputs, bound attributes, outputs to fill. */
final class Call {
  /** Integer tensors up to this size stand for themselves where nothing else is known. */
  private static final int MAX_DATA_ELEMENTS = 8;

  private final Engine engine;
  private final Node node;
  private final List<Fact> outputs;

  Call(Engine engine, Node node) {
    this.engine = engine;
    this.node = node;
    this.outputs = new ArrayList<>(Collections.nCopies(node.outputs().size(), Fact.NOTHING));
  }

  Node node() {
    return node;
  }

  Engine engine() {
    return engine;
  }

  /** Version of the operator set that the node's domain has here. */
  long opset() {
    return engine.opset(node.domain());
  }

  // ---- inputs -----------------------------------------------------------------------------------

  boolean has(int index) {
    return node.input(index).filter(v -> !engine.isAbsent(v)).isPresent();
  }

  int inputCount() {
    return node.inputCount();
  }

  Fact fact(int index) {
    return node.input(index).map(engine::fact).orElse(Fact.NOTHING);
  }

  DataType type(int index) {
    return fact(index).type();
  }

  /** The first known type among the inputs. */
  DataType firstType(int... indices) {
    for (int index : indices) {
      if (type(index) != DataType.UNDEFINED) {
        return type(index);
      }
    }
    return DataType.UNDEFINED;
  }

  Optional<Shape> knownShape(int index) {
    return Optional.ofNullable(fact(index).shape());
  }

  Shape shape(int index) {
    return knownShape(index).orElseThrow(() -> unknown("the rank of " + name(index)));
  }

  /** The elements as far as they are known; empty if nothing is or they are many. */
  Optional<Partial> knownValue(int index) {
    return node.input(index).flatMap(engine::partial);
  }

  /** As {@link #knownValue}, but unknown elements of small integer tensors stand for themselves. */
  Optional<Partial> value(int index) {
    Optional<Partial> known = knownValue(index);
    return known.isPresent() ? known : node.input(index).flatMap(engine::data);
  }

  /** Whether something is known of the elements; cheap. */
  boolean hasValue(int index) {
    Fact fact = fact(index);
    return fact.value() != null || fact.tensor() != null;
  }

  /** The elements of an integer scalar or vector, each known or unknown. */
  List<Scalar> elements(int index) {
    return value(index)
        .map(Partial::elements)
        .orElseThrow(() -> unknown("the elements of " + name(index)));
  }

  /** The elements of an integer scalar or vector of numbers. */
  long[] numbers(int index) {
    return elements(index).stream()
        .mapToLong(e -> e.number().orElseThrow(() -> unknown("the elements of " + name(index))))
        .toArray();
  }

  // ---- attributes -------------------------------------------------------------------------------

  Optional<Attribute> attribute(String name) {
    return node.attribute(name).flatMap(engine::bound);
  }

  long longAttribute(String name, long defaultValue) {
    return attribute(name).orElse(null) instanceof Attribute.IntValue i ? i.value() : defaultValue;
  }

  int intAttribute(String name, int defaultValue) {
    return Math.toIntExact(longAttribute(name, defaultValue));
  }

  String stringAttribute(String name, String defaultValue) {
    return attribute(name).orElse(null) instanceof Attribute.StringValue s
        ? s.value()
        : defaultValue;
  }

  Optional<long[]> longsAttribute(String name) {
    return attribute(name).orElse(null) instanceof Attribute.IntList list
        ? Optional.of(list.values().stream().mapToLong(Long::longValue).toArray())
        : Optional.empty();
  }

  Graph graphAttribute(String name) {
    if (attribute(name).orElse(null) instanceof Attribute.GraphValue graph) {
      return graph.value();
    }
    throw unknown("attribute " + name);
  }

  /** The type that an attribute names by its code. */
  DataType typeAttribute(String name, DataType defaultType) {
    long code = longAttribute(name, 0);
    return code == 0 ? defaultType : DataType.ofCode((int) code);
  }

  /** Axes of an attribute or, in later operator sets, of an input; empty where there are none. */
  Optional<long[]> axes(int inputIndex) {
    Optional<long[]> attribute = longsAttribute("axes");
    if (attribute.isPresent() || !has(inputIndex)) {
      return attribute;
    }
    return Optional.of(numbers(inputIndex));
  }

  /** The axis as an index from 0. */
  int axis(long axis, int rank) {
    long normal = axis < 0 ? axis + rank : axis;
    if (normal < 0 || normal >= rank) {
      throw invalid("a tensor of rank " + rank + " has no axis " + axis);
    }
    return (int) normal;
  }

  // ---- outputs ----------------------------------------------------------------------------------

  int outputCount() {
    return outputs.size();
  }

  boolean hasOutput(int index) {
    return index < outputs.size();
  }

  void type(int index, DataType type) {
    if (hasOutput(index)) {
      outputs.set(index, outputs.get(index).withType(type));
    }
  }

  void shape(int index, Shape shape) {
    if (hasOutput(index)) {
      outputs.set(index, outputs.get(index).withShape(shape));
    }
  }

  void set(int index, DataType type, Shape shape) {
    type(index, type);
    shape(index, shape);
  }

  void set(int index, Fact fact) {
    if (hasOutput(index)) {
      outputs.set(index, fact);
    }
  }

  void value(int index, Partial value) {
    if (hasOutput(index)) {
      outputs.set(index, outputs.get(index).withValue(value));
    }
  }

  /** Whether the output's sizes are numbers and small enough for its elements to be followed. */
  boolean follows(int index) {
    Shape shape = outputs.get(index).shape();
    return shape != null
        && shape.sizes().filter(s -> Partial.fits(outputs.get(index).type(), s)).isPresent();
  }

  /** The sizes of an output that is followed. */
  long[] sizes(int index) {
    Shape shape = outputs.get(index).shape();
    return Optional.ofNullable(shape).flatMap(Shape::sizes).orElseThrow();
  }

  /** The shape that the rule has set for the first output. */
  Shape shape0() {
    return Optional.ofNullable(outputs.get(0).shape()).orElseThrow();
  }

  /** A dimension of an output that only a run can tell. */
  Dim fresh(int outputIndex, int axis) {
    return engine.unknownDim(node.output(outputIndex), axis);
  }

  /** A shape of the given rank, of which nothing else is known. */
  Shape freshShape(int outputIndex, int rank) {
    List<Dim> dims = new ArrayList<>();
    for (int i = 0; i < rank; i++) {
      dims.add(fresh(outputIndex, i));
    }
    return new Shape(dims);
  }

  Fact output(int index) {
    return outputs.get(index);
  }

  /** An exception that says what is not known. */
  ShapeRule.Unknown unknown(String what) {
    return new ShapeRule.Unknown(what + " is not known");
  }

  /** An exception that says what is wrong with the node. */
  ShapeRule.Unknown invalid(String reason) {
    return new ShapeRule.Unknown(reason, true);
  }

  String name(int index) {
    return node.input(index)
        .map(v -> "input '" + v.name() + "'")
        .orElse("input " + index + ", which is absent,");
  }

  static boolean isSmallInteger(Fact fact) {
    Shape shape = fact.shape();
    if (shape == null || !(fact.type() == DataType.INT64 || fact.type() == DataType.INT32)) {
      return false;
    }
    OptionalLong count = shape.elementCount().constant();
    return count.isPresent() && count.getAsLong() <= MAX_DATA_ELEMENTS && shape.rank() <= 1;
  }

  /** The tensor of a TENSOR attribute. */
  Optional<Tensor> tensorAttribute(String name) {
    return attribute(name).orElse(null) instanceof Attribute.TensorValue tensor
        ? Optional.of(tensor.value())
        : Optional.empty();
  }
}
