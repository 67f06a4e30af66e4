package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.passes.functions.Ops.Iteration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The body of {@code BlockSparseAttention}.
 *
 * <pre>
 * for each head:
 *   K, V in plan order
 *   for each query segment, in blocks of at most 256 rows:
 *     rows = Q[query_order[block]]; kept = positions in the key segments that the segment visits
 *     O[query_order[block]] = softmax(scale rows K[kept]^T + key_bias[kept]) V[kept]
 * </pre>
 *
 * <p>Keys that are not kept are never read, nor is anything S x S held: a step takes time and
 * memory by its density. Keys whose bias is -inf count as not kept. A row without a key is 0.
 * Scores, softmax and sums are f32 whatever the type of Q.
 *
 * <p>Compensation appends to K and V one pseudo-key for each key segment, the means of its K and V,
 * and visits those of the segments that are <em>not</em> kept, with the logarithm of the segment's
 * size as bias (SVG-EAR, arXiv 2603.08982, eq. 7, in its pseudo-key form).
 */
final class BlockSparseAttentionFunction {
  private static final long SPARSE_ROWS = 256;
  private static final long DENSE_ROWS = 1024;

  private final BlockSparseAttention call;

  private BlockSparseAttentionFunction(BlockSparseAttention call) {
    this.call = call;
  }

  static Function build(BlockSparseAttention call, long opset) {
    return Ops.function(
        call,
        opset,
        "Attention in which query segment i visits key segment j where bit j of keep row i is set;"
            + " dense where the site's action says so.",
        new BlockSparseAttentionFunction(call)::body);
  }

  private Map<String, Value> body(Ops ops, Map<String, Value> inputs) {
    Action action = new Action(ops, Ops.lookup(inputs, SparseOps.ACTION));
    Value o =
        ops.ifElse(
                "dense_or_sparse",
                action.isDense(ops),
                dense -> List.of(allHeads(dense, inputs, (body, heads) -> this::denseHead)),
                sparse ->
                    List.of(
                        allHeads(
                            sparse,
                            inputs,
                            (body, heads) -> {
                              Plan plans = Plan.ofAllHeads(body, heads, inputs);
                              return (each, head, q, keys) ->
                                  sparseHead(each, plans.ofHead(each, head, q, keys), q, keys);
                            })))
            .get(0);
    return Map.of(SparseOps.O, ops.castLike(o, Ops.lookup(inputs, SparseOps.Q)));
  }

  /**
   * K, V and the bias of one head, and which of them may be visited.
   *
   * @param k f32 {@code [n,D]}
   * @param v f32 {@code [n,D]}
   * @param bias f32 {@code [n]}, or empty where there is none
   */
  private record Keys(Value k, Value v, Optional<Value> bias) {
    Keys gather(Ops ops, Value indices) {
      return new Keys(
          ops.gather(k, indices), ops.gather(v, indices), bias.map(b -> ops.gather(b, indices)));
    }

    /** Bool {@code [n]}: where the bias is not -inf; empty without bias. */
    Optional<Value> visible(Ops ops) {
      return bias.map(b -> ops.greater(b, ops.f32(Float.NEGATIVE_INFINITY)));
    }
  }

  /** Writes the body of the loop over heads: from Q {@code [S,D]} and keys to O {@code [S,D]}. */
  @FunctionalInterface
  private interface Head {
    Value write(Ops ops, Value head, Value q, Keys keys);
  }

  /** Writes what all heads need before the loop. */
  @FunctionalInterface
  private interface Preparation {
    Head write(Ops ops, Heads heads);
  }

