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
import java.util.List;
import java.util.Random;

/**
 * A graph with attention planted in it, and things that look like it: every choice of spelling is
 * random, so is noise between the operators.
 */
final class RandomGraph {
  /** What was planted, as {@link #describe} spells a site. */
  final List<String> planted = new ArrayList<>();

  private static final int VIDEO = 12;
  private static final int TEXT = 5;
  private static final int HEAD_DIM = 4;

  private final Random random;
  private final Graph graph = Graph.create("random");
  private final int opset;
  private final int batch;
  private final int heads;
  private final int width;
  private Value video;
  private Value text;
  private final Value padding;

  RandomGraph(long seed) {
    random = new Random(seed);
    opset = random.nextBoolean() ? 17 : 23;
    batch = 1 + random.nextInt(2);
    heads = 1 + random.nextInt(3);
    width = heads * HEAD_DIM;
    video = input("video", batch, VIDEO, width);
    text = input("text", batch, TEXT, width);
    padding = input("padding", batch, 1, 1, TEXT);
    Value firstVideo = video;
    int blocks = 2 + random.nextInt(4);
    for (int i = 0; i < blocks; i++) {
      if (random.nextInt(3) == 0) {
        decoy();
      } else {
        plant();
      }
    }
    Value out = graph.append("Add", video, firstVideo);
    out.rename("sample");
    out.setType(ValueType.TensorType.of(DataType.FLOAT, batch, VIDEO, width));
    // Without a reader the last text would be dead, and so would its attention.
    Value lastText = graph.append("Neg", text);
    lastText.setType(ValueType.TensorType.of(DataType.FLOAT, batch, TEXT, width));
    graph.addOutput(lastText);
    List<Value> extra = new ArrayList<>(graph.outputs());
    graph.addOutput(out);
    // The sample comes first, as in every model.
    for (int i = 0; i < extra.size(); i++) {
      graph.setOutput(i + 1, extra.get(i));
    }
    graph.setOutput(0, out);
  }

  Model model() {
    Model model = new Model(graph, opset == 17 ? 8 : 11);
    model.opsets().put("", (long) opset);
    model.opsets().put("com.microsoft", 1L);
    return model;
  }

  /** Such as {@code cross 2x4 12 to 5 mask}. */
  static String describe(Site site) {
    Site.Shape shape = site.shape();
    return describe(
        site.kind(),
        shape.heads().toString(),
        shape.queryTokens().toString(),
        shape.keyTokens().toString(),
        site.masked());
  }

  private static String describe(
      SiteKind kind, String heads, String queries, String keys, boolean mask) {
    return kind.label() + " " + heads + " " + queries + " to " + keys + (mask ? " mask" : "");
  }

  // ---- pieces -----------------------------------------------------------------------------------

  private Value input(String name, long... dims) {
    return graph.addInput(name, ValueType.TensorType.of(DataType.FLOAT, dims));
  }

