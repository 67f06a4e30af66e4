package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.passes.functions.Ops.Iteration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The body of {@code MeasurePlan}.
 *
 * <pre>
 * for each head:
 *   density = sum over kept (i,j) of |Q_i| |K_j| / (sum |Q_i|) (sum |K_j|)    video tokens that are
 *                                                                             not masked
 *   recall  = mean over sampled video queries r of
 *               sum over keys c that r's segment visits of softmax(scale Q[r] K^T + key_bias)[c]
 * </pre>
 */
final class MeasurePlanFunction {
  private final MeasurePlan call;

  private MeasurePlanFunction(MeasurePlan call) {
    this.call = call;
  }

  static Function build(MeasurePlan call, long opset) {
    return Ops.function(
        call,
        opset,
        "Density of a plan, and the attention mass that it keeps, of each head.",
        new MeasurePlanFunction(call)::body);
  }

  private Map<String, Value> body(Ops ops, Map<String, Value> inputs) {
    Action action = new Action(ops, Ops.lookup(inputs, SparseOps.ACTION));
    Value q = Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, SparseOps.Q));
    Value k = Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, SparseOps.K));
    Heads heads = new Heads(ops, q);
    List<Value> results =
        ops.ifElse(
            "dense_or_sparse",
            action.isDense(ops),
            dense -> {
              Value all = heads.repeat(dense, dense.f32(1f));
              return List.of(all, all);
            },
            sparse -> measure(sparse, inputs, heads, q, k));
    return Map.of(MeasurePlan.DENSITY, results.get(0), MeasurePlan.RECALL, results.get(1));
  }

  private List<Value> measure(Ops ops, Map<String, Value> inputs, Heads heads, Value q, Value k) {
    Value queries = heads.split(ops, q);
    Value keys = heads.split(ops, k);
    Value queryOrder = heads.split(ops, Ops.lookup(inputs, SparseOps.QUERY_ORDER));
    Value keyOrder = heads.split(ops, Ops.lookup(inputs, SparseOps.KEY_ORDER));
    Value queryOffsets = heads.split(ops, Ops.lookup(inputs, SparseOps.QUERY_OFFSETS));
    Value keyOffsets = heads.split(ops, Ops.lookup(inputs, SparseOps.KEY_OFFSETS));
    Value keep = heads.split(ops, Ops.lookup(inputs, SparseOps.KEEP));
    Optional<Value> biases =
        Optional.ofNullable(inputs.get(SparseOps.KEY_BIAS)).map(b -> ops.squeeze(b, 1, 2));
    VideoTokens video = VideoTokens.of(ops, call.text(), q, Ops.lookup(inputs, SparseOps.GEOMETRY));
    Value isVideo = ops.named("is_video", flags(ops, video));
    Value rows =
        ops.named("sampled_queries", sample(ops, video, ops.intAttribute(MeasurePlan.ROWS)));
    return ops
        .loop(
            "for_each_head",
            heads.count(),
            List.of(),
            (body, head, none) -> {
              Optional<Value> bias = biases.map(b -> body.gather(b, heads.batchOf(body, head)));
              Side query = Side.of(body, queryOrder, queryOffsets, head, video.all());
              Side key = Side.of(body, keyOrder, keyOffsets, head, video.all());
              Value kept =
                  body.named(
                      "kept",
                      body.f32(
                          PlanParts.unpackKeepRows(body, body.gather(keep, head), key.count())));
              Value visible =
                  bias.map(
                          b ->
                              body.mul(
                                  isVideo,
                                  body.f32(body.greater(b, body.f32(Float.NEGATIVE_INFINITY)))))
                      .orElse(isVideo);
              Value mass =
                  mass(body, body.gather(queries, head), body.gather(keys, head), rows, bias);
              return Iteration.scan(
                  density(body, query.sizes(body, isVideo), key.sizes(body, visible), kept),
                  recall(body, mass, query, key, rows, kept));
            })
        .stream()
        .map(ofHeads -> heads.join(ops, ofHeads))
        .toList();
  }

  /** Softmax of the sampled rows: f32 {@code [R,S]}. */
  private static Value mass(Ops ops, Value q, Value k, Value rows, Optional<Value> bias) {
    Attribute scale = Ops.callAttribute(SparseOps.SCALE);
    Value sampled = ops.f32(ops.gather(q, rows));
    Value keys = ops.f32(k);
    return ops.softmaxRows(
        bias.isPresent()
            ? ops.timesTransposedPlus(scale, sampled, keys, ops.unsqueeze(bias.get(), 0))
            : ops.timesTransposed(scale, sampled, keys));
  }

  private static Value density(Ops ops, Value querySizes, Value keySizes, Value kept) {
    Value keptKeys = ops.flatten(ops.matMul(kept, ops.unsqueeze(keySizes, 1)));
    Value pairs = ops.sum(ops.mul(querySizes, keptKeys), 0);
    return ops.div(pairs, ops.mul(ops.sum(querySizes, 0), ops.sum(keySizes, 0)));
  }

  private static Value recall(Ops ops, Value mass, Side query, Side key, Value rows, Value kept) {
    Value ofRows = ops.gather(kept, ops.gather(query.segments(), rows));
    Value ofPairs =
        ops.op("Gather", Map.of("axis", new Attribute.IntValue(1)), ofRows, key.segments());
    Value sum = ops.sum(ops.flatten(ops.mul(mass, ofPairs)), 0);
    return ops.div(sum, ops.f32(ops.dim(rows, 0)));
  }

  /**
   * The segments of queries or keys of one head.
   *
   * @param segments i64 {@code [S]}: the segment of each token
   * @param count N
   */
  private record Side(Value segments, Value count) {
    static Side of(Ops ops, Value orders, Value offsets, Value head, Value length) {
      Value starts = ops.i64(ops.gather(offsets, head));
      Value order = PlanParts.orderOrNatural(ops, ops.gather(orders, head), length);
      Value ofPositions = PlanParts.segmentOfPosition(ops, starts, length);
      Value ofTokens = ops.scatter(0, ops.filled(0, ops.asVector(length)), order, ofPositions);
      return new Side(ofTokens, ops.sub(ops.dim(starts, 0), ops.i64(1)));
    }

    /** F32 {@code [N]}: how many of the tokens with a flag each segment has. */
    Value sizes(Ops ops, Value flags) {
      return ops.scatterAdd(ops.zeros(ops.asVector(count)), segments, flags);
    }
  }

  /** F32 {@code [S]}: 1 for video tokens, 0 for text. */
  private static Value flags(Ops ops, VideoTokens video) {
    Value token = ops.range(video.all());
    Value end = ops.add(video.start(), video.count());
    return ops.f32(ops.and(ops.lessOrEqual(video.start(), token), ops.less(token, end)));
  }

  /** I64 {@code [R]}: evenly spaced video tokens, floor((r + 1/2) count / R). */
  private static Value sample(Ops ops, VideoTokens video, Value wanted) {
    Value rows = ops.min(wanted, video.count());
    Value odd = ops.add(ops.mul(ops.range(rows), ops.i64(2)), ops.i64(1));
    Value spaced = ops.div(ops.mul(odd, video.count()), ops.mul(rows, ops.i64(2)));
    return ops.add(spaced, video.start());
  }
}
