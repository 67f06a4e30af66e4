package io.sparsedit.passes;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A small video transformer with one attention, whose spelling is a test's: patch embedding to 3 x
 * 4 x 2 tokens, projections, attention, output projection, un-patchify.
 */
final class SpelledGraph {
  static final int BATCH = 2;
  static final int VIDEO = 24;
  static final int TEXT = 5;
  static final int HEADS = 2;
  static final int HEAD_DIM = 4;
  static final int WIDTH = HEADS * HEAD_DIM;

  final Graph graph = Graph.create("spelled");
  final Value video;
  final Value text;

  /** Video tokens, [B,S,C]. */
  final Value tokens;

  private final Map<String, Tensor> inputs = new HashMap<>();
  private final Random random = new Random(7);
  private final int opset;

  private SpelledGraph(int opset) {
    this.opset = opset;
    video = input("video", BATCH, 3, 3, 8, 4);
    text = input("text", BATCH, TEXT, WIDTH);
    Node conv = graph.addNode("", "Conv", "", List.of(video, weight(WIDTH, 3, 1, 2, 2)));
    conv.setAttribute("strides", new Attribute.IntList(List.of(1L, 2L, 2L)));
    Value patches = reshape(conv.addOutput("patches"), BATCH, WIDTH, VIDEO);
    tokens = transpose(patches, 0, 2, 1);
  }

  /**
   * The model.
   *
   * @param opset version of the default operator set
   * @param attention from the graph to the attention's result, [B,S,H,D] or [B,S,C]
   */
  static SpelledGraph of(int opset, Function<SpelledGraph, Value> attention) {
    SpelledGraph spelled = new SpelledGraph(opset);
    Value out = spelled.reshape(attention.apply(spelled), BATCH, VIDEO, WIDTH);
    Value projected = spelled.linear(out);
    Value columns = spelled.transpose(projected, 0, 2, 1);
    Value sample = spelled.reshape(columns, BATCH, WIDTH, 3, 4, 2);
    sample.setType(ValueType.TensorType.of(DataType.FLOAT, BATCH, WIDTH, 3, 4, 2));
    spelled.graph.addOutput(sample);
    return spelled;
  }

  /** The patch embedding and what a test makes of its tokens, nothing behind it. */
  static SpelledGraph bare(int opset, Function<SpelledGraph, Value> build) {
    SpelledGraph spelled = new SpelledGraph(opset);
    Value out = build.apply(spelled);
    out.setType(new ValueType.TensorType(DataType.FLOAT, Optional.empty()));
    spelled.graph.addOutput(out);
    return spelled;
  }

  /** The model; its nodes all have names, as those of exporters do. */
  Model model() {
    int count = 0;
    for (Node node : graph.nodes()) {
      if (node.name().isEmpty()) {
        node.setName("node_" + count++);
      }
    }
    Model model = new Model(graph, 10);
    model.opsets().put("", (long) opset);
    model.opsets().put("com.microsoft", 1L);
    return model;
  }

  Map<String, Tensor> inputs() {
    return inputs;
  }

  // ---- pieces -----------------------------------------------------------------------------------

  Value input(String name, long... dims) {
    inputs.put(name, numbers(dims));
    return graph.addInput(name, ValueType.TensorType.of(DataType.FLOAT, dims));
  }

  Value input(String name, DataType type, Tensor tensor) {
    inputs.put(name, tensor);
    return graph.addInput(name, ValueType.TensorType.of(type, tensor.dims()));
  }

  private Tensor numbers(long... dims) {
    float[] elements = new float[(int) Tensor.elementCount(dims)];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = (float) random.nextGaussian() * 0.4f;
    }
    return Tensor.ofFloats(dims, elements);
  }

  Value weight(long... dims) {
    return graph.addConstant("w", numbers(dims));
  }

  Value number(double value) {
    return graph.addConstant("c", Tensor.scalar((float) value));
  }

  Value scalar(long element) {
    return graph.addConstant("i", Tensor.scalar(element));
  }

  Value longs(long... elements) {
    return graph.addConstant("i", Tensor.vector(elements));
  }

  /** A node; attributes as name, value, ... */
  Value node(String type, List<Value> in, Object... attributes) {
    int dot = type.lastIndexOf('.');
    Node node =
        graph.addNode(dot < 0 ? "" : type.substring(0, dot), type.substring(dot + 1), "", in);
    for (int i = 0; i < attributes.length; i += 2) {
      String name = (String) attributes[i];
      Object value = attributes[i + 1];
      if (value instanceof Integer integer) {
        node.setAttribute(name, integer);
      } else if (value instanceof Float real) {
        node.setAttribute(name, real);
      } else if (value instanceof String words) {
        node.setAttribute(name, words);
      } else {
        List<Long> list = new ArrayList<>();
        for (long item : (long[]) value) {
          list.add(item);
        }
        node.setAttribute(name, new Attribute.IntList(list));
      }
    }
    return node.addOutput(graph.freshName(type.substring(dot + 1)));
  }

  /** A node some of whose inputs are absent. */
  Value withGaps(String type, @Nullable Value... in) {
    Value out = node(type, List.of());
    Node node = out.producer().orElseThrow();
    for (int i = 0; i < in.length; i++) {
      if (in[i] == null) {
        node.clearInput(i);
      } else {
        node.setInput(i, in[i]);
      }
    }
    return out;
  }

  Value op(String type, Value... in) {
    return graph.append(type, in);
  }

  Value transpose(Value value, long... perm) {
    return node("Transpose", List.of(value), "perm", perm);
  }

  Value reshape(Value value, long... dims) {
    return op("Reshape", value, longs(dims));
  }

  Value einsum(String equation, Value... operands) {
    return node("Einsum", List.of(operands), "equation", equation);
  }

  Value softmax(Value scores) {
    return node("Softmax", List.of(scores), "axis", -1);
  }

  Value slice(Value value, int axis, long from, long to) {
    return op("Slice", value, longs(from), longs(to), longs(axis));
  }

  Value concat(int axis, Value... parts) {
    return node("Concat", List.of(parts), "axis", axis);
  }

  /** [B,S,C] to [B,S,C] with a bias. */
  Value linear(Value value) {
    return linear(value, WIDTH);
  }

  /** [B,S,C] to [B,S,width] with a bias. */
  Value linear(Value value, int width) {
    return op("Add", op("MatMul", value, weight(WIDTH, width)), weight(width));
  }

  /** [B,S,C] to [B,S,H,D]. */
  Value heads(Value value) {
    return reshape(linear(value), BATCH, -1, HEADS, HEAD_DIM);
  }

  /** [B,S,C] to [B,H,S,D]. */
  Value bhsd(Value value) {
    return transpose(heads(value), 0, 2, 1, 3);
  }

  /** q, k and v from video tokens, [B,H,S,D]. */
  Value[] qkv() {
    return new Value[] {bhsd(tokens), bhsd(tokens), bhsd(tokens)};
  }

  /** [B,H,S,D] to [B,S,H,D]. */
  Value merged(Value heads) {
    return transpose(heads, 0, 2, 1, 3);
  }

  /** Scores of queries and keys in [B,H,S,D], scaled. */
  Value scores(Value q, Value k) {
    return op("Mul", op("MatMul", q, transpose(k, 0, 1, 3, 2)), number(0.5));
  }
}