  private Value weight(long... dims) {
    float[] elements = new float[(int) Tensor.elementCount(dims)];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = (float) random.nextGaussian() * 0.3f;
    }
    return graph.addConstant("w", Tensor.ofFloats(dims, elements));
  }

  private Value number(double value) {
    return random.nextBoolean()
        ? graph.addConstant("c", Tensor.scalar((float) value))
        : graph.addConstant("c", Tensor.ofFloats(new long[] {1}, (float) value));
  }

  private Value node(String type, List<Value> inputs, Object... attributes) {
    int dot = type.lastIndexOf('.');
    String domain = dot < 0 ? "" : type.substring(0, dot);
    Node node = graph.addNode(domain, type.substring(dot + 1), "", inputs);
    for (int i = 0; i < attributes.length; i += 2) {
      String name = (String) attributes[i];
      if (attributes[i + 1] instanceof Integer number) {
        node.setAttribute(name, number);
      } else if (attributes[i + 1] instanceof String words) {
        node.setAttribute(name, words);
      } else {
        node.setAttribute(name, new Attribute.IntList(listOf(attributes[i + 1])));
      }
    }
    return node.addOutput(graph.freshName(node.opType()));
  }

  private static List<Long> listOf(Object longs) {
    List<Long> list = new ArrayList<>();
    for (long l : (long[]) longs) {
      list.add(l);
    }
    return list;
  }

  private Value transpose(Value value, long... perm) {
    return noise(node("Transpose", List.of(value), "perm", perm));
  }

  private Value reshape(Value value, long... dims) {
    return node("Reshape", List.of(value, graph.addConstant("shape", Tensor.vector(dims))));
  }

  /** Operators that change nothing. */
  private Value noise(Value value) {
    Value v = value;
    while (random.nextInt(4) == 0) {
      v =
          switch (random.nextInt(4)) {
            case 0 -> graph.append("Identity", v);
            case 1 -> node("Cast", List.of(v), "to", DataType.FLOAT.code());
            case 2 ->
                node(
                    "Cast",
                    List.of(node("Cast", List.of(v), "to", DataType.DOUBLE.code())),
                    "to",
                    DataType.FLOAT.code());
            default -> graph.append("Add", shuffled(v, number(0)));
          };
    }
    return v;
  }

  private Value[] shuffled(Value a, Value b) {
    return random.nextBoolean() ? new Value[] {a, b} : new Value[] {b, a};
  }

  private Value scaled(Value value, double factor) {
    return noise(
        random.nextBoolean()
            ? graph.append("Mul", shuffled(value, number(factor)))
            : graph.append("Div", value, number(1 / factor)));
  }

  private Value linear(Value tokens, int outputs) {
    if (random.nextInt(4) == 0) {
      Value rows = noise(reshape(tokens, -1, width));
      Value flat = graph.append("Gemm", rows, weight(width, outputs), weight(outputs));
      return reshape(noise(flat), batch, -1, outputs);
    }
    Value product = noise(graph.append("MatMul", tokens, weight(width, outputs)));
    return random.nextBoolean()
        ? noise(graph.append("Add", shuffled(product, weight(outputs))))
        : product;
  }

  private Value norm(Value tokens) {
    return noise(
        node("LayerNormalization", List.of(tokens, weight(width), weight(width)), "axis", -1));
  }

  /** [B,S,H,D]. */
  private Value split(Value projected) {
    return noise(reshape(projected, batch, -1, heads, HEAD_DIM));
  }

  // ---- attention --------------------------------------------------------------------------------

  private void plant() {
    switch (random.nextInt(4)) {
      case 0 -> {
        Value tokens = norm(video);
        video = residual(video, attention(tokens, tokens, VIDEO, VIDEO, false));
        planted(SiteKind.SELF, VIDEO, VIDEO, false);
      }
      case 1 -> {
        boolean mask = random.nextBoolean();
        video = residual(video, attention(norm(video), text, VIDEO, TEXT, mask));
        planted(SiteKind.CROSS, VIDEO, TEXT, mask);
      }
      case 2 -> {
        boolean mask = random.nextBoolean();
        Value tokens = norm(text);
        text = residual(text, attention(tokens, tokens, TEXT, TEXT, mask));
        planted(SiteKind.TEXT, TEXT, TEXT, mask);
      }
      default -> joint();
    }
  }

  private void planted(SiteKind kind, int queries, int keys, boolean mask) {
    planted.add(describe(kind, "" + heads, "" + queries, "" + keys, mask));
  }

  private void joint() {
    boolean textFirst = random.nextBoolean();
    List<Value> parts = textFirst ? List.of(text, video) : List.of(video, text);
    Value tokens = norm(node("Concat", parts, "axis", 1));
    int all = VIDEO + TEXT;
    Value out = attention(tokens, tokens, all, all, false);
    int cut = textFirst ? TEXT : VIDEO;
    Value head = slice(out, 0, cut);
    Value tail = slice(out, cut, Long.MAX_VALUE);
    video = residual(video, textFirst ? tail : head);
    text = residual(text, textFirst ? head : tail);
    planted(SiteKind.JOINT, all, all, false);
  }

  private Value slice(Value tokens, long from, long to) {
    return graph.append(
        "Slice",
        tokens,
        graph.addConstant("starts", Tensor.vector(from)),
        graph.addConstant("ends", Tensor.vector(to)),
        graph.addConstant("axes", Tensor.vector(1)));
  }

  private Value residual(Value tokens, Value change) {
    return noise(graph.append("Add", shuffled(tokens, change)));
  }

  private Value attention(Value from, Value to, int queries, int keys, boolean mask) {
    Value heads =
        switch (random.nextInt(mask ? 3 : 6)) {
          case 0 -> einsum(from, to, mask);
          case 1 -> columns(from, to, mask);
          case 3 -> chunks(from, to, queries);
          case 4 -> fused(from, to);
          default -> separate(from, to, queries, keys, mask);
        };
    Value merged = reshape(noise(heads), batch, -1, width);
    return linear(merged, width);
  }

  /** [B,S,H,D], by two products or the operator of opset 23. */
  private Value separate(Value from, Value to, int queries, int keys, boolean mask) {
    Value q = split(linear(from, width));
    Value k = split(linear(to, width));
    Value v = split(linear(to, width));
    Value out;
    if (opset == 23 && random.nextInt(3) == 0) {
      List<Value> inputs = new ArrayList<>();
      for (Value value : List.of(q, k, v)) {
        inputs.add(transpose(value, 0, 2, 1, 3));
      }
      if (mask) {
        inputs.add(bias(4));
      }
      out = node("Attention", inputs);
    } else {
      out = core(q, k, v, queries, keys, mask);
    }
    return transpose(noise(out), 0, 2, 1, 3);
  }

  /** [B,S,H,D], by two Einsums in one of several orders of letters. */
  private Value einsum(Value from, Value to, boolean mask) {
    String[][] orders = {
      {"bihd,bjhd->bhij", "bhij,bjhd->bihd"},
      {"bjhd,bihd->bhij", "bhij,bjhd->bihd"},
      {"bihd,bjhd->bhij", "bjhd,bhij->bihd"},
      {"xqhc,xkhc->xhqk", "xhqk,xkhc->xqhc"}
    };
    String[] order = orders[random.nextInt(orders.length)];
    Value q = split(linear(from, width));
    Value k = split(linear(to, width));
    boolean swapped = order[0].startsWith("bj");
    List<Value> operands = swapped ? List.of(k, q) : List.of(q, k);
    Value scores = scaled(node("Einsum", operands, "equation", order[0]), 0.5);
    Value p = noise(softmax(mask ? masked(scores, 4) : scores, -1));
    Value v = split(linear(to, width));
    List<Value> parts = order[1].startsWith("bj") ? List.of(v, p) : List.of(p, v);
    return node("Einsum", parts, "equation", order[1]);
  }

  /** [B,S,H,D], with queries as the columns of the scores. */
  private Value columns(Value from, Value to, boolean mask) {
    Value q = transpose(split(linear(from, width)), 0, 2, 3, 1);
    Value k = transpose(split(linear(to, width)), 0, 2, 1, 3);
    Value v = transpose(split(linear(to, width)), 0, 2, 3, 1);
    Value scores = scaled(graph.append("MatMul", k, q), 0.5);
    if (mask) {
      Value rows = node("Transpose", List.of(bias(4)), "perm", new long[] {0, 1, 3, 2});
      scores = graph.append("Add", shuffled(scores, rows));
    }
    Value p = noise(softmax(scores, 2));
    return transpose(graph.append("MatMul", v, p), 0, 3, 1, 2);
  }

  /** [B,S,H,D], some queries after the others. */
  private Value chunks(Value from, Value to, int queries) {
    Value q = transpose(split(linear(from, width)), 0, 2, 1, 3);
    Value k = transpose(split(linear(to, width)), 0, 2, 3, 1);
    Value v = transpose(split(linear(to, width)), 0, 2, 1, 3);
    int cut = 1 + random.nextInt(queries - 1);
    List<Value> parts = new ArrayList<>();
    for (int[] range : new int[][] {{0, cut}, {cut, queries}}) {
      Value some =
          graph.append(
              "Slice",
              q,
              graph.addConstant("starts", Tensor.vector(range[0])),
              graph.addConstant("ends", Tensor.vector(range[1])),
              graph.addConstant("axes", Tensor.vector(2)));
      Value half = graph.addConstant("half", Tensor.scalar(0.5f));
      Value scores = graph.append("Mul", graph.append("MatMul", some, k), half);
      parts.add(graph.append("MatMul", softmax(scores, -1), v));
    }
    return transpose(node("Concat", parts, "axis", 2), 0, 2, 1, 3);
  }

  /** [B,S,H*D], by an operator that splits heads itself. */
  private Value fused(Value from, Value to) {
    List<Value> inputs = List.of(linear(from, width), linear(to, width), linear(to, width));
    return opset == 23 && random.nextBoolean()
        ? node("Attention", inputs, "q_num_heads", heads, "kv_num_heads", heads)
        : node("com.microsoft.MultiHeadAttention", inputs, "num_heads", heads);
  }

  /** Softmax as an operator, or spelt out. */
  private Value softmax(Value scores, int axis) {
    return switch (random.nextInt(5)) {
      case 0 -> {
        Value e = graph.append("Exp", scores);
        yield graph.append("Div", e, reduced("ReduceSum", e, axis));
      }
      case 1 -> {
        Value e =
            graph.append("Exp", graph.append("Sub", scores, reduced("ReduceMax", scores, axis)));
        Value one = graph.append("Reciprocal", reduced("ReduceSum", e, axis));
        yield graph.append("Mul", shuffled(e, one));
      }
      case 2 -> graph.append("Exp", node("LogSoftmax", List.of(scores), "axis", axis));
      default -> node("Softmax", List.of(scores), "axis", axis);
    };
  }

  private Value reduced(String type, Value value, int axis) {
    return type.equals("ReduceSum") || opset >= 18
        ? graph.append(type, value, graph.addConstant("axes", Tensor.vector(axis)))
        : node(type, List.of(value), "axes", new long[] {axis});
  }

  /** Additive: (1 - padding) * -10000. */
  private Value bias(int rank) {
    Value dropped = graph.append("Sub", number(1), padding);
    Value wide = graph.append("Mul", shuffled(dropped, number(-10000)));
    if (rank == 4) {
      return wide;
    }
    Value all =
        graph.append("Expand", wide, graph.addConstant("to", Tensor.vector(batch, heads, 1, TEXT)));
    return reshape(all, (long) batch * heads, 1, TEXT);
  }

  private Value core(Value q, Value k, Value v, int queries, int keys, boolean mask) {
    boolean folded = random.nextInt(3) == 0;
    Value query = transpose(q, 0, 2, 1, 3);
    Value value = transpose(v, 0, 2, 1, 3);
    Value columns;
    if (folded) {
      query = noise(reshape(query, -1, queries, HEAD_DIM));
      value = noise(reshape(value, -1, keys, HEAD_DIM));
      Value key = reshape(transpose(k, 0, 2, 1, 3), -1, keys, HEAD_DIM);
      columns = transpose(key, 0, 2, 1);
    } else if (random.nextBoolean()) {
      columns = transpose(k, 0, 2, 3, 1);
    } else {
      columns = transpose(transpose(k, 0, 2, 1, 3), 0, 1, 3, 2);
    }
    int where = random.nextInt(4);
    if (where == 0) {
      query = scaled(query, 0.5);
    } else if (where == 1) {
      query = scaled(query, Math.sqrt(0.5));
      columns = scaled(columns, Math.sqrt(0.5));
    } else if (where == 2) {
      columns = scaled(columns, 0.5);
    }
    Value scores = noise(graph.append("MatMul", query, columns));
    if (where == 3) {
      scores = scaled(scores, 0.5);
    }
    if (mask) {
      scores = noise(masked(scores, folded ? 3 : 4));
    } else if (random.nextInt(3) == 0) {
      scores = graph.append("Add", shuffled(scores, zerosLike(scores)));
    }
    Value probabilities = softmax(scores, -1);
    if (random.nextInt(3) == 0) {
      Value bad = graph.append("IsNaN", probabilities);
      probabilities = graph.append("Where", bad, number(0), probabilities);
    }
    Value out = graph.append("MatMul", noise(probabilities), value);
    return folded ? reshape(noise(out), batch, heads, queries, HEAD_DIM) : out;
  }

  private Value zerosLike(Value scores) {
    return graph.append(
        "Mul", graph.append("ConstantOfShape", graph.append("Shape", scores)), number(0));
  }

  private Value masked(Value scores, int rank) {
    if (rank == 3 || random.nextBoolean()) {
      return graph.append("Add", shuffled(scores, bias(rank)));
    }
    Value keep = graph.append("Greater", padding, number(0.5));
    return random.nextBoolean()
        ? graph.append("Where", keep, scores, number(-1e9))
        : graph.append("Where", graph.append("Not", keep), number(-1e9), scores);
  }

  // ---- decoys -----------------------------------------------------------------------------------

  private void decoy() {
    switch (random.nextInt(9)) {
      case 0 -> classifier();
      case 1 -> pooling();
      case 2 -> gating();
      case 3 -> convolution();
      case 4 -> linearAttention();
      case 5 -> similarity();
      case 6 -> rectified();
      case 7 -> channelGate();
      default -> learnedPooling();
    }
  }

  /** Softmax of queries over channels, of keys over tokens: linear in the number of tokens. */
  private void linearAttention() {
    Value q = transpose(split(linear(video, width)), 0, 2, 1, 3);
    Value k = transpose(split(linear(video, width)), 0, 2, 1, 3);
    Value v = transpose(split(linear(video, width)), 0, 2, 1, 3);
    Value columns = node("Transpose", List.of(softmax(k, 2)), "perm", new long[] {0, 1, 3, 2});
    Value context = noise(graph.append("MatMul", columns, v));
    Value out = transpose(graph.append("MatMul", noise(softmax(q, -1)), context), 0, 2, 1, 3);
    video = residual(video, reshape(out, batch, VIDEO, width));
  }

  /** Cosine similarity of all tokens, without a softmax. */
  private void similarity() {
    Value unit = node("LpNormalization", List.of(linear(video, width)), "axis", -1, "p", 2);
    Value scores = scaled(graph.append("MatMul", unit, transpose(unit, 0, 2, 1)), 0.1);
    video = residual(video, graph.append("MatMul", scores, linear(video, width)));
  }

  /** Attention with ReLU in the place of softmax. */
  private void rectified() {
    Value q = linear(video, width);
    Value scores = graph.append("MatMul", q, transpose(linear(video, width), 0, 2, 1));
    Value weights = scaled(graph.append("Relu", scores), 0.1);
    video = residual(video, graph.append("MatMul", weights, linear(video, width)));
  }

  /** Softmax over channels, times the channels. */
  private void channelGate() {
    Value gate = noise(softmax(linear(video, width), -1));
    video = residual(video, graph.append("Mul", shuffled(gate, video)));
  }

  private void classifier() {
    Value classes = node("Softmax", List.of(linear(video, 7)), "axis", -1);
    classes.setType(ValueType.TensorType.of(DataType.FLOAT, batch, VIDEO, 7));
    graph.addOutput(classes);
  }

  /** Tokens weighted by softmax(x w) over tokens. */
  private void pooling() {
    Value weights = node("Softmax", List.of(linear(video, 1)), "axis", 1);
    Value pooled = graph.append("MatMul", transpose(weights, 0, 2, 1), video);
    video = residual(video, pooled);
  }

  /** The same with a learned query, softmax(w xᵀ) x. */
  private void learnedPooling() {
    Value scores = graph.append("MatMul", weight(1, 1, width), transpose(video, 0, 2, 1));
    Value weights = node("Softmax", List.of(noise(scores)), "axis", -1);
    video = residual(video, graph.append("MatMul", noise(weights), video));
  }

  /** A dense mixture of experts' vectors. */
  private void gating() {
    Value gates = noise(node("Softmax", List.of(linear(video, 3)), "axis", -1));
    Value experts = random.nextBoolean() ? weight(3, width) : weight(batch, 3, width);
    video = residual(video, graph.append("MatMul", gates, experts));
  }

  /** Softmax over space of a convolution's output. */
  private void convolution() {
    Value image = reshape(transpose(video, 0, 2, 1), batch, width, 3, 4);
    Value map =
        node("Conv", List.of(image, weight(1, width, 1, 1)), "kernel_shape", new long[] {1, 1});
    Value weights = node("Softmax", List.of(reshape(map, batch, 1, 12)), "axis", -1);
    Value weighted = graph.append("Mul", image, reshape(weights, batch, 1, 3, 4));
    video = residual(video, transpose(reshape(weighted, batch, width, 12), 0, 2, 1));
  }
}