  private Value allHeads(Ops ops, Map<String, Value> inputs, Preparation preparation) {
    Value bhsd = Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, SparseOps.Q));
    Heads heads = new Heads(ops, bhsd);
    Value queries = ops.named("queries", heads.split(ops, bhsd));
    Value keys = ops.named("keys", split(ops, heads, Ops.lookup(inputs, SparseOps.K)));
    Value values = ops.named("values", split(ops, heads, Ops.lookup(inputs, SparseOps.V)));
    Optional<Value> biases =
        Optional.ofNullable(inputs.get(SparseOps.KEY_BIAS)).map(b -> ops.squeeze(b, 1, 2));
    Head computation = preparation.write(ops, heads);
    Value outputs =
        ops.loop(
                "for_each_head",
                heads.count(),
                List.of(),
                (body, head, none) -> {
                  Value queriesOfHead =
                      body.named("queries_of_head", body.f32(body.gather(queries, head)));
                  Keys keysOfHead =
                      new Keys(
                          body.named("keys_of_head", body.f32(body.gather(keys, head))),
                          body.named("values_of_head", body.f32(body.gather(values, head))),
                          biases.map(b -> body.gather(b, heads.batchOf(body, head))));
                  return Iteration.scan(computation.write(body, head, queriesOfHead, keysOfHead));
                })
            .get(0);
    return Heads.bhsd(ops, call.layout(), heads.join(ops, outputs));
  }

  private Value split(Ops ops, Heads heads, Value x) {
    return heads.split(ops, Heads.bhsd(ops, call.layout(), x));
  }

  // ---- dense ------------------------------------------------------------------------------------

  private Value denseHead(Ops ops, Value head, Value q, Keys keys) {
    Optional<Value> visible = keys.visible(ops);
    if (visible.isEmpty()) {
      return denseRows(ops, q, keys);
    }
    Value indices = ops.indicesOf(visible.get());
    return ops.ifElse(
            "unless_all_masked",
            ops.equal(ops.dim(indices, 0), ops.i64(0)),
            nothing -> List.of(nothing.zeros(nothing.shape(q))),
            some -> List.of(denseRows(some, q, keys.gather(some, indices))))
        .get(0);
  }

  private Value denseRows(Ops ops, Value q, Keys keys) {
    Value length = ops.dim(q, 0);
    Value blocks = ops.ceilDiv(length, ops.i64(DENSE_ROWS));
    Value height = ops.ceilDiv(length, blocks);
    Value stacked =
        ops.loop(
                "for_each_block",
                blocks,
                List.of(),
                (body, block, none) -> {
                  Value start = body.mul(block, height);
                  Value end = body.min(body.add(start, height), length);
                  Value rows = attend(body, body.slice(q, start, end), keys);
                  return Iteration.scan(body.padRows(rows, height));
                })
            .get(0);
    Value rows = ops.reshape(stacked, ops.vector(ops.i64(-1), ops.dim(q, 1)));
    return ops.slice(rows, ops.i64(0), length);
  }

  // ---- sparse -----------------------------------------------------------------------------------

  /**
   * The plan's tensors; of all heads with a first axis B H, or of one head.
   *
   * @param queryOrder of one head i64 {@code [S]}
   * @param keyOrder of one head i64 {@code [S]}
   * @param queryOffsets of one head i64 {@code [Nq+1]}
   * @param keyOffsets of one head i64 {@code [Nk+1]}
   * @param keep of one head i32 {@code [Nq,ceil(Nk/32)]}
   */
  private record Plan(
      Value queryOrder, Value keyOrder, Value queryOffsets, Value keyOffsets, Value keep) {
    static Plan ofAllHeads(Ops ops, Heads heads, Map<String, Value> inputs) {
      return new Plan(
          heads.split(ops, Ops.lookup(inputs, SparseOps.QUERY_ORDER)),
          heads.split(ops, Ops.lookup(inputs, SparseOps.KEY_ORDER)),
          heads.split(ops, Ops.lookup(inputs, SparseOps.QUERY_OFFSETS)),
          heads.split(ops, Ops.lookup(inputs, SparseOps.KEY_OFFSETS)),
          heads.split(ops, Ops.lookup(inputs, SparseOps.KEEP)));
    }

    Plan ofHead(Ops ops, Value head, Value q, Keys keys) {
      return new Plan(
          PlanParts.orderOrNatural(ops, ops.gather(queryOrder, head), ops.dim(q, 0)),
          PlanParts.orderOrNatural(ops, ops.gather(keyOrder, head), ops.dim(keys.k(), 0)),
          ops.i64(ops.gather(queryOffsets, head)),
          ops.i64(ops.gather(keyOffsets, head)),
          ops.gather(keep, head));
    }
  }

  private Value sparseHead(Ops ops, Plan plan, Value q, Keys naturalKeys) {
    Value queryOrder = plan.queryOrder();
    Value queryOffsets = plan.queryOffsets();
    Keys inOrder = naturalKeys.gather(ops, plan.keyOrder());
    KeySegments segments = KeySegments.of(ops, plan.keyOffsets(), inOrder);
    Optional<PseudoKeys> pseudoKeys =
        call.compensate() ? Optional.of(PseudoKeys.of(ops, segments, inOrder)) : Optional.empty();
    Keys keys = pseudoKeys.map(p -> p.appendTo(ops, inOrder)).orElse(inOrder);

    // Query segments are cut into blocks of rows, empty ones into none.
    Value sizes = PlanParts.sizes(ops, queryOffsets);
    Value height = ops.named("block_rows", ops.min(ops.i64(SPARSE_ROWS), ops.maxOver(sizes, 0)));
    Value blocks = ops.ceilDiv(sizes, ops.i64(SPARSE_ROWS));
    Value blocksUpTo = ops.cumSum(blocks, 0);
    Value blocksBefore = ops.sub(blocksUpTo, blocks);
    List<Value> stacked =
        ops.loop(
            "for_each_block",
            ops.sum(blocks, 0),
            List.of(),
            (body, block, none) -> {
              Value segment =
                  body.named(
                      "query_segment", body.sum(body.i64(body.lessOrEqual(blocksUpTo, block)), 0));
              Value blockInSegment = body.sub(block, body.gather(blocksBefore, segment));
              Value start =
                  body.add(
                      body.gather(queryOffsets, segment),
                      body.mul(blockInSegment, body.i64(SPARSE_ROWS)));
              Value segmentEnd = body.gather(queryOffsets, body.add(segment, body.i64(1)));
              Value end = body.min(body.add(start, body.i64(SPARSE_ROWS)), segmentEnd);
              Value rows = body.gather(q, body.slice(queryOrder, start, end));
              Value visited =
                  body.named(
                      "visited",
                      body.indicesOf(
                          visited(body, body.gather(plan.keep(), segment), segments, pseudoKeys)));
              Value attended =
                  body.ifElse(
                          "unless_nothing_visited",
                          body.equal(body.dim(visited, 0), body.i64(0)),
                          nothing -> List.of(nothing.zeros(nothing.shape(rows))),
                          some -> List.of(attend(some, rows, keys.gather(some, visited))))
                      .get(0);
              Value isRow = body.less(body.range(height), body.sub(end, start));
              return Iteration.scan(body.padRows(attended, height), isRow);
            });
    // Without the padding, the rows of all blocks are those of all positions in order.
    Value rows = ops.reshape(stacked.get(0), ops.vector(ops.i64(-1), ops.dim(q, 1)));
    Value byPosition = ops.compress(rows, ops.flatten(stacked.get(1)));
    return ops.scatterRows(ops.zeros(ops.shape(q)), queryOrder, byPosition);
  }

  /** Bool over the keys and the pseudo-keys behind them: which of them a query segment visits. */
  private static Value visited(
      Ops ops, Value keepWords, KeySegments segments, Optional<PseudoKeys> pseudoKeys) {
    Value kept = ops.named("kept", PlanParts.unpackKeep(ops, keepWords, segments.count()));
    Value ofPosition = ops.gather(kept, segments.ofPosition());
    Value keys = segments.visible().map(v -> ops.and(ofPosition, v)).orElse(ofPosition);
    return pseudoKeys
        .map(pseudo -> ops.concat(0, keys, ops.and(ops.not(kept), pseudo.exists())))
        .orElse(keys);
  }

  /**
   * The key segments of one head.
   *
   * @param count Nk
   * @param ofPosition i64 {@code [S]}: the segment of each position
   * @param visible bool {@code [S]}: whether the key at a position may be visited; empty if all may
   */
  private record KeySegments(Value count, Value ofPosition, Optional<Value> visible) {
    static KeySegments of(Ops ops, Value offsets, Keys inOrder) {
      return new KeySegments(
          ops.sub(ops.dim(offsets, 0), ops.i64(1)),
          ops.named(
              "segment_of_position",
              PlanParts.segmentOfPosition(ops, offsets, ops.dim(inOrder.k(), 0))),
          inOrder.visible(ops));
    }
  }

  /**
   * One pseudo-key for each key segment: the means over its keys, each weighted with {@code
   * exp(bias)}, which is 1 or, for a key that is masked out, 0.
   *
   * @param k f32 {@code [Nk,D]}
   * @param v f32 {@code [Nk,D]}
   * @param bias f32 {@code [Nk]}: logarithm of the sum of the weights
   * @param exists bool {@code [Nk]}: whether the segment has a key that is not masked out
   */
  private record PseudoKeys(Value k, Value v, Value bias, Value exists) {
    static PseudoKeys of(Ops ops, KeySegments segments, Keys inOrder) {
      Value ones = ops.expand(ops.f32(1f), ops.shape(segments.ofPosition()));
      Value weights = inOrder.bias().map(ops::exp).orElse(ones);
      Value none = ops.zeros(ops.vector(segments.count()));
      Value sizes =
          ops.named("segment_sizes", ops.scatterAdd(none, segments.ofPosition(), weights));
      Value exists = ops.greater(sizes, ops.f32(0f));
      Value divisors = ops.where(exists, sizes, ops.f32(1f));
      return new PseudoKeys(
          ops.named("mean_keys", means(ops, segments, inOrder.k(), weights, divisors)),
          ops.named("mean_values", means(ops, segments, inOrder.v(), weights, divisors)),
          ops.log(divisors),
          exists);
    }

    private static Value means(
        Ops ops, KeySegments segments, Value rows, Value weights, Value divisors) {
      Value zeros = ops.zeros(ops.vector(segments.count(), ops.dim(rows, 1)));
      Value indices = ops.expand(ops.unsqueeze(segments.ofPosition(), 1), ops.shape(rows));
      Value weighted = ops.mul(rows, ops.unsqueeze(weights, 1));
      return ops.div(ops.scatterAdd(zeros, indices, weighted), ops.unsqueeze(divisors, 1));
    }

    Keys appendTo(Ops ops, Keys keys) {
      Value noBias = ops.zeros(ops.vector(ops.dim(keys.k(), 0)));
      return new Keys(
          ops.concat(0, keys.k(), k),
          ops.concat(0, keys.v(), v),
          Optional.of(ops.concat(0, keys.bias().orElse(noBias), bias)));
    }
  }

  // ---- both -------------------------------------------------------------------------------------

  /** {@code softmax(scale q k^T + bias) v}: f32 {@code [rows,D]}, with at least one key. */
  private static Value attend(Ops ops, Value q, Keys keys) {
    Value scores =
        keys.bias()
            .map(
                bias ->
                    ops.timesTransposedPlus(
                        Ops.callAttribute(SparseOps.SCALE), q, keys.k(), ops.unsqueeze(bias, 0)))
            .orElseGet(() -> ops.timesTransposed(Ops.callAttribute(SparseOps.SCALE), q, keys.k()));
    return ops.matMul(ops.softmaxRows(ops.named("scores", scores)), keys.v());
  }
}
