package io.sparsedit.passes;

import static io.sparsedit.passes.SpelledGraph.BATCH;
import static io.sparsedit.passes.SpelledGraph.HEADS;
import static io.sparsedit.passes.SpelledGraph.HEAD_DIM;
import static io.sparsedit.passes.SpelledGraph.VIDEO;
import static io.sparsedit.passes.SpelledGraph.WIDTH;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.nio.ByteBuffer;
import java.util.List;

/** Attention as other tools than PyTorch's exporters write it, and as people do by hand. */
final class ExporterSpellingsTest extends SpelledAttention {
  private static final String SELF = "self 2 24 to 24";

  private static final String QUANTISED =
      ": its scores or probabilities are quantised: compile the model before it is quantised, or"
          + " quantise it without the matrix products of its attention";

  @Override
  void addSpellings() {
    flattened();
    oneByOne();
    layouts();
    masks();
    quantised();
    operators();
  }

  // ---- spellings --------------------------------------------------------------------------------

  private static Value attend(SpelledGraph g, Value scores, Value v) {
    return g.merged(g.op("MatMul", g.softmax(scores), v));
  }

  private void flattened() {
    add(
        "softmax of rows in a matrix",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value rows = g.reshape(g.scores(x[0], x[1]), BATCH * HEADS * VIDEO, VIDEO);
          Value p = g.node("Softmax", List.of(rows), "axis", 1);
          return g.merged(g.op("MatMul", g.reshape(p, BATCH, HEADS, VIDEO, VIDEO), x[2]));
        });
    add(
        "softmax of rows in a matrix, sizes computed",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value s = g.scores(x[0], x[1]);
          Value p = g.softmax(g.node("Flatten", List.of(s), "axis", 3));
          return g.merged(g.op("MatMul", g.op("Reshape", p, g.op("Shape", s)), x[2]));
        });
    add(
        "all heads in a batch, masked in [batch, heads, queries, keys]",
        17,
        SELF + " mask",
        g -> {
          Value[] x = g.qkv();
          Value q = g.reshape(x[0], BATCH * HEADS, VIDEO, HEAD_DIM);
          Value k = g.reshape(x[1], BATCH * HEADS, VIDEO, HEAD_DIM);
          Value v = g.reshape(x[2], BATCH * HEADS, VIDEO, HEAD_DIM);
          Value s = g.op("MatMul", q, g.transpose(k, 0, 2, 1));
          Value apart = g.reshape(s, BATCH, HEADS, VIDEO, VIDEO);
          Value masked = g.op("Add", apart, g.input("bias", BATCH, 1, 1, VIDEO));
          Value p = g.reshape(g.softmax(masked), BATCH * HEADS, VIDEO, VIDEO);
          Value out = g.op("MatMul", p, v);
          return g.merged(g.reshape(out, BATCH, HEADS, VIDEO, HEAD_DIM));
        });
  }

  private void oneByOne() {
    add(
        "one element of the batch after the other",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value[] parts = new Value[BATCH];
          for (int b = 0; b < BATCH; b++) {
            Value s = g.scores(g.slice(x[0], 0, b, b + 1), g.slice(x[1], 0, b, b + 1));
            parts[b] = g.op("MatMul", g.softmax(s), g.slice(x[2], 0, b, b + 1));
          }
          return g.merged(g.concat(0, parts));
        });
    add(
        "one head after the other, without an axis of heads",
        17,
        "self 1 24 to 24, self 1 24 to 24",
        g -> {
          Value[] x = {g.linear(g.tokens), g.linear(g.tokens), g.linear(g.tokens)};
          Value[] heads = new Value[HEADS];
          for (int h = 0; h < HEADS; h++) {
            long from = (long) h * HEAD_DIM;
            Value q = g.slice(x[0], 2, from, from + HEAD_DIM);
            Value k = g.slice(x[1], 2, from, from + HEAD_DIM);
            Value v = g.slice(x[2], 2, from, from + HEAD_DIM);
            Value s = g.op("Mul", g.op("MatMul", q, g.transpose(k, 0, 2, 1)), g.number(0.5));
            heads[h] = g.op("MatMul", g.softmax(s), v);
          }
          return g.concat(2, heads);
        });
    add(
        "matrices of one element of the batch and one head",
        17,
        "self 1 24 to 24, self 1 24 to 24, self 1 24 to 24, self 1 24 to 24",
        g -> {
          Value[] x = g.qkv();
          Value[] parts = new Value[BATCH * HEADS];
          for (int i = 0; i < parts.length; i++) {
            Value[] m = new Value[3];
            for (int t = 0; t < 3; t++) {
              Value one = g.slice(x[t], 0, i / HEADS, i / HEADS + 1);
              Value head = g.slice(one, 1, i % HEADS, i % HEADS + 1);
              m[t] = g.op("Squeeze", head, g.longs(0, 1));
            }
            Value s = g.node("Gemm", List.of(m[0], m[1]), "transB", 1, "alpha", 0.5f);
            parts[i] = g.op("Unsqueeze", g.op("MatMul", g.softmax(s), m[2]), g.longs(0));
          }
          return g.merged(g.reshape(g.concat(0, parts), BATCH, HEADS, VIDEO, HEAD_DIM));
        });
  }

  private void layouts() {
    add(
        "tokens before batch",
        17,
        "self 1 24 to 24",
        g -> {
          Value first = g.transpose(g.tokens, 1, 0, 2);
          Value[] x = new Value[3];
          for (int i = 0; i < 3; i++) {
            Value folded = g.reshape(g.linear(first), VIDEO, BATCH * HEADS, HEAD_DIM);
            x[i] = g.transpose(folded, 1, 0, 2);
          }
          Value q = g.op("Mul", x[0], g.number(0.5));
          Value p = g.softmax(g.op("MatMul", q, g.transpose(x[1], 0, 2, 1)));
          Value out = g.transpose(g.op("MatMul", p, x[2]), 1, 0, 2);
          return g.transpose(g.reshape(out, VIDEO, BATCH, WIDTH), 1, 0, 2);
        });
    add(
        "heads innermost",
        17,
        SELF,
        g -> {
          Value[] x = new Value[3];
          for (int i = 0; i < 3; i++) {
            Value apart = g.reshape(g.linear(g.tokens), BATCH, VIDEO, HEAD_DIM, HEADS);
            x[i] = g.transpose(apart, 0, 3, 1, 2);
          }
          Value out = g.op("MatMul", g.softmax(g.scores(x[0], x[1])), x[2]);
          return g.reshape(g.transpose(out, 0, 2, 3, 1), BATCH, VIDEO, WIDTH);
        });
    add(
        "channels first, as convolutions leave them",
        17,
        SELF,
        g -> {
          Value columns = g.transpose(g.tokens, 0, 2, 1);
          Value[] x = new Value[3];
          for (int i = 0; i < 3; i++) {
            Value conv = g.op("Conv", columns, g.weight(WIDTH, WIDTH, 1), g.weight(WIDTH));
            x[i] = g.reshape(conv, BATCH, HEADS, HEAD_DIM, VIDEO);
          }
          Value q = g.transpose(x[0], 0, 1, 3, 2);
          Value p = g.softmax(g.op("Mul", g.op("MatMul", q, x[1]), g.number(0.5)));
          Value out = g.op("MatMul", p, g.transpose(x[2], 0, 1, 3, 2));
          return g.merged(out);
        });
    add(
        "keys that are joined from pairs of lanes and turned [batch * heads, tokens, head dimension]",
        18,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value turned = g.transpose(folded(g, pairs(g, x[1])), 0, 2, 1);
          Value kt = g.reshape(turned, BATCH, HEADS, HEAD_DIM, VIDEO);
          return attend(g, g.op("MatMul", g.op("Mul", x[0], g.number(0.5)), kt), x[2]);
        });
    add(
        "[batch * heads, tokens, head dimension], of which the values alone are split in sight",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value q = folded(g, pairs(g, x[0]));
          Value k = folded(g, pairs(g, x[1]));
          Value v = g.reshape(x[2], BATCH * HEADS, VIDEO, HEAD_DIM);
          Value scores = g.op("MatMul", q, g.transpose(k, 0, 2, 1));
          Value p = g.softmax(g.op("Mul", scores, g.number(0.5)));
          return g.merged(g.reshape(g.op("MatMul", p, v), BATCH, HEADS, VIDEO, HEAD_DIM));
        });
    add(
        "Einsum as JAX names its axes, division on the queries",
        17,
        SELF,
        g -> {
          Value q = g.op("Div", g.heads(g.tokens), g.number(2));
          Value s = g.einsum("bthd,bThd->bhtT", q, g.heads(g.tokens));
          return g.einsum("bhtT,bThd->bthd", g.softmax(s), g.heads(g.tokens));
        });
  }

  /** [B,H,S,D] to what is left of it when a rotation has joined pairs of lanes, [B,H,S,D/2,2]. */
  private static Value pairs(SpelledGraph g, Value x) {
    Value lanes = g.reshape(x, BATCH, HEADS, VIDEO, HEAD_DIM / 2, 2);
    return g.concat(4, g.op("Neg", g.slice(lanes, 4, 1, 2)), g.slice(lanes, 4, 0, 1));
  }

  private static Value folded(SpelledGraph g, Value pairs) {
    return g.reshape(pairs, BATCH * HEADS, VIDEO, HEAD_DIM);
  }

  private void masks() {
    addInexact(
        "a mask that is multiplied, and its complement added",
        17,
        "none: found input",
        g -> {
          Value[] x = g.qkv();
          Value m = keep(g);
          Value far = g.op("Mul", g.op("Sub", m, g.number(1)), g.number(1e9));
          return attend(g, g.op("Add", g.op("Mul", g.scores(x[0], x[1]), m), far), x[2]);
        });
    add(
        "a sliding window as a constant mask",
        17,
        SELF + " mask",
        g -> {
          Value[] x = g.qkv();
          float[] band = new float[VIDEO * VIDEO];
          for (int i = 0; i < band.length; i++) {
            band[i] = Math.abs(i / VIDEO - i % VIDEO) < 4 ? 0 : Float.NEGATIVE_INFINITY;
          }
          Value mask =
              g.graph.addConstant("band", Tensor.ofFloats(new long[] {VIDEO, VIDEO}, band));
          return attend(g, g.op("Add", g.scores(x[0], x[1]), mask), x[2]);
        });
    add(
        "a triangle",
        17,
        SELF + " mask",
        g -> {
          Value[] x = g.qkv();
          Value s = g.scores(x[0], x[1]);
          Value ones = g.op("Expand", g.number(-1e9), g.longs(VIDEO, VIDEO));
          Value mask = g.node("Trilu", List.of(ones, g.scalar(1)), "upper", 1);
          return attend(g, g.op("Add", s, mask), x[2]);
        });
    addInexact(
        "probabilities that a mask multiplies",
        17,
        "none: found Mul",
        g -> {
          Value[] x = g.qkv();
          Value p = g.op("Mul", g.softmax(g.scores(x[0], x[1])), keep(g));
          return g.merged(g.op("MatMul", p, x[2]));
        });
    addInexact(
        "a sink that no value belongs to",
        17,
        "none: found Slice",
        g -> {
          Value[] x = g.qkv();
          Value sink = g.op("Expand", g.weight(HEADS, 1, 1), g.longs(BATCH, HEADS, VIDEO, 1));
          Value p = g.softmax(g.concat(3, g.scores(x[0], x[1]), sink));
          return g.merged(g.op("MatMul", g.slice(p, 3, 0, VIDEO), x[2]));
        });
  }

  /** 1 for each key that counts, [B,1,1,S]. */
  private static Value keep(SpelledGraph g) {
    float[] elements = new float[BATCH * VIDEO];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = i % 7 == 3 ? 0 : 1;
    }
    return g.input(
        "keep", DataType.FLOAT, Tensor.ofFloats(new long[] {BATCH, 1, 1, VIDEO}, elements));
  }

  private void quantised() {
    add(
        "weights in eight bits",
        17,
        SELF,
        g -> {
          Value[] x = new Value[3];
          for (int i = 0; i < 3; i++) {
            Value projected = g.op("MatMul", g.tokens, dequantised(g, WIDTH, WIDTH));
            x[i] = g.transpose(g.reshape(projected, BATCH, VIDEO, HEADS, HEAD_DIM), 0, 2, 1, 3);
          }
          return attend(g, g.scores(x[0], x[1]), x[2]);
        });
    add(
        "queries, keys and values rounded to eight bits",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value k = rounded(g, g.transpose(rounded(g, x[1]), 0, 1, 3, 2));
          Value s = g.op("Mul", g.op("MatMul", rounded(g, x[0]), k), g.number(0.5));
          return attend(g, s, rounded(g, x[2]));
        });
    addInexact(
        "probabilities rounded to eight bits",
        17,
        SELF + QUANTISED,
        g -> {
          Value[] x = g.qkv();
          Value p = rounded(g, g.softmax(g.scores(x[0], x[1])));
          return g.merged(g.op("MatMul", p, x[2]));
        });
    addInexact(
        "scores rounded to eight bits",
        17,
        SELF + QUANTISED,
        g -> {
          Value[] x = g.qkv();
          return attend(g, rounded(g, g.scores(x[0], x[1])), x[2]);
        });
  }

  private static Value dequantised(SpelledGraph g, int rows, int columns) {
    byte[] numbers = new byte[rows * columns];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = (byte) (i * 37 % 101 - 50);
    }
    Tensor weight = Tensor.raw(DataType.INT8, new long[] {rows, columns}, ByteBuffer.wrap(numbers));
    return g.op("DequantizeLinear", g.graph.addConstant("w8", weight), g.number(0.01));
  }

  private static Value rounded(SpelledGraph g, Value value) {
    Value scale = g.number(0.02);
    Value zero =
        g.graph.addConstant("zero", Tensor.raw(DataType.INT8, new long[0], ByteBuffer.allocate(1)));
    return g.op("DequantizeLinear", g.op("QuantizeLinear", value, scale, zero), scale, zero);
  }

  private void operators() {
    add(
        "Attention of ONNX Runtime whose values are wider",
        17,
        SELF,
        g -> {
          Value out =
              g.node(
                  "com.microsoft.Attention",
                  List.of(g.tokens, g.weight(WIDTH, 2 * WIDTH + 12), g.weight(2 * WIDTH + 12)),
                  "num_heads",
                  HEADS);
          out.producer()
              .orElseThrow()
              .setAttribute("qkv_hidden_sizes", new Attribute.IntList(List.of(8L, 8L, 12L)));
          return g.slice(out, 2, 0, WIDTH);
        });
    add(
        "Attention 23, two query heads for each of two key heads",
        23,
        "self 4 24 to 24",
        g -> {
          Value q = g.reshape(g.linear(g.tokens, 2 * WIDTH), BATCH, VIDEO, 4, HEAD_DIM);
          Value out =
              g.node(
                  "Attention",
                  List.of(g.transpose(q, 0, 2, 1, 3), g.bhsd(g.tokens), g.bhsd(g.tokens)));
          return g.slice(g.reshape(g.merged(out), BATCH, VIDEO, 2 * WIDTH), 2, 0, WIDTH);
        });
    addInexact(
        "Attention 23 whose scores are an output too",
        23,
        "none: more than the result is read of it: scores or a cache of keys and values",
        g -> {
          Value out = g.node("Attention", List.of(g.qkv()));
          Node node = out.producer().orElseThrow();
          node.addOutput("");
          node.addOutput("");
          Value scores = node.addOutput("scores");
          Value mean = g.op("ReduceMean", scores);
          return g.merged(g.op("Add", out, mean));
        });
    addInexact(
        "GroupQueryAttention of q, k and v in one tensor",
        17,
        "self 4 24 to 24: it is causal: each token sees only those before it",
        g -> {
          // Heads have 8 channels, as the operator demands.
          Tensor last = Tensor.ofInts(new long[] {BATCH}, VIDEO - 1, VIDEO - 1);
          Value out =
              g.withGaps(
                  "com.microsoft.GroupQueryAttention",
                  g.linear(g.tokens, 8 * 8),
                  null,
                  null,
                  null,
                  null,
                  g.input("last", DataType.INT32, last),
                  g.input("all", DataType.INT32, Tensor.ofInts(new long[0], VIDEO)));
          Node node = out.producer().orElseThrow();
          node.setAttribute("num_heads", 4);
          node.setAttribute("kv_num_heads", 2);
          return g.slice(out, 2, 0, WIDTH);
        });
  }
}
