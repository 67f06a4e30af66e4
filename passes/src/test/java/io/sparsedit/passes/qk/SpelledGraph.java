package io.sparsedit.passes.qk;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Graph;
import io.sparsedit.compiler.ir.Model;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.compiler.ir.ValueType;
import io.sparsedit.passes.functions.NormKind;
import io.sparsedit.passes.functions.NormScope;
import io.sparsedit.passes.functions.RopeForm;
import io.sparsedit.passes.functions.RotatedTokens;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/**
 * A graph with one self-attention site whose Q and K are normalised and rotated, in a spelling that
 * is random: order of commutative inputs, operators, layouts, noise between them.
 */
final class SpelledGraph {
  /** What is planted in front of Q or K. */
  record Planted(
      NormKind norm,
      NormScope scope,
      boolean rope,
      RopeForm form,
      int lanes,
      RotatedTokens tokens) {
    /** As {@link #describe} says it of what is found. */
    String describe() {
      String first = norm == NormKind.NONE ? "no norm" : norm.attributeValue() + " " + scope;
      return first.toLowerCase(Locale.ROOT)
          + (rope ? " " + form + " " + lanes + " " + tokens : " no rope").toLowerCase(Locale.ROOT);
    }
  }

  /** One part, in the words of {@link Planted#describe}. */
  static String describe(Prepared prepared) {
    if (prepared.parts().size() != 1) {
      return prepared.parts().size() + " parts";
    }
    Prepared.Part part = prepared.parts().get(0);
    String norm = part.norm().map(n -> n.kind() + " " + n.scope()).orElse("no norm");
    String rope =
        part.rope()
            .map(r -> " " + r.form() + " " + r.lanes() + " " + r.tokens())
            .orElse(" no rope");
    return (norm + rope).toLowerCase(Locale.ROOT);
  }

  static final int TOKENS = 10;
  private static final int ROTATED = 7;
  private static final int HEAD_DIM = 8;

  private final Random random;
  private final Graph graph = Graph.create("spelled");
  private final int opset;
  private final int batch;
  private final int queryHeads;
  private final int inputWidth;
  private final Value video;

  /** Of what is being built: query heads may share key heads. */
  private int heads;

  private int width;
  private final Planted query;
  private final Planted key;

  /** ONNX Runtime does not load a spelled-out layer norm with casts to f64 around it. */
  private final boolean isLayerNorm;

  SpelledGraph(long seed) {
    random = new Random(seed);
    opset = List.of(17, 18, 23).get(random.nextInt(3));
    batch = 1 + random.nextInt(2);
    queryHeads = 1 + random.nextInt(4);
    List<Integer> divisors =
        IntStream.rangeClosed(1, queryHeads).filter(n -> queryHeads % n == 0).boxed().toList();
    int keyHeads =
        random.nextBoolean() ? queryHeads : divisors.get(random.nextInt(divisors.size()));
    inputWidth = queryHeads * HEAD_DIM;
    video = input("video", batch, TOKENS, inputWidth);
    build(queryHeads);
    query = planted();
    build(keyHeads);
    key = keyHeads != queryHeads || random.nextInt(3) == 0 ? planted() : query;
    isLayerNorm = query.norm() == NormKind.LAYER || key.norm() == NormKind.LAYER;
    build(queryHeads);
    Value q = prepared(query, "q");
    build(keyHeads);
    Value k = repeated(prepared(key, "k"));
    Value v = repeated(transpose(split(linear(video)), 0, 2, 1, 3));
    build(queryHeads);
    Value out = attention(q, k, v);
    out.rename("sample");
    out.setType(ValueType.TensorType.of(DataType.FLOAT, batch, heads, TOKENS, HEAD_DIM));
    graph.addOutput(out);
  }

  private void build(int count) {
    heads = count;
    width = count * HEAD_DIM;
  }

