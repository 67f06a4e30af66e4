package io.sparsedit.compiler.legal;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.HalfFloat;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;

/**
 * Writes standard nodes in front of another, and puts results in its place.
 *
 * @param before the node that they stand before
 * @param opset the model's default operator set, which decides how some operators are spelled
 */
record Emit(Node before, long opset) {
  /**
   * From this operator set on, ReduceSum reads its axes as an input, and so do Squeeze and so on.
   */
  private static final long AXES_OF_SUM = 13;

  /** From this operator set on, the other reductions read their axes as an input. */
  private static final long AXES_OF_OTHERS = 18;

  /** A default-domain node with one output. */
  Value node(String type, Value... inputs) {
    return before.graph().insertBefore(before, type, inputs);
  }

  /** A constant under a fresh name. */
  Value constant(String hint, Tensor tensor) {
    return root().addConstant(hint, tensor);
  }

  /** Constants stand in the main graph: TensorRT takes them there from everywhere. */
  private Graph root() {
    Graph graph = before.graph();
    while (graph.parent().isPresent()) {
      graph = graph.parent().get();
    }
    return graph;
  }

  /** An i64 vector. */
  Value ints(String hint, long... elements) {
    return constant(hint, Tensor.vector(elements));
  }

  /**
   * A scalar of a floating-point type.
   *
   * @throws IllegalArgumentException for a type that is none of f32, f16, bf16, f64
   */
  Value real(String hint, double element, DataType type) {
    ByteBuffer bytes = ByteBuffer.allocate(type.bits() / Byte.SIZE).order(ByteOrder.LITTLE_ENDIAN);
    switch (type) {
      case FLOAT -> bytes.putFloat(0, (float) element);
      case DOUBLE -> bytes.putDouble(0, element);
      case FLOAT16 -> bytes.putShort(0, HalfFloat.fromFloat((float) element));
      case BFLOAT16 -> bytes.putShort(0, bfloat16((float) element));
      default -> throw new IllegalArgumentException("no real number is " + type.shortName());
    }
    return constant(hint, Tensor.raw(type, new long[0], bytes));
  }

  /** The bfloat16 bits nearest to a float, ties to even. */
  static short bfloat16(float element) {
    int bits = Float.floatToRawIntBits(element);
    if (Float.isFinite(element)) {
      bits += 0x7fff + (bits >>> 16 & 1);
    }
    return (short) (bits >>> 16);
  }

  /** The smallest finite number of a floating-point type. */
  static double lowest(DataType type) {
    return switch (type) {
      case FLOAT16 -> -65504;
      case BFLOAT16 -> -0x1.FEp127;
      case DOUBLE -> -Double.MAX_VALUE;
      default -> -Float.MAX_VALUE;
    };
  }

  /** A conversion; the value itself if it has the type already. */
  Value cast(Value value, DataType from, DataType to) {
    return from == to ? value : cast(value, to);
  }

  /** A conversion. */
  Value cast(Value value, DataType to) {
    Value cast = node("Cast", value);
    owner(cast).setAttribute("to", to.code());
    return cast;
  }

  /** A transposition. */
  Value transpose(Value value, long... perm) {
    Value turned = node("Transpose", value);
    owner(turned).setAttribute("perm", list(perm));
    return turned;
  }

  /** Another shape; 0 keeps a dimension, -1 is what is left. */
  Value reshape(Value value, long... dims) {
    return node("Reshape", value, ints("shape", dims));
  }

  /** Axes of size 1 at the given places of the result. */
  Value unsqueeze(Value value, long... axes) {
    return axes("Unsqueeze", value, opset >= AXES_OF_SUM, axes);
  }

  /** Without the given axes, which have size 1. */
  Value squeeze(Value value, long... axes) {
    return axes("Squeeze", value, opset >= AXES_OF_SUM, axes);
  }

  /** A reduction over the given axes, which stay with size 1. */
  Value reduce(String type, Value value, long... axes) {
    boolean input = opset >= (type.equals("ReduceSum") ? AXES_OF_SUM : AXES_OF_OTHERS);
    Value reduced = axes(type, value, input, axes);
    owner(reduced).setAttribute("keepdims", 1);
    return reduced;
  }

  private Value axes(String type, Value value, boolean input, long... axes) {
    if (input) {
      return node(type, value, ints("axes", axes));
    }
    Value result = node(type, value);
    owner(result).setAttribute("axes", list(axes));
    return result;
  }

  /** A part along one axis, from {@code start} to before {@code end}. */
  Value slice(Value value, long axis, long start, long end) {
    return node("Slice", value, ints("start", start), ints("end", end), ints("axis", axis));
  }

  /** Every so many-th element along one axis. */
  Value every(Value value, long axis, long start, long step) {
    return node(
        "Slice",
        value,
        ints("start", start),
        ints("end", Long.MAX_VALUE),
        ints("axis", axis),
        ints("step", step));
  }

  /** Several values side by side. */
  Value concat(long axis, Value... values) {
    Value joined = node("Concat", values);
    owner(joined).setAttribute("axis", axis);
    return joined;
  }

  /** A softmax over the last axis. */
  Value softmax(Value value) {
    Value result = node("Softmax", value);
    owner(result).setAttribute("axis", -1);
    return result;
  }

  /** The size along one axis as an i64 vector of one element. */
  Value size(Value value, long axis) {
    return node("Gather", node("Shape", value), ints("axis", axis));
  }

  /** The node that computes what this has written. */
  static Node owner(Value value) {
    return value.producer().orElseThrow();
  }

  private static Attribute.IntList list(long... elements) {
    return new Attribute.IntList(Arrays.stream(elements).boxed().toList());
  }

  /**
   * Makes readers of the node's outputs read the results, which take over names and declared types,
   * and removes the node.
   *
   * @param results a value for each output that is used
   */
  void replace(List<Value> results) {
    List<Node> named = List.of();
    for (Value result : results) {
      named = result.producer().filter(p -> p.name().isEmpty()).map(List::of).orElse(named);
    }
    // TensorRT names layers after nodes: the last one of what stands for a node keeps its name.
    named.forEach(node -> node.setName(before.name()));
    before.replaceWith(results);
  }

  /**
   * 0, 1, 2 and so on.
   *
   * @param size how many, i64 [1]
   */
  Value range(Value size) {
    return node(
        "Range",
        constant("start", Tensor.scalar(0L)),
        squeeze(size, 0),
        constant("step", Tensor.scalar(1L)));
  }
}
