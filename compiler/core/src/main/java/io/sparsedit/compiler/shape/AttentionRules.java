package io.sparsedit.compiler.shape;

import static io.sparsedit.compiler.shape.ShapeRules.register;
import static io.sparsedit.compiler.shape.ShapeRules.registerMicrosoft;

import java.util.Map;
import java.util.Optional;

/** Fused attention and rotary embeddings, of ONNX and of ONNX Runtime. */
final class AttentionRules {
  private AttentionRules() {}

  static void addTo(Map<String, ShapeRule> table) {
    register(table, AttentionRules::attention, "Attention");
    register(table, ElementwiseRules::same, "RotaryEmbedding");
    registerMicrosoft(table, ElementwiseRules::same, "RotaryEmbedding", "GemmaRotaryEmbedding");
    registerMicrosoft(table, AttentionRules::packedInput, "Attention", "QAttention");
    registerMicrosoft(table, AttentionRules::multiHead, "MultiHeadAttention");
    registerMicrosoft(table, AttentionRules::groupQuery, "GroupQueryAttention");
    table.put("sparsedit.Attention", AttentionRules::canonical);
  }

  /** What recognition makes of every spelling: q, k, v in [B,H,S,D]. */
  private static void canonical(Call call) {
    call.type(0, call.type(2));
    Shape q = call.shape(0);
    call.shape(0, Shape.of(q.dim(0), q.dim(1), q.dim(2), call.shape(2).dim(3)));
  }

  /** Operator set 23: [B,H,S,D] or, with head counts as attributes, [B,S,H*D]. */
  private static void attention(Call call) {
    call.type(0, call.type(0));
    call.type(1, call.type(1));
    call.type(2, call.type(2));
    call.type(3, call.type(0));
    Shape q = call.shape(0);
    Shape k = call.shape(1);
    Shape v = call.shape(2);
    boolean flat = q.rank() == 3;
    long queryHeads = call.longAttribute("q_num_heads", 0);
    long keyHeads = call.longAttribute("kv_num_heads", 0);
    if (flat && (queryHeads <= 0 || keyHeads <= 0)) {
      throw call.invalid("3-D inputs without q_num_heads and kv_num_heads");
    }
    Dim heads = flat ? Dim.of(queryHeads) : q.dim(1);
    Dim width = flat ? v.dim(2).floorDiv(keyHeads) : v.dim(3);
    Dim queries = q.dim(-2);
    Dim batch = Shape.agree(q.dim(0), k.dim(0));
    call.shape(
        0,
        flat
            ? Shape.of(batch, queries, heads.times(width))
            : Shape.of(batch, heads, queries, width));
    Dim pastLength = call.has(4) ? call.shape(4).dim(2) : Dim.ZERO;
    Dim total = pastLength.plus(k.dim(-2));
    Dim groups = flat ? Dim.of(keyHeads) : k.dim(1);
    Dim keyWidth = flat ? k.dim(2).floorDiv(keyHeads) : k.dim(3);
    if (call.hasOutput(1)) {
      call.shape(1, Shape.of(batch, groups, total, keyWidth));
    }
    if (call.hasOutput(2)) {
      call.shape(2, Shape.of(batch, groups, total, width));
    }
    if (call.hasOutput(3)) {
      call.shape(3, Shape.of(batch, heads, queries, total));
    }
  }

  /** Input [B,S,C], one weight [C, Q+K+V]. */
  private static void packedInput(Call call) {
    boolean quantized = call.node().opType().equals("QAttention");
    call.type(0, quantized ? call.type(3) : call.type(0));
    call.type(1, call.output(0).type());
    Shape input = call.shape(0);
    Dim all = call.shape(1).dim(1);
    long[] hidden = call.longsAttribute("qkv_hidden_sizes").orElse(new long[0]);
    Dim value = hidden.length == 3 ? Dim.of(hidden[2]) : all.floorDiv(3);
    call.shape(0, Shape.of(input.dim(0), input.dim(1), value));
    if (call.hasOutput(1)) {
      Dim heads = Dim.of(call.longAttribute("num_heads", 1));
      Dim past = call.has(4) && !quantized ? call.shape(4).dim(3) : Dim.ZERO;
      call.shape(
          1,
          Shape.of(Dim.of(2), input.dim(0), heads, past.plus(input.dim(1)), value.floorDiv(heads)));
    }
  }

  /** Query [B,S,H*D] or packed [B,S,H,3,D]; key and value [B,L,H*D] or [B,H,L,D]. */
  private static void multiHead(Call call) {
    for (int i = 0; i < call.outputCount(); i++) {
      call.type(i, call.type(0));
    }
    Shape query = call.shape(0);
    Dim heads = Dim.of(call.longAttribute("num_heads", 1));
    if (query.rank() == 5) {
      call.shape(0, Shape.of(query.dim(0), query.dim(1), query.dim(2).times(query.dim(4))));
      return;
    }
    Optional<Shape> value = call.has(2) ? Optional.of(call.shape(2)) : Optional.empty();
    Dim width;
    Dim length;
    if (value.isPresent()) {
      boolean split = value.get().rank() == 4;
      width = split ? value.get().dim(1).times(value.get().dim(3)) : value.get().dim(2);
      length = split ? value.get().dim(2) : value.get().dim(1);
    } else {
      width = query.dim(2);
      length = call.has(1) ? call.shape(1).dim(1) : query.dim(1);
    }
    call.shape(0, Shape.of(query.dim(0), query.dim(1), width));
    Dim past = call.has(6) ? call.shape(6).dim(2) : Dim.ZERO;
    if (call.hasOutput(1)) {
      Shape present =
          Shape.of(query.dim(0), heads, past.plus(length), query.dim(2).floorDiv(heads));
      call.shape(1, present);
      call.shape(2, present.with(3, width.floorDiv(heads)));
    }
  }

  /** Query [B,S,H*D] beside key and value with fewer heads, or all packed into it. */
  private static void groupQuery(Call call) {
    for (int i = 0; i < call.outputCount(); i++) {
      call.type(i, call.type(0));
    }
    Shape query = call.shape(0);
    long heads = call.longAttribute("num_heads", 1);
    long groups = call.longAttribute("kv_num_heads", heads);
    boolean packed = !call.has(1);
    Dim headWidth = query.dim(2).floorDiv(packed ? heads + 2 * groups : heads);
    call.shape(0, Shape.of(query.dim(0), query.dim(1), headWidth.times(heads)));
    if (call.hasOutput(1)) {
      Dim length = call.fresh(1, 2);
      Shape present = Shape.of(query.dim(0), Dim.of(groups), length, headWidth);
      call.shape(1, present);
      call.shape(2, present);
    }
  }
}