  /** Each key head for a group of query heads, [B,H,S,D]. */
  private Value repeated(Value keys) {
    int times = queryHeads / heads;
    if (times == 1) {
      return keys;
    }
    return switch (random.nextInt(5)) {
      case 0 -> noise(graph.append("Tile", keys, ints(1, times, 1, 1)));
      case 1 -> concat(1, Collections.nCopies(times, keys).toArray(new Value[0]));
      case 2 -> {
        long[] places = new long[queryHeads];
        Arrays.setAll(places, h -> h / times);
        yield noise(node("Gather", List.of(keys, ints(places)), "axis", 1));
      }
      default -> {
        Value apart = graph.append("Unsqueeze", keys, ints(2));
        Value expanded =
            random.nextBoolean()
                ? graph.append("Expand", apart, ints(batch, heads, times, TOKENS, HEAD_DIM))
                : graph.append("Tile", apart, ints(1, 1, times, 1, 1));
        yield reshape(noise(expanded), batch, queryHeads, TOKENS, HEAD_DIM);
      }
    };
  }

  Model model() {
    Model model = new Model(graph, opset == 23 ? 11 : 8);
    model.opsets().put("", (long) opset);
    model.opsets().put("com.microsoft", 1L);
    return model;
  }

  String plantedQuery() {
    return query.describe();
  }

  String plantedKey() {
    return key.describe();
  }

  private Planted planted() {
    NormKind norm = List.of(NormKind.values()).get(random.nextInt(3));
    NormScope scope = List.of(NormScope.values()).get(random.nextInt(2));
    boolean rope = random.nextInt(4) > 0;
    return new Planted(
        norm,
        // One head is the hidden size.
        heads == 1 ? NormScope.HEAD : scope,
        rope,
        List.of(RopeForm.values()).get(random.nextInt(2)),
        random.nextBoolean() ? HEAD_DIM : HEAD_DIM / 2,
        List.of(RotatedTokens.values()).get(random.nextInt(3)));
  }

  // ---- pieces -----------------------------------------------------------------------------------

  private Value input(String name, long... dims) {
    return graph.addInput(name, ValueType.TensorType.of(DataType.FLOAT, dims));
  }

