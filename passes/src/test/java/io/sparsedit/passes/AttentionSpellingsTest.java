package io.sparsedit.passes;

import static io.sparsedit.passes.SpelledGraph.BATCH;
import static io.sparsedit.passes.SpelledGraph.HEADS;
import static io.sparsedit.passes.SpelledGraph.HEAD_DIM;
import static io.sparsedit.passes.SpelledGraph.TEXT;
import static io.sparsedit.passes.SpelledGraph.VIDEO;
import static io.sparsedit.passes.SpelledGraph.WIDTH;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.Tensor;
import io.sparsedit.compiler.ir.Value;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Attention in every spelling that is known: found with its kind and sizes; after every pass the
 * graph is well formed and computes what it did; taken back, the site is what the exporter wrote.
 */
final class AttentionSpellingsTest extends SpelledAttention {
  private static final String SELF = "self 2 24 to 24";
  private static final String CROSS = "cross 2 24 to 5";
  private static final double ROOT = Math.sqrt(0.5);

  @Override
  void addSpellings() {
    scales();
    softmaxes();
    layouts();
    einsums();
    masks();
    grouped();
    onnxOperator();
    microsoftOperators();
    projections();
  }

  // ---- spellings --------------------------------------------------------------------------------

  private void scales() {
    add(
        "scale after the product",
        17,
        SELF,
        g -> core(g, q -> q, k -> k, s -> g.op("Mul", s, g.number(0.5))));
    add(
        "scale by division",
        17,
        SELF,
        g -> core(g, q -> q, k -> k, s -> g.op("Div", s, g.number(2))));
    add(
        "scale on the queries",
        17,
        SELF,
        g -> core(g, q -> g.op("Mul", g.number(0.5), q), k -> k, s -> s));
    add(
        "scale on the keys",
        17,
        SELF,
        g -> core(g, q -> q, k -> g.op("Div", k, g.number(2)), s -> s));
    add(
        "root of the scale on both sides",
        17,
        SELF,
        g ->
            core(
                g,
                q -> g.op("Mul", q, g.number(ROOT)),
                k -> g.op("Mul", k, g.number(ROOT)),
                s -> s));
    add("no scale: folded into weights", 17, SELF, g -> core(g, q -> q, k -> k, s -> s));
    add(
        "a temperature for each head",
        17,
        SELF,
        g -> core(g, q -> q, k -> k, s -> g.op("Mul", s, g.weight(HEADS, 1, 1))));
    add(
        "a scale that the model computes",
        17,
        SELF,
        g -> core(g, q -> q, k -> k, s -> g.op("Mul", g.op("Exp", g.op("ReduceMean", g.text)), s)));
    add(
        "cosine attention",
        17,
        SELF,
        g -> core(g, q -> unit(g, q), k -> unit(g, k), s -> g.op("Mul", s, g.number(10))));
    add(
        "ONNX Runtime's fused product",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value s =
              g.node("com.microsoft.FusedMatMul", List.of(x[0], x[1]), "transB", 1, "alpha", 0.5f);
          return g.merged(g.node("com.microsoft.FusedMatMul", List.of(g.softmax(s), x[2])));
        });
    addInexact(
        "scores capped by tanh",
        17,
        SELF + ": its scores are capped by tanh (softcap 3.0)",
        g ->
            core(
                g,
                q -> q,
                k -> k,
                s -> g.op("Mul", g.op("Tanh", g.op("Div", s, g.number(3))), g.number(3))));
  }

  private static Value unit(SpelledGraph g, Value x) {
    Value norm = g.node("ReduceL2", List.of(x), "axes", new long[] {-1}, "keepdims", 1);
    return g.op("Div", x, norm);
  }

  private static Value core(
      SpelledGraph g,
      Function<Value, Value> onQuery,
      Function<Value, Value> onKey,
      Function<Value, Value> onScores) {
    Value[] x = g.qkv();
    Value k = g.transpose(onKey.apply(x[1]), 0, 1, 3, 2);
    Value scores = onScores.apply(g.op("MatMul", onQuery.apply(x[0]), k));
    return g.merged(g.op("MatMul", g.softmax(scores), x[2]));
  }

  private void softmaxes() {
    add(
        "exp over its sum",
        17,
        SELF,
        g ->
            withSoftmax(
                g,
                s -> {
                  Value e = g.op("Exp", s);
                  return g.op("Div", e, sum(g, e));
                }));
    add(
        "exp of the distance to the maximum",
        17,
        SELF,
        g ->
            withSoftmax(
                g,
                s -> {
                  Value top = g.node("ReduceMax", List.of(s), "axes", new long[] {-1});
                  Value e = g.op("Exp", g.op("Sub", s, top));
                  return g.op("Div", e, sum(g, e));
                }));
    add(
        "exp times one over the sum",
        17,
        SELF,
        g ->
            withSoftmax(
                g,
                s -> {
                  Value e = g.op("Exp", s);
                  return g.op("Mul", g.op("Reciprocal", sum(g, e)), e);
                }));
    add(
        "exp of log-softmax",
        17,
        SELF,
        g -> withSoftmax(g, s -> g.op("Exp", g.node("LogSoftmax", List.of(s), "axis", 3))));
    add(
        "exp of the distance to log-sum-exp",
        17,
        SELF,
        g ->
            withSoftmax(
                g,
                s ->
                    g.op(
                        "Exp",
                        g.op(
                            "Sub",
                            s,
                            g.node("ReduceLogSumExp", List.of(s), "axes", new long[] {3})))));
    add(
        "normalised after the second product",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value e = g.op("Exp", g.scores(x[0], x[1]));
          return g.merged(g.op("Div", g.op("MatMul", e, x[2]), sum(g, e)));
        });
    add(
        "guarded against rows without keys",
        17,
        SELF,
        g ->
            withSoftmax(
                g,
                s -> {
                  Value p = g.softmax(s);
                  return g.op("Where", g.op("IsNaN", p), g.number(0), p);
                }));
    add("dropout for inference", 17, SELF, g -> withSoftmax(g, s -> g.op("Dropout", g.softmax(s))));
    add(
        "softmax in double precision",
        17,
        SELF,
        g ->
            withSoftmax(
                g,
                s -> {
                  Value wide = g.node("Cast", List.of(s), "to", DataType.DOUBLE.code());
                  return g.node("Cast", List.of(g.softmax(wide)), "to", DataType.FLOAT.code());
                }));
  }

  private static Value sum(SpelledGraph g, Value e) {
    return g.op("ReduceSum", e, g.longs(-1));
  }

  private static Value withSoftmax(SpelledGraph g, Function<Value, Value> softmax) {
    Value[] x = g.qkv();
    return g.merged(g.op("MatMul", softmax.apply(g.scores(x[0], x[1])), x[2]));
  }

  private void layouts() {
    add(
        "queries are the columns",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value s = g.op("Mul", g.op("MatMul", x[1], g.transpose(x[0], 0, 1, 3, 2)), g.number(0.5));
          Value p = g.node("Softmax", List.of(s), "axis", 2);
          Value out = g.op("MatMul", g.transpose(x[2], 0, 1, 3, 2), p);
          return g.transpose(out, 0, 3, 1, 2);
        });
    add(
        "queries are the columns of the scores alone, with a mask",
        17,
        CROSS + " mask",
        g -> {
          Value q = g.bhsd(g.tokens);
          Value k = g.bhsd(g.text);
          Value v = g.bhsd(g.text);
          Value s = g.op("MatMul", k, g.transpose(q, 0, 1, 3, 2));
          Value masked =
              g.op("Add", g.op("Div", s, g.number(2)), g.input("bias", BATCH, 1, TEXT, 1));
          Value p = g.node("Softmax", List.of(masked), "axis", -2);
          Value guarded = g.op("Where", g.op("IsNaN", p), g.number(0), p);
          return g.merged(g.op("MatMul", g.transpose(guarded, 0, 1, 3, 2), v));
        });
    add(
        "scores turned to [B,S,H,S]",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value s = g.transpose(g.scores(x[0], x[1]), 0, 2, 1, 3);
          return g.merged(g.op("MatMul", g.transpose(g.softmax(s), 0, 2, 1, 3), x[2]));
        });
    add(
        "softmax over the last axis by turning",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value s = g.transpose(g.scores(x[0], x[1]), 0, 1, 3, 2);
          Value p = g.node("Softmax", List.of(s), "axis", 2);
          return g.merged(g.op("MatMul", g.transpose(p, 0, 1, 3, 2), x[2]));
        });
    add(
        "transposed result",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value p = g.softmax(g.scores(x[0], x[1]));
          Value out = g.op("MatMul", g.transpose(x[2], 0, 1, 3, 2), g.transpose(p, 0, 1, 3, 2));
          return g.transpose(out, 0, 3, 1, 2);
        });
    add(
        "[batch * heads, tokens, head dimension]",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value q = g.reshape(x[0], -1, VIDEO, HEAD_DIM);
          Value k = g.reshape(x[1], BATCH * HEADS, -1, HEAD_DIM);
          Value v = g.reshape(x[2], -1, VIDEO, HEAD_DIM);
          Value s = g.op("Mul", g.op("MatMul", q, g.transpose(k, 0, 2, 1)), g.number(0.5));
          return g.merged(
              g.reshape(g.op("MatMul", g.softmax(s), v), BATCH, HEADS, VIDEO, HEAD_DIM));
        });
    add(
        "heads first, then batch",
        17,
        SELF,
        g -> {
          Value q = g.transpose(g.heads(g.tokens), 2, 0, 1, 3);
          Value k = g.transpose(g.heads(g.tokens), 2, 0, 1, 3);
          Value v = g.transpose(g.heads(g.tokens), 2, 0, 1, 3);
          return g.transpose(g.op("MatMul", g.softmax(g.scores(q, k)), v), 1, 2, 0, 3);
        });
    add(
        "one head without a heads axis",
        17,
        "self 1 24 to 24",
        g -> {
          Value s = g.op("MatMul", g.linear(g.tokens), g.transpose(g.linear(g.tokens), 0, 2, 1));
          return g.op("MatMul", g.softmax(g.op("Mul", s, g.number(0.3))), g.linear(g.tokens));
        });
    add(
        "windows of eight tokens",
        17,
        "self 2 8 to 8",
        g -> {
          Value[] x = new Value[3];
          for (int i = 0; i < 3; i++) {
            x[i] =
                g.transpose(
                    g.reshape(g.linear(g.tokens), BATCH, 3, 8, HEADS, HEAD_DIM), 0, 1, 3, 2, 4);
          }
          Value s =
              g.op("Mul", g.op("MatMul", x[0], g.transpose(x[1], 0, 1, 2, 4, 3)), g.number(0.5));
          return g.transpose(g.op("MatMul", g.softmax(s), x[2]), 0, 1, 3, 2, 4);
        });
  }

  private void einsums() {
    for (String[] e :
        new String[][] {
          {"bhid,bhjd->bhij", "bhij,bhjd->bhid", "0213", "0213"},
          {"bihd,bjhd->bhij", "bhij,bjhd->bihd", "0123", "0123"},
          {"bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd", "0123", "0123"},
          {"xyhc,xzhc->xyhz", "xyhz,xzhc->xyhc", "0123", "0123"},
          {"bhid , bhdj -> bhij", "bhij,bhjd->bihd", "0213", "0231"},
          {"...id,...jd->...ij", "...ij,...jd->...id", "0213", "0213"},
          {"bjhd,bihd->bhij", "bhij,bjhd->bihd", "0123", "swapped"},
        }) {
      add(
          "Einsum " + e[0] + " and " + e[1],
          17,
          SELF,
          g -> {
            boolean swapped = e[3].equals("swapped");
            Value q = turned(g, g.heads(g.tokens), e[2]);
            Value k = turned(g, g.heads(g.tokens), swapped ? e[2] : e[3]);
            Value v = turned(g, g.heads(g.tokens), e[2]);
            Value s = swapped ? g.einsum(e[0], k, q) : g.einsum(e[0], q, k);
            Value out = g.einsum(e[1], g.softmax(g.op("Mul", s, g.number(0.5))), v);
            return e[1].endsWith("bhid") || e[1].endsWith("...id") ? g.merged(out) : out;
          });
    }
    add(
        "Einsum without an arrow",
        17,
        SELF,
        g -> {
          // Letters that occur once, sorted: h is summed in neither, so each is implicit.
          Value[] x = g.qkv();
          Value s = g.einsum("...qd,...kd", x[0], x[1]);
          return g.merged(g.op("MatMul", g.softmax(turnedBack(g, s)), x[2]));
        });
    add(
        "Einsum with key heads that query heads share",
        17,
        "self 4 24 to 24",
        g -> {
          Value q =
              g.reshape(
                  g.op("MatMul", g.tokens, g.weight(WIDTH, 2 * WIDTH)),
                  BATCH,
                  VIDEO,
                  2,
                  2,
                  HEAD_DIM);
          Value s = g.op("Mul", g.einsum("bqhgd,bkhd->bhgqk", q, g.heads(g.tokens)), g.number(0.5));
          Value out = g.einsum("bhgqk,bkhd->bqhgd", g.softmax(s), g.heads(g.tokens));
          return g.slice(g.reshape(out, BATCH, VIDEO, 2 * WIDTH), 2, 0, WIDTH);
        });
  }

  /** "...qd,...kd" gives [B,H,k,q]: letters are sorted. */
  private static Value turnedBack(SpelledGraph g, Value scores) {
    return g.transpose(scores, 0, 1, 3, 2);
  }

  private static Value turned(SpelledGraph g, Value value, String perm) {
    return g.transpose(value, perm.chars().mapToLong(c -> c - '0').toArray());
  }

  private void masks() {
    add(
        "additive mask",
        17,
        CROSS + " mask",
        g -> crossed(g, s -> g.op("Add", g.input("bias", BATCH, 1, 1, TEXT), s)));
    add(
        "subtracted mask",
        17,
        CROSS + " mask",
        g -> crossed(g, s -> g.op("Sub", s, g.input("bias", BATCH, 1, 1, TEXT))));
    add(
        "boolean mask that keeps",
        17,
        CROSS + " mask",
        g -> crossed(g, s -> g.op("Where", keep(g), s, g.number(-1e9))));
    add(
        "boolean mask that drops",
        17,
        CROSS + " mask",
        g -> crossed(g, s -> g.op("Where", g.op("Not", keep(g)), g.number(-1e9), s)));
    add(
        "boolean mask as a bias",
        17,
        CROSS + " mask",
        g -> crossed(g, s -> g.op("Add", s, g.op("Where", keep(g), g.number(0), g.number(-1e9)))));
    add(
        "a bias of positions and a mask, both added",
        17,
        CROSS + " mask",
        g ->
            crossed(
                g,
                s ->
                    g.op(
                        "Add",
                        g.op("Add", g.weight(HEADS, VIDEO, TEXT), s),
                        g.input("bias", BATCH, 1, 1, TEXT))));
    add(
        "a bias of positions under a mask that keeps",
        17,
        CROSS + " mask",
        g ->
            crossed(
                g,
                s ->
                    g.op(
                        "Where",
                        keep(g),
                        g.op("Add", s, g.weight(1, HEADS, VIDEO, TEXT)),
                        g.number(-1e9))));
    add(
        "a bias of positions under a mask that drops",
        17,
        CROSS + " mask",
        g ->
            crossed(
                g,
                s ->
                    g.op(
                        "Where",
                        g.op("Not", keep(g)),
                        g.number(-1e9),
                        g.op("Add", g.weight(1, HEADS, VIDEO, TEXT), s))));
    add(
        "a bias of positions on masked scores",
        17,
        CROSS + " mask",
        g ->
            crossed(
                g,
                s ->
                    g.op(
                        "Add",
                        g.op("Where", keep(g), s, g.number(-1e9)),
                        g.weight(1, HEADS, VIDEO, TEXT))));
    add(
        "a mask for each element of the batch and each query",
        17,
        SELF + " mask",
        g -> {
          Value[] x = g.qkv();
          Value s = g.op("Add", g.scores(x[0], x[1]), g.input("bias", BATCH, 1, VIDEO, VIDEO));
          return g.merged(g.op("MatMul", g.softmax(s), x[2]));
        });
  }

  /** Greater(padding, 0), [B,1,1,T]; the first token always counts. */
  private static Value keep(SpelledGraph g) {
    Value padding =
        g.input(
            "padding",
            DataType.FLOAT,
            Tensor.ofFloats(new long[] {BATCH, 1, 1, TEXT}, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1));
    return g.op("Greater", padding, g.number(0.5));
  }

  private static Value crossed(SpelledGraph g, Function<Value, Value> mask) {
    Value s = mask.apply(g.scores(g.bhsd(g.tokens), g.bhsd(g.text)));
    return g.merged(g.op("MatMul", g.softmax(s), g.bhsd(g.text)));
  }

  private void grouped() {
    add(
        "a key head repeated by Expand",
        17,
        SELF,
        g -> {
          Value k =
              g.reshape(
                  g.op("Expand", oneHead(g), g.longs(BATCH, 1, HEADS, VIDEO, HEAD_DIM)),
                  BATCH,
                  HEADS,
                  VIDEO,
                  HEAD_DIM);
          Value v =
              g.reshape(
                  g.op("Expand", oneHead(g), g.longs(BATCH, 1, HEADS, VIDEO, HEAD_DIM)),
                  BATCH,
                  HEADS,
                  VIDEO,
                  HEAD_DIM);
          return g.merged(g.op("MatMul", g.softmax(g.scores(g.bhsd(g.tokens), k)), v));
        });
    add(
        "a key head repeated by Tile",
        17,
        SELF,
        g -> {
          Value k =
              g.op(
                  "Tile",
                  g.reshape(oneHead(g), BATCH, 1, VIDEO, HEAD_DIM),
                  g.longs(1, HEADS, 1, 1));
          Value v =
              g.op(
                  "Tile",
                  g.reshape(oneHead(g), BATCH, 1, VIDEO, HEAD_DIM),
                  g.longs(1, HEADS, 1, 1));
          return g.merged(g.op("MatMul", g.softmax(g.scores(g.bhsd(g.tokens), k)), v));
        });
    add(
        "a key head repeated by Concat",
        17,
        SELF,
        g -> {
          Value k = g.reshape(oneHead(g), BATCH, 1, VIDEO, HEAD_DIM);
          Value v = g.reshape(oneHead(g), BATCH, 1, VIDEO, HEAD_DIM);
          return g.merged(
              g.op(
                  "MatMul",
                  g.softmax(g.scores(g.bhsd(g.tokens), g.concat(1, k, k))),
                  g.concat(1, v, v)));
        });
    add(
        "a key head that broadcasts",
        17,
        SELF,
        g -> {
          Value k = g.reshape(oneHead(g), BATCH, 1, VIDEO, HEAD_DIM);
          Value v = g.reshape(oneHead(g), BATCH, 1, VIDEO, HEAD_DIM);
          return g.merged(g.op("MatMul", g.softmax(g.scores(g.bhsd(g.tokens), k)), v));
        });
    add(
        "key heads that broadcast along an axis of groups, with a mask",
        17,
        "self 4 24 to 24 mask",
        g -> {
          Value q =
              g.transpose(
                  g.reshape(
                      g.op("MatMul", g.tokens, g.weight(WIDTH, 2 * WIDTH)),
                      BATCH,
                      VIDEO,
                      2,
                      2,
                      HEAD_DIM),
                  0,
                  2,
                  3,
                  1,
                  4);
          Value k = g.op("Unsqueeze", g.bhsd(g.tokens), g.longs(2));
          Value v = g.op("Unsqueeze", g.bhsd(g.tokens), g.longs(2));
          Value s = g.op("Mul", g.op("MatMul", q, g.transpose(k, 0, 1, 2, 4, 3)), g.number(0.5));
          Value masked = g.op("Add", s, g.input("bias", BATCH, 1, 1, 1, VIDEO));
          Value out = g.transpose(g.op("MatMul", g.softmax(masked), v), 0, 3, 1, 2, 4);
          return g.slice(g.reshape(out, BATCH, VIDEO, 2 * WIDTH), 2, 0, WIDTH);
        });
  }

  /** [B,1,1,S,D]. */
  private static Value oneHead(SpelledGraph g) {
    return g.reshape(
        g.op("MatMul", g.tokens, g.weight(WIDTH, HEAD_DIM)), BATCH, 1, 1, VIDEO, HEAD_DIM);
  }

  private void onnxOperator() {
    for (int opset : new int[] {23, 24}) {
      String of = "Attention " + opset + ", ";
      add(of + "4-D", opset, SELF, g -> g.merged(g.node("Attention", List.of(g.qkv()))));
      add(
          of + "4-D with a scale and a boolean mask",
          opset,
          CROSS + " mask",
          g -> {
            Value all = g.op("Expand", keep(g), g.longs(1, 1, VIDEO, 1));
            return g.merged(
                g.node(
                    "Attention",
                    List.of(g.bhsd(g.tokens), g.bhsd(g.text), g.bhsd(g.text), all),
                    "scale",
                    0.3f));
          });
      add(
          of + "4-D with an additive mask",
          opset,
          SELF + " mask",
          g -> {
            Value[] x = g.qkv();
            return g.merged(
                g.node(
                    "Attention",
                    List.of(x[0], x[1], x[2], g.input("bias", BATCH, 1, VIDEO, VIDEO))));
          });
      add(
          of + "4-D, key heads shared",
          opset,
          SELF,
          g -> {
            Value k = g.reshape(oneHead(g), BATCH, 1, VIDEO, HEAD_DIM);
            Value v = g.reshape(oneHead(g), BATCH, 1, VIDEO, HEAD_DIM);
            return g.merged(g.node("Attention", List.of(g.bhsd(g.tokens), k, v)));
          });
      add(
          of + "3-D",
          opset,
          SELF,
          g ->
              g.node(
                  "Attention",
                  List.of(g.linear(g.tokens), g.linear(g.tokens), g.linear(g.tokens)),
                  "q_num_heads",
                  HEADS,
                  "kv_num_heads",
                  HEADS));
      add(
          of + "3-D, key heads shared",
          opset,
          SELF,
          g ->
              g.node(
                  "Attention",
                  List.of(
                      g.linear(g.tokens),
                      g.reshape(oneHead(g), BATCH, VIDEO, HEAD_DIM),
                      g.reshape(oneHead(g), BATCH, VIDEO, HEAD_DIM)),
                  "q_num_heads",
                  HEADS,
                  "kv_num_heads",
                  1,
                  "scale",
                  0.3f));
      addInexact(
          of + "causal",
          opset,
          SELF + ": it is causal: each token sees only those before it",
          g -> g.merged(g.node("Attention", List.of(g.qkv()), "is_causal", 1)));
      addInexact(
          of + "capped",
          opset,
          SELF + ": its scores are capped by tanh (softcap 30.0)",
          g -> g.merged(g.node("Attention", List.of(g.qkv()), "softcap", 30f)));
    }
  }

  private void microsoftOperators() {
    String mha = "com.microsoft.MultiHeadAttention";
    add(
        "MultiHeadAttention",
        17,
        SELF,
        g ->
            g.node(
                mha,
                List.of(g.linear(g.tokens), g.linear(g.tokens), g.linear(g.tokens)),
                "num_heads",
                HEADS,
                "scale",
                0.4f));
    add(
        "MultiHeadAttention with a bias",
        17,
        SELF,
        g ->
            g.node(
                mha,
                List.of(
                    g.linear(g.tokens),
                    g.linear(g.tokens),
                    g.linear(g.tokens),
                    g.weight(3 * WIDTH)),
                "num_heads",
                HEADS));
    add(
        "MultiHeadAttention with a key padding mask",
        17,
        CROSS + " mask",
        g ->
            g.node(
                mha,
                List.of(
                    g.linear(g.tokens),
                    g.linear(g.text),
                    g.linear(g.text),
                    g.weight(3 * WIDTH),
                    keyPadding(g)),
                "num_heads",
                HEADS));
    add(
        "MultiHeadAttention with a bias of positions",
        17,
        SELF + " mask",
        g ->
            microsoft(
                g,
                mha,
                HEADS,
                g.linear(g.tokens),
                g.linear(g.tokens),
                g.linear(g.tokens),
                null,
                null,
                g.weight(1, HEADS, VIDEO, VIDEO)));
    add(
        "MultiHeadAttention with a bias of positions and padding",
        17,
        CROSS + " mask",
        g ->
            microsoft(
                g,
                mha,
                HEADS,
                g.linear(g.tokens),
                g.linear(g.text),
                g.linear(g.text),
                null,
                keyPadding(g),
                g.weight(1, HEADS, VIDEO, TEXT)));
    add(
        "MultiHeadAttention on [batch, heads, tokens, head dimension]",
        17,
        CROSS,
        g ->
            g.node(
                mha,
                List.of(g.linear(g.tokens), g.bhsd(g.text), g.bhsd(g.text)),
                "num_heads",
                HEADS));
    addInexact(
        "MultiHeadAttention, causal",
        17,
        SELF + ": it is causal: each token sees only those before it",
        g ->
            g.node(
                mha,
                List.of(g.linear(g.tokens), g.linear(g.tokens), g.linear(g.tokens)),
                "num_heads",
                HEADS,
                "unidirectional",
                1));
    addInexact(
        "GroupQueryAttention, causal",
        17,
        SELF + ": it is causal: each token sees only those before it",
        g -> groupQuery(g, HEADS));
    addInexact(
        "GroupQueryAttention with a key head that query heads share",
        17,
        SELF + ": it is causal: each token sees only those before it",
        g -> groupQuery(g, 1));
    add(
        "Attention of ONNX Runtime",
        17,
        SELF,
        g ->
            g.node(
                "com.microsoft.Attention",
                List.of(g.tokens, g.weight(WIDTH, 3 * WIDTH), g.weight(3 * WIDTH)),
                "num_heads",
                HEADS));
    add(
        "Attention of ONNX Runtime with padding",
        17,
        SELF + " mask",
        g ->
            g.node(
                "com.microsoft.Attention",
                List.of(
                    g.tokens,
                    g.weight(WIDTH, 3 * WIDTH),
                    g.weight(3 * WIDTH),
                    g.input("lengths", DataType.INT32, Tensor.ofInts(new long[] {BATCH}, 20, 24))),
                "num_heads",
                HEADS));
  }

  /** Its heads have 8 channels, as the operator demands; the first 8 of the result are taken. */
  private static Value groupQuery(SpelledGraph g, int keyHeads) {
    int channels = 8;
    Value out =
        microsoft(
            g,
            "com.microsoft.GroupQueryAttention",
            HEADS,
            g.linear(g.tokens, HEADS * channels),
            g.linear(g.tokens, keyHeads * channels),
            g.linear(g.tokens, keyHeads * channels),
            null,
            null,
            g.input(
                "last", DataType.INT32, Tensor.ofInts(new long[] {BATCH}, VIDEO - 1, VIDEO - 1)),
            g.input("all", DataType.INT32, Tensor.ofInts(new long[0], VIDEO)));
    out.producer().orElseThrow().setAttribute("kv_num_heads", keyHeads);
    return g.slice(out, 2, 0, WIDTH);
  }

  private static Value keyPadding(SpelledGraph g) {
    return g.input(
        "padding",
        DataType.INT32,
        Tensor.ofInts(new long[] {BATCH, TEXT}, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1));
  }

  /** A node some of whose inputs are absent. */
  private static Value microsoft(SpelledGraph g, String type, int heads, @Nullable Value... in) {
    Value out = g.withGaps(type, in);
    out.producer().orElseThrow().setAttribute("num_heads", heads);
    return out;
  }

  private void projections() {
    add(
        "Gemm projections",
        17,
        SELF,
        g -> {
          Value[] x = new Value[3];
          for (int i = 0; i < 3; i++) {
            Value flat =
                g.op(
                    "Gemm",
                    g.reshape(g.tokens, -1, WIDTH),
                    g.weight(WIDTH, WIDTH),
                    g.weight(WIDTH));
            x[i] = g.transpose(g.reshape(flat, BATCH, VIDEO, HEADS, HEAD_DIM), 0, 2, 1, 3);
          }
          return g.merged(g.op("MatMul", g.softmax(g.scores(x[0], x[1])), x[2]));
        });
    add(
        "one projection, Split",
        17,
        SELF,
        g -> {
          Value all = g.op("MatMul", g.tokens, g.weight(WIDTH, 3 * WIDTH));
          Value q = g.node("Split", List.of(all, g.longs(WIDTH, WIDTH, WIDTH)), "axis", 2);
          Node split = q.producer().orElseThrow();
          return fused(g, q, split.addOutput("k_part"), split.addOutput("v_part"));
        });
    add(
        "one projection, Slice",
        17,
        SELF,
        g -> {
          Value all = g.op("MatMul", g.tokens, g.weight(WIDTH, 3 * WIDTH));
          return fused(
              g,
              g.slice(all, 2, 0, WIDTH),
              g.slice(all, 2, WIDTH, 2 * WIDTH),
              g.slice(all, 2, 2 * WIDTH, 3 * WIDTH));
        });
    add(
        "one projection, Gather",
        17,
        SELF,
        g -> {
          Value all =
              g.reshape(
                  g.op("MatMul", g.tokens, g.weight(WIDTH, 3 * WIDTH)),
                  BATCH,
                  VIDEO,
                  3,
                  HEADS,
                  HEAD_DIM);
          Value turned = g.transpose(all, 2, 0, 3, 1, 4);
          Value[] x = new Value[3];
          for (int i = 0; i < 3; i++) {
            x[i] = g.op("Gather", turned, g.graph.addConstant("index", Tensor.scalar((long) i)));
          }
          return g.merged(g.op("MatMul", g.softmax(g.scores(x[0], x[1])), x[2]));
        });
    add(
        "heads one after the other",
        17,
        "self 2 24 to 24",
        g -> {
          Value[] x = g.qkv();
          Value[] heads = new Value[HEADS];
          for (int h = 0; h < HEADS; h++) {
            Value s = g.scores(g.slice(x[0], 1, h, h + 1), g.slice(x[1], 1, h, h + 1));
            heads[h] = g.op("MatMul", g.softmax(s), g.slice(x[2], 1, h, h + 1));
          }
          return g.merged(g.concat(1, heads));
        });
    add(
        "queries in two parts",
        17,
        SELF,
        g -> {
          Value[] x = g.qkv();
          Value[] parts = new Value[2];
          for (int i = 0; i < 2; i++) {
            Value s = g.scores(g.slice(x[0], 2, i * 12L, i * 12L + 12), x[1]);
            parts[i] = g.op("MatMul", g.softmax(s), x[2]);
          }
          return g.merged(g.concat(2, parts));
        });
  }

  private static Value fused(SpelledGraph g, Value... parts) {
    Value[] x = new Value[3];
    for (int i = 0; i < 3; i++) {
      x[i] = g.transpose(g.reshape(parts[i], BATCH, VIDEO, HEADS, HEAD_DIM), 0, 2, 1, 3);
    }
    return g.merged(g.op("MatMul", g.softmax(g.scores(x[0], x[1])), x[2]));
  }
}
