package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.passes.functions.Ops.Iteration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The body of {@code ReferencePlan}.
 *
 * <pre>
 * most mass   W[h,i,j] = mass that query block i of head h gives key block j (AdaSpa's search)
 *             keep the floor((density + 1e-6) H n^2 + 1/2) greatest W of each batch element, and
 *             the greatest of each (h,i)
 * random      keep for each (h,i) the max(1, floor((density + 1e-6) n + 1/2)) key blocks j with the
 *             greatest f(f(m)), m the place of (h,i,j) and seed and site, f(m) = m^2 + 16807 m + 1
 *             mod 2^31 - 1
 * </pre>
 *
 * <p>n is the number of video blocks; text is one segment, which all visit and which visits all. A
 * step that does not plan keeps everything.
 */
final class ReferencePlanFunction {
  private static final long PRIME = (1L << 31) - 1;
  private static final long FACTOR = 16807;

  private final ReferencePlan call;

  private ReferencePlanFunction(ReferencePlan call) {
    this.call = call;
  }

  static Function build(ReferencePlan call, long opset) {
    return Ops.function(
        call,
        opset,
        "A reference: the blocks of the exact attention with the most mass, or random blocks.",
        new ReferencePlanFunction(call)::body);
  }

  private Map<String, Value> body(Ops ops, Map<String, Value> inputs) {
    Action action = new Action(ops, Ops.lookup(inputs, SparseOps.ACTION));
    Value q = Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, SparseOps.Q));
    Heads heads = new Heads(ops, q);
    VideoTokens tokens =
        VideoTokens.of(ops, call.text(), q, Ops.lookup(inputs, SparseOps.GEOMETRY));
    VideoBlocks blocks = VideoBlocks.of(ops, tokens, ops.intAttribute(AdaSpaPlan.BLOCK_SIZE));
    Value keep =
        ops.ifElse(
                "plan_or_keep",
                action.plans(ops),
                plan ->
                    List.of(
                        pack(
                            plan,
                            heads,
                            tokens,
                            switch (call.choice()) {
                              case MOST_MASS -> mostMass(plan, inputs, heads, blocks);
                              case RANDOM -> random(plan, heads, blocks);
                            })),
                all -> List.of(blocks.everythingKept(all, heads)))
            .get(0);
    return blocks.plan(ops, heads, keep);
  }

  /** I32 {@code [B,H,N,ceil(N/32)]} from i64 {@code [B H,room,room]}. */
  private static Value pack(Ops ops, Heads heads, VideoTokens tokens, Value keep) {
    Value packed =
        ops.loop(
                "pack_each_head",
                heads.count(),
                List.of(),
                (body, head, none) -> {
                  Value ofHead = tokens.keepWithText(body, body.gather(keep, head));
                  return Iteration.scan(PlanParts.packKeep(body, ofHead));
                })
            .get(0);
    return heads.join(ops, packed);
  }

  // ---- most mass --------------------------------------------------------------------------------

  private Value mostMass(Ops ops, Map<String, Value> inputs, Heads heads, VideoBlocks blocks) {
    Map<String, Value> searched = new HashMap<>(inputs);
    Value q = Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, SparseOps.Q));
    searched.put(AdaSpaPlan.LSE, ops.zeros(ops.shape(q, 0, 3)));
    Value mass =
        AdaSpaPlanFunction.searchAll(
                ops, call.search(), searched, heads, blocks, ops.bool(true), ops.i64(1))
            .get(1);
    Value batches = ops.dim(q, 0);
    Value pairs = ops.mul(ops.div(heads.count(), batches), ops.mul(blocks.count(), blocks.count()));
    Value ofBatch = ops.reshape(mass, ops.vector(batches, ops.i64(-1)));
    Value ofRow = ops.reshape(mass, ops.vector(ops.i64(-1), blocks.room()));
    return ops.max(
        ops.reshape(greatest(ops, ofBatch, rounded(ops, pairs)), ops.shape(mass)),
        ops.reshape(greatest(ops, ofRow, ops.i64(1)), ops.shape(mass)));
  }

  /** I64 of the shape of a matrix: 1 for the greatest elements of each row, of equals the first. */
  private static Value greatest(Ops ops, Value matrix, Value count) {
    Value columns = ops.dim(matrix, 1);
    Value ranking = ops.sort(matrix, columns, true).indices();
    Value kept = ops.unsqueeze(ops.less(ops.range(columns), count), 0);
    return PlanParts.unrank(ops, ops.expand(kept, ops.shape(matrix)), ranking);
  }

  /** Floor((density + 1e-6) count + 1/2), at least 1. */
  private static Value rounded(Ops ops, Value count) {
    Value density = ops.add(ops.f64(ops.floatAttribute(AdaSpaPlan.DENSITY)), ops.f64(1e-6));
    Value exact = ops.mul(density, ops.f64(count));
    return ops.max(ops.i64(ops.floor(ops.add(exact, ops.f64(.5)))), ops.i64(1));
  }

  // ---- random -----------------------------------------------------------------------------------

  private static Value random(Ops ops, Heads heads, VideoBlocks blocks) {
    Value room = blocks.room();
    Value rows = ops.mul(heads.count(), room);
    Value place = ops.range(ops.mul(rows, room));
    Value offset =
        ops.add(
            ops.mul(ops.intAttribute(ReferencePlan.SEED), ops.i64(1_000_003)),
            ops.mul(ops.intAttribute(SparseOps.SITE), ops.i64(15_485_863)));
    Value mixed = mix(ops, mix(ops, ops.mod(ops.add(place, offset), ops.i64(PRIME))));
    Value scores = ops.reshape(ops.f32(mixed), ops.vector(rows, room));
    Value exists = ops.unsqueeze(blocks.exist(ops), 0);
    Value chosen =
        greatest(ops, ops.where(exists, scores, ops.f32(-1f)), rounded(ops, blocks.count()));
    return ops.reshape(chosen, ops.vector(heads.count(), room, room));
  }

  private static Value mix(Ops ops, Value x) {
    Value polynomial = ops.add(ops.mul(x, ops.add(x, ops.i64(FACTOR))), ops.i64(1));
    return ops.mod(polynomial, ops.i64(PRIME));
  }
}