  private Value weight(double mean, long... dims) {
    float[] elements = new float[(int) Tensor.elementCount(dims)];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = (float) (mean + random.nextGaussian() * 0.3);
    }
    return graph.addConstant("w", Tensor.ofFloats(dims, elements));
  }

  private Value number(double value) {
    return random.nextBoolean()
        ? graph.addConstant("c", Tensor.scalar((float) value))
        : graph.addConstant("c", Tensor.ofFloats(new long[] {1}, (float) value));
  }

  private Value ints(long... numbers) {
    return graph.addConstant("i", Tensor.vector(numbers));
  }

  private Value node(String type, List<Value> inputs, Object... attributes) {
    return node("", type, inputs, attributes);
  }

  private Value node(String domain, String type, List<Value> inputs, Object... attributes) {
    Node node = graph.addNode(domain, type, "", inputs);
    for (int i = 0; i < attributes.length; i += 2) {
      String name = (String) attributes[i];
      if (attributes[i + 1] instanceof Integer number) {
        node.setAttribute(name, number);
      } else if (attributes[i + 1] instanceof Float number) {
        node.setAttribute(name, number);
      } else {
        node.setAttribute(
            name,
            new Attribute.IntList(Arrays.stream((long[]) attributes[i + 1]).boxed().toList()));
      }
    }
    return node.addOutput(graph.freshName(type));
  }

  private Value noise(Value value) {
    Value v = value;
    while (random.nextInt(5) == 0) {
      v =
          random.nextBoolean() || isLayerNorm
              ? graph.append("Identity", v)
              : node(
                  "Cast",
                  List.of(node("Cast", List.of(v), "to", DataType.DOUBLE.code())),
                  "to",
                  DataType.FLOAT.code());
    }
    return v;
  }

  private Value commutative(String type, Value a, Value b) {
    return noise(random.nextBoolean() ? graph.append(type, a, b) : graph.append(type, b, a));
  }

  private Value mul(Value a, Value b) {
    return commutative("Mul", a, b);
  }

  private Value add(Value a, Value b) {
    return commutative("Add", a, b);
  }

  private Value neg(Value a) {
    return switch (random.nextInt(3)) {
      case 0 -> mul(a, number(-1));
      default -> noise(graph.append("Neg", a));
    };
  }

  private Value transpose(Value value, long... perm) {
    return noise(node("Transpose", List.of(value), "perm", perm));
  }

  private Value reshape(Value value, long... dims) {
    return noise(graph.append("Reshape", value, ints(dims)));
  }

  private Value slice(Value value, int axis, long from, long to, long step) {
    return noise(graph.append("Slice", value, ints(from), ints(to), ints(axis), ints(step)));
  }

  private Value concat(int axis, Value... parts) {
    return noise(node("Concat", List.of(parts), "axis", axis));
  }

  private Value linear(Value tokens) {
    Value product = noise(graph.append("MatMul", tokens, weight(0, inputWidth, width)));
    return random.nextBoolean() ? add(product, weight(0, width)) : product;
  }

  /** [B,S,H,D]. */
  private Value split(Value projected) {
    return reshape(projected, batch, -1, heads, HEAD_DIM);
  }

  // ---- norm -------------------------------------------------------------------------------------

  private Value mean(Value x) {
    return opset < 18
        ? node("ReduceMean", List.of(x), "axes", new long[] {-1}, "keepdims", 1)
        : node("ReduceMean", List.of(x, ints(-1)), "keepdims", 1);
  }

  private Value meanSquare(Value x, int size) {
    return switch (random.nextInt(4)) {
      case 0 -> mean(noise(graph.append("Mul", x, x)));
      case 1 -> {
        Value sum = node("ReduceSum", List.of(graph.append("Mul", x, x), ints(-1)), "keepdims", 1);
        yield graph.append("Div", sum, number(size));
      }
      default -> mean(noise(graph.append("Pow", x, number(2))));
    };
  }

  private Value scaledDown(Value x, Value square) {
    Value safe = add(square, number(1e-6));
    return switch (random.nextInt(4)) {
      case 0 -> graph.append("Div", x, noise(graph.append("Sqrt", safe)));
      case 1 -> mul(x, graph.append("Div", number(1), noise(graph.append("Sqrt", safe))));
      case 2 -> mul(x, graph.append("Pow", safe, number(-0.5)));
      default -> mul(x, graph.append("Reciprocal", noise(graph.append("Sqrt", safe))));
    };
  }

  /** x over its length, the root of the sum of the squares, or over something like it. */
  private Value byLength(Value x, int size) {
    Value length =
        opset < 18
            ? node("ReduceL2", List.of(x), "axes", new long[] {-1}, "keepdims", 1)
            : node("ReduceL2", List.of(x, ints(-1)), "keepdims", 1);
    Value least = graph.addConstant("least", Tensor.scalar(random.nextBoolean() ? 1e-12f : 2.5f));
    Value unit =
        switch (random.nextInt(11)) {
          case 0 -> graph.append("Div", x, length);
          case 1 -> graph.append("Div", x, expanded(graph.append("Clip", length, least), x));
          case 2 -> mul(x, graph.append("Reciprocal", commutative("Max", length, least)));
          case 3 -> graph.append("Div", x, add(length, number(0.01)));
          case 4 -> node("LpNormalization", List.of(x), "axis", -1, "p", 2);
          case 5 ->
              graph.append("Div", x, add(graph.append("Sqrt", meanSquare(x, size)), number(0.01)));
          case 6 -> {
            Value sum =
                node("ReduceSum", List.of(graph.append("Mul", x, x), ints(-1)), "keepdims", 1);
            yield scaledDown(x, noise(sum));
          }
          case 7 ->
              graph.append(
                  "Div", x, graph.append("Sqrt", graph.append("Clip", meanSquare(x, size), least)));
          case 8 -> {
            Value root = graph.append("Sqrt", graph.append("Clip", meanSquare(x, size), least));
            yield graph.append("Div", x, add(root, number(0.5)));
          }
          case 9 -> {
            Value root = graph.append("Sqrt", commutative("Max", meanSquare(x, size), least));
            yield graph.append("Div", x, commutative("Max", root, number(1.2)));
          }
          default -> graph.append("Div", x, graph.append("Sqrt", meanSquare(x, size)));
        };
    return random.nextBoolean() ? unit : mul(unit, number(Math.sqrt(size)));
  }

  private Value expanded(Value value, Value like) {
    return random.nextBoolean()
        ? value
        : graph.append("Expand", value, graph.append("Shape", like));
  }

  private Value norm(Value x, Planted planted, int size, boolean headsFirst) {
    if (planted.norm() == NormKind.NONE) {
      return x;
    }
    boolean rms = planted.norm() == NormKind.RMS;
    if (rms && random.nextInt(8) == 0) {
      return node(
          "SimplifiedLayerNormalization",
          List.of(x, weight(1, size)),
          "axis",
          -1,
          "epsilon",
          1e-6f);
    }
    if (random.nextInt(3) == 0 && (opset == 23 || !rms)) {
      Value weight = weight(1, size);
      if (rms) {
        return node("RMSNormalization", List.of(x, weight), "axis", -1, "epsilon", 1e-6f);
      }
      return random.nextBoolean()
          ? node("LayerNormalization", List.of(x, weight), "axis", -1)
          : node("LayerNormalization", List.of(x, weight, weight(0, size)), "axis", -1);
    }
    if (rms && random.nextInt(8) == 0) {
      // As JAX multiplies: the weight with one over the root first.
      Value root = graph.append("Sqrt", add(meanSquare(x, size), number(1e-6)));
      return mul(x, mul(graph.append("Reciprocal", root), weight(1, size)));
    }
    Value centred = rms ? x : noise(graph.append("Sub", x, mean(x)));
    Value normed =
        rms && random.nextBoolean()
            ? noise(byLength(x, size))
            : noise(scaledDown(centred, meanSquare(centred, size)));
    if (random.nextInt(4) == 0) {
      return normed;
    }
    boolean perHead =
        planted.scope() == NormScope.HEAD && size == HEAD_DIM && random.nextInt(4) == 0;
    Value weight = perHead ? perHeadWeight(headsFirst) : weight(1, size);
    Value weighted = mul(normed, weight);
    return !rms && random.nextBoolean() ? add(weighted, weight(0, size)) : weighted;
  }

  /** One weight for each lane of each head, in the layout of x. */
  private Value perHeadWeight(boolean headsFirst) {
    return headsFirst ? weight(1, heads, 1, HEAD_DIM) : weight(1, heads, HEAD_DIM);
  }

  // ---- rope -------------------------------------------------------------------------------------

  /** Q or K, [B,H,S,D]. */
  private Value prepared(Planted planted, String name) {
    boolean hidden = planted.scope() == NormScope.HIDDEN;
    Value projected = linear(video);
    Value x = hidden ? norm(projected, planted, width, false) : projected;
    x = split(x);
    boolean early = random.nextBoolean();
    x = early ? transpose(x, 0, 2, 1, 3) : x;
    x = hidden ? x : norm(x, planted, HEAD_DIM, early);
    x = planted.rope() ? rope(x, planted, early ? 2 : 1, name) : noise(x);
    return early ? x : transpose(x, 0, 2, 1, 3);
  }

  private Value rope(Value x, Planted planted, int tokenAxis, String name) {
    int rotated = planted.tokens() == RotatedTokens.ALL ? TOKENS : ROTATED;
    return switch (planted.tokens()) {
      case ALL -> lanes(x, planted, tokenAxis, rotated, name);
      case FIRST ->
          concat(
              tokenAxis,
              lanes(slice(x, tokenAxis, 0, rotated, 1), planted, tokenAxis, rotated, name),
              slice(x, tokenAxis, rotated, Long.MAX_VALUE, 1));
      case LAST -> {
        Value last = slice(x, tokenAxis, -rotated, Long.MAX_VALUE, 1);
        Value turned = lanes(last, planted, tokenAxis, rotated, name);
        if (random.nextBoolean()) {
          yield concat(tokenAxis, slice(x, tokenAxis, 0, -rotated, 1), turned);
        }
        long[] indices = new long[rotated];
        Arrays.setAll(indices, i -> TOKENS - rotated + i);
        // In place: the updates of a ScatterND along tokens need these in front.
        Value data = transpose(x, tokenAxis, 0, 3 - tokenAxis, 3);
        Value updates = transpose(turned, tokenAxis, 0, 3 - tokenAxis, 3);
        Value at = graph.addConstant("rows", Tensor.ofLongs(new long[] {rotated, 1}, indices));
        Value scattered = noise(graph.append("ScatterND", data, at, updates));
        yield tokenAxis == 1 ? transpose(scattered, 1, 0, 2, 3) : transpose(scattered, 1, 2, 0, 3);
      }
    };
  }

  private Value lanes(Value x, Planted planted, int tokenAxis, int rotated, String name) {
    if (planted.lanes() == HEAD_DIM) {
      return turned(x, planted, tokenAxis, rotated, name);
    }
    Value first = slice(x, 3, 0, planted.lanes(), 1);
    Value rest = slice(x, 3, planted.lanes(), HEAD_DIM, 1);
    return concat(3, turned(first, planted, tokenAxis, rotated, name), rest);
  }

  private Value turned(Value x, Planted planted, int tokenAxis, int rotated, String name) {
    int lanes = planted.lanes();
    boolean interleaved = planted.form() == RopeForm.INTERLEAVED;
    boolean isHeadsFirst = tokenAxis == 2;
    int choice = random.nextInt(5);
    if (choice == 0 && isHeadsFirst && lanes == HEAD_DIM && (opset == 23 || batch == 1)) {
      return operator(x, rotated, lanes, interleaved);
    }
    if (choice < 3) {
      Value cos = table(true, rotated, lanes, false, interleaved, tokenAxis, name);
      Value sin = table(false, rotated, lanes, false, interleaved, tokenAxis, name);
      return add(mul(x, cos), mul(quarterTurn(x, lanes, interleaved), sin));
    }
    // Halves apart, with one number a pair, as complex numbers are multiplied.
    Value cos = table(true, rotated, lanes / 2, true, interleaved, tokenAxis, name);
    Value sin = table(false, rotated, lanes / 2, true, interleaved, tokenAxis, name);
    Value first = interleaved ? slice(x, 3, 0, lanes, 2) : slice(x, 3, 0, lanes / 2, 1);
    Value second = interleaved ? slice(x, 3, 1, lanes, 2) : slice(x, 3, lanes / 2, lanes, 1);
    Value left = noise(graph.append("Sub", mul(first, cos), mul(second, sin)));
    Value right = add(mul(first, sin), mul(second, cos));
    if (!interleaved) {
      return concat(3, left, right);
    }
    if (choice == 3) {
      Value pairs =
          concat(
              4,
              graph.append("Unsqueeze", left, ints(-1)),
              graph.append("Unsqueeze", right, ints(4)));
      return noise(graph.append("Reshape", pairs, graph.append("Shape", x)));
    }
    return random.nextBoolean()
        ? scattered(x, left, right, lanes)
        : scatteredByGrid(x, left, right, lanes, rotated, tokenAxis);
  }

  /** The same with a constant that says of each element where it goes. */
  private Value scatteredByGrid(
      Value x, Value left, Value right, int lanes, int rotated, int tokenAxis) {
    int[] sizes = {batch, tokenAxis == 1 ? rotated : heads, tokenAxis == 1 ? heads : rotated};
    Value result = graph.append("ConstantOfShape", graph.append("Shape", x));
    for (int odd = 0; odd < 2; odd++) {
      int half = lanes / 2;
      long[] grid = new long[4 * batch * heads * rotated * half];
      for (int i = 0; i < grid.length / 4; i++) {
        grid[4 * i] = i / half / sizes[2] / sizes[1];
        grid[4 * i + 1] = i / half / sizes[2] % sizes[1];
        grid[4 * i + 2] = i / half % sizes[2];
        grid[4 * i + 3] = 2L * (i % half) + odd;
      }
      long[] dims = {sizes[0], sizes[1], sizes[2], half, 4};
      Value at = graph.addConstant("grid", Tensor.ofLongs(dims, grid));
      result = graph.append("ScatterND", result, at, odd == 0 ? left : right);
    }
    return noise(result);
  }

  /** The two of each pair written to even and odd lanes. */
  private Value scattered(Value x, Value left, Value right, int lanes) {
    Value zeros = graph.append("ConstantOfShape", graph.append("Shape", x));
    Value result = zeros;
    for (int odd = 0; odd < 2; odd++) {
      long[] places = new long[lanes / 2];
      int start = odd;
      Arrays.setAll(places, i -> 2 * i + start);
      Value row =
          graph.addConstant("lanes", Tensor.ofLongs(new long[] {1, 1, 1, lanes / 2}, places));
      Value at = graph.append("Expand", row, graph.append("Shape", left));
      result = node("ScatterElements", List.of(result, at, odd == 0 ? left : right), "axis", -1);
    }
    return noise(result);
  }

  private Value quarterTurn(Value x, int lanes, boolean interleaved) {
    long[] places = new long[lanes];
    float[] signs = new float[lanes];
    for (int i = 0; i < lanes; i++) {
      places[i] = interleaved ? i ^ 1 : (i + lanes / 2) % lanes;
      signs[i] = i < places[i] ? -1 : 1;
    }
    if (random.nextInt(3) == 0) {
      Value swapped = node("Gather", List.of(x, ints(places)), "axis", 3);
      return mul(swapped, graph.addConstant("signs", Tensor.ofFloats(new long[] {lanes}, signs)));
    }
    if (!interleaved) {
      Value first = slice(x, 3, 0, lanes / 2, 1);
      Value second = slice(x, 3, lanes / 2, lanes, 1);
      return concat(3, neg(second), first);
    }
    Value shape = graph.append("Shape", x);
    Value tail = ints(lanes / 2, 2);
    Value lead = graph.append("Slice", shape, ints(0), ints(3));
    Value pairs = graph.append("Reshape", x, node("Concat", List.of(lead, tail), "axis", 0));
    Value first = slice(pairs, 4, 0, 1, 1);
    Value second = slice(pairs, 4, 1, 2, 1);
    return noise(graph.append("Reshape", concat(4, neg(second), first), shape));
  }

  private Value operator(Value x, int rotated, int lanes, boolean interleaved) {
    int positions = 2 * TOKENS;
    Value cos = angles(true, positions, lanes / 2, i -> i);
    Value sin = angles(false, positions, lanes / 2, i -> i);
    if (opset == 23) {
      long[] ids = new long[batch * rotated];
      Arrays.setAll(ids, i -> random.nextInt(positions));
      Value at = graph.addConstant("ids", Tensor.ofLongs(new long[] {batch, rotated}, ids));
      return node("RotaryEmbedding", List.of(x, cos, sin, at), "interleaved", interleaved ? 1 : 0);
    }
    return node(
        "com.microsoft",
        "RotaryEmbedding",
        List.of(x, ints(3), cos, sin),
        "interleaved",
        interleaved ? 1 : 0);
  }

  // ---- tables -----------------------------------------------------------------------------------

  /** Cosines or sines of one number for each lane, or for each pair, to be broadcast over x. */
  private Value table(
      boolean cos,
      int rows,
      int columns,
      boolean paired,
      boolean interleaved,
      int tokenAxis,
      String name) {
    int half = paired ? columns : columns / 2;
    IntUnaryOperator pair = i -> paired ? i : interleaved ? i / 2 : i % half;
    Value table;
    switch (random.nextInt(3)) {
      case 0 -> table = angles(cos, rows, columns, pair);
      case 1 -> table = input(graph.freshName(name + (cos ? "_cos" : "_sin")), rows, columns);
      default -> {
        Value ids = input(graph.freshName(name + "_ids"), rows, 1);
        float[] frequencies = new float[columns];
        for (int i = 0; i < columns; i++) {
          frequencies[i] = (float) Math.pow(0.5, pair.applyAsInt(i));
        }
        Value row = graph.addConstant("f", Tensor.ofFloats(new long[] {1, columns}, frequencies));
        table = noise(graph.append(cos ? "Cos" : "Sin", mul(ids, row)));
      }
    }
    if (tokenAxis == 1) {
      return graph.append("Unsqueeze", table, ints(1));
    }
    return random.nextBoolean() ? table : graph.append("Unsqueeze", table, ints(0, 1));
  }

  private Value angles(boolean cos, int rows, int columns, IntUnaryOperator pair) {
    float[] elements = new float[rows * columns];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        double angle = r * Math.pow(0.5, pair.applyAsInt(c)) + 0.1;
        elements[r * columns + c] = (float) (cos ? Math.cos(angle) : Math.sin(angle));
      }
    }
    return graph.addConstant("table", Tensor.ofFloats(new long[] {rows, columns}, elements));
  }

  // ---- attention --------------------------------------------------------------------------------

  private Value attention(Value q, Value k, Value v) {
    if (opset == 23 && random.nextBoolean()) {
      return node("Attention", List.of(q, k, v));
    }
    Value scaled = graph.append("Mul", q, number(1 / Math.sqrt(HEAD_DIM)));
    Value scores = graph.append("MatMul", scaled, transpose(k, 0, 1, 3, 2));
    return graph.append("MatMul", node("Softmax", List.of(scores), "axis", -1), v);
  }
}
