package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.passes.functions.Ops.Iteration;
import java.util.List;
import java.util.Map;

/**
 * The body of {@code AdaSpaPlan} (AdaSpa, arXiv 2502.21079: section 4.2 online search, algorithms 1
 * and 2; section 4.3 head-adaptive hierarchical sparsity; deterministic where the paper leaves it
 * open).
 *
 * <pre>
 * for each head, on a step that plans:
 *   S = scale Q K^T + key_bias, in f32, in chunks of about 1,024 rows
 *   COLD: LSE[r] = log sum over keys of exp(S[r,c])             else: LSE of the last COLD step
 *   W[i,j] = sum of exp(S[r,c] - LSE[r]) over r in block i, c in block j
 *   dropped = sum over video blocks i of what W[i,j] has outside the k(density) greatest
 *   recall = 1 - dropped / sum of all W, text included
 * for each batch element:
 *   n = min(number of heads whose recall is above the threshold, floor(H / 2))
 *   density of the n heads of the greatest recall = density - spread
 *           of the n heads of the least           = density + spread
 *           of the others                         = density,   spread = min(density / 2, 1 - density)
 * for each head:
 *   keep of video block i = its k(density of the head) greatest W[i,j], j a video block
 * k(d) = floor((d + 1e-6) n + 1/2), at least 1 and at most n, in f64, for n video blocks
 * </pre>
 *
 * <p>The algorithms of the paper print {@code Log(S - LSE)} where exp is meant. In terms of
 * sparsity s = 1 - density its head classes are (1+s)/2, (3s-1)/2 and s: the same, and as the mean
 * stays the density, at most H/2 heads can give (the paper does not say what happens beyond) and
 * none can have more than 1 (the paper's s below 1/3). Equal masses rank by key block, equal
 * recalls by head; sums are f32. A query whose keys are all masked out has LSE +inf and no mass.
 * Query blocks without tokens keep nothing.
 *
 * <p>Text is one segment, which all visit and which visits all, on top of the k blocks (the paper's
 * text sink); its mass counts in the recall. Here no block straddles video and text, while blocks
 * of the paper do and then count as text.
 *
 * <p>A step that does not plan copies its state through. Its plan is the one in state; where plans
 * are not state it keeps everything.
 */
final class AdaSpaPlanFunction {
  private static final long CHUNK_ROWS = 1024;

  private final AdaSpaPlan call;

  private AdaSpaPlanFunction(AdaSpaPlan call) {
    this.call = call;
  }

  static Function build(AdaSpaPlan call, long opset) {
    return Ops.function(
        call,
        opset,
        "AdaSpa: blocks of tokens as segments; a query block keeps the key blocks with the most"
            + " mass, heads of high recall fewer of them.",
        new AdaSpaPlanFunction(call)::body);
  }

  private Map<String, Value> body(Ops ops, Map<String, Value> inputs) {
    Action action = new Action(ops, Ops.lookup(inputs, SparseOps.ACTION));
    Value q = Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, SparseOps.Q));
    Heads heads = new Heads(ops, q);
    VideoTokens tokens =
        VideoTokens.of(ops, call.text(), q, Ops.lookup(inputs, SparseOps.GEOMETRY));
    VideoBlocks blocks = VideoBlocks.of(ops, tokens, ops.intAttribute(AdaSpaPlan.BLOCK_SIZE));
    List<Value> results =
        ops.ifElse(
            "plan_or_keep",
            action.plans(ops),
            plan -> plan(plan, inputs, heads, blocks, action.isCold(plan)),
            keep ->
                List.of(
                    call.planState()
                        ? Ops.lookup(inputs, Planner.last(SparseOps.KEEP))
                        : blocks.everythingKept(keep, heads),
                    Ops.lookup(inputs, AdaSpaPlan.LSE)));
    Map<String, Value> outputs = blocks.plan(ops, heads, results.get(0));
    outputs.put(AdaSpaPlan.NEXT_LSE, results.get(1));
    return outputs;
  }

  // ---- a step that plans ------------------------------------------------------------------------

  private List<Value> plan(
      Ops ops, Map<String, Value> inputs, Heads heads, VideoBlocks blocks, Value cold) {
    Value density = ops.f64(ops.floatAttribute(AdaSpaPlan.DENSITY));
    Value base = ops.named("kept_blocks", keptBlocks(ops, density, blocks));
    List<Value> searched = searchAll(ops, call, inputs, heads, blocks, cold, base);
    Value masses = searched.get(1);
    Value recalls = ops.named("recalls", heads.join(ops, searched.get(2)));
    Value kept =
        ops.named(
            "kept_blocks_of_heads",
            ops.flatten(keptBlocks(ops, densities(ops, recalls, density), blocks)));
    Value keep =
        ops.loop(
                "select_for_each_head",
                heads.count(),
                List.of(),
                (body, head, none) ->
                    Iteration.scan(
                        PlanParts.packKeep(
                            body,
                            blocks
                                .tokens()
                                .keepWithText(
                                    body,
                                    select(
                                        body,
                                        body.gather(masses, head),
                                        body.gather(kept, head),
                                        blocks)))))
            .get(0);
    return List.of(heads.join(ops, keep), heads.join(ops, searched.get(0)));
  }

  /**
   * Searches all heads.
   *
   * @return LSE f32 {@code [B H,S]}, W of the video blocks f32 {@code [B H,room,room]}, and recall
   *     f32 {@code [B H]} where {@code kept} blocks are kept
   */
  static List<Value> searchAll(
      Ops ops,
      AdaSpaPlan call,
      Map<String, Value> inputs,
      Heads heads,
      VideoBlocks blocks,
      Value cold,
      Value kept) {
    Sites sites = Sites.of(ops, call, inputs, heads);
    Slots slots = Slots.of(ops, blocks);
    return ops.loop(
        "search_each_head",
        heads.count(),
        List.of(),
        (body, head, none) -> {
          Search search = search(body, sites.head(body, head), slots, cold);
          return Iteration.scan(search.lse(), search.mass(), recall(body, search, kept));
        });
  }

  /** K(d): i64 of the shape of the densities, f64. */
  private static Value keptBlocks(Ops ops, Value densities, VideoBlocks blocks) {
    Value exact = ops.mul(ops.add(densities, ops.f64(1e-6)), ops.f64(blocks.count()));
    Value nearest = ops.i64(ops.floor(ops.add(exact, ops.f64(.5))));
    return ops.min(ops.max(nearest, ops.i64(1)), blocks.count());
  }

  /** F64 {@code [B,H]}: the density of each head, from recalls f32 {@code [B,H]}. */
  private static Value densities(Ops ops, Value recalls, Value density) {
    Value count = ops.dim(recalls, 1);
    Value concentrated = ops.greater(recalls, ops.floatAttribute(AdaSpaPlan.RECALL_THRESHOLD));
    Value half = ops.div(count, ops.i64(2));
    Value giving =
        ops.named(
            "giving_heads", ops.unsqueeze(ops.min(ops.sum(ops.i64(concentrated), 1), half), 1));
    Value spread =
        ops.min(ops.mul(density, ops.f64(.5)), ops.max(ops.sub(ops.f64(1), density), ops.f64(0)));
    Value rank = ops.range(count);
    Value gives = ops.less(rank, giving);
    Value takes = ops.not(ops.less(rank, ops.sub(count, giving)));
    Value ranked =
        ops.where(
            gives, ops.sub(density, spread), ops.where(takes, ops.add(density, spread), density));
    Value ranking = ops.sort(recalls, count, true).indices();
    return ops.scatter(1, ranked, ranking, ranked);
  }

  /**
   * The video blocks that each video block keeps.
   *
   * @param mass f32 {@code [room,room]}
   * @param kept how many
   * @return i64 {@code [room,room]}, 0 or 1
   */
  private static Value select(Ops ops, Value mass, Value kept, VideoBlocks blocks) {
    Value rows = ops.unsqueeze(blocks.exist(ops), 1);
    Value ranks = ops.unsqueeze(ops.less(ops.range(blocks.room()), kept), 0);
    Value ranking = ops.sort(mass, blocks.room(), true).indices();
    return PlanParts.unrank(ops, ops.and(rows, ranks), ranking);
  }

  /** F32 scalar: the part of all mass that stays if each video block keeps {@code kept} others. */
  private static Value recall(Ops ops, Search search, Value kept) {
    Value room = ops.dim(search.mass(), 1);
    Value ranked = ops.sort(search.mass(), room, true).elements();
    Value dropped = ops.sum(ops.flatten(ops.sliceColumns(ranked, kept, room)), 0);
    Value total = ops.where(ops.greater(search.total(), ops.f32(0f)), search.total(), ops.f32(1f));
    return ops.sub(ops.f32(1f), ops.div(dropped, total));
  }

  // ---- search -----------------------------------------------------------------------------------

  /** Q, K, bias and LSE of all heads, {@code [B H,...]}; the bias {@code [B,S]}. */
  private record Sites(Heads heads, Value q, Value k, Value bias, boolean biased, Value lse) {
    static Sites of(Ops ops, AdaSpaPlan call, Map<String, Value> inputs, Heads heads) {
      Value q = Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, SparseOps.Q));
      Value k = Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, SparseOps.K));
      Value bias =
          call.keyBias()
              ? ops.squeeze(Ops.lookup(inputs, SparseOps.KEY_BIAS), 1, 2)
              : ops.zeros(ops.vector(ops.dim(q, 2)));
      return new Sites(
          heads,
          heads.split(ops, q),
          heads.split(ops, k),
          bias,
          call.keyBias(),
          heads.split(ops, Ops.lookup(inputs, AdaSpaPlan.LSE)));
    }

    Head head(Ops ops, Value head) {
      return new Head(
          ops.f32(ops.gather(q, head)),
          ops.f32(ops.gather(k, head)),
          biased ? ops.gather(bias, heads.batchOf(ops, head)) : bias,
          ops.gather(lse, head));
    }
  }

  /**
   * One head.
   *
   * @param q f32 {@code [S,D]}
   * @param k f32 {@code [S,D]}
   * @param bias f32 {@code [S]}
   * @param lse f32 {@code [S]}: of the last COLD step
   */
  private record Head(Value q, Value k, Value bias, Value lse) {}

  /**
   * The tokens in blocks of full size: the video blocks first, then text, each filled up with empty
   * slots.
   *
   * @param blocks the video blocks
   * @param tokenOf i64 {@code [T]}: the token of each slot, S for none; T is a multiple of the size
   * @param slotOf i64 {@code [S]}: the slot of each token
   */
  private record Slots(VideoBlocks blocks, Value tokenOf, Value slotOf) {
    static Slots of(Ops ops, VideoBlocks blocks) {
      VideoTokens tokens = blocks.tokens();
      Value videoSlots = ops.mul(blocks.room(), blocks.size());
      Value video = filledUp(ops, tokens.count(), tokens.start(), videoSlots, tokens.all());
      Value slotOfVideo = ops.range(tokens.count());
      if (tokens.position() == TextPosition.NONE) {
        return new Slots(blocks, video, slotOfVideo);
      }
      Value textSlots = ops.mul(ops.ceilDiv(tokens.textCount(), blocks.size()), blocks.size());
      Value text = filledUp(ops, tokens.textCount(), tokens.textStart(), textSlots, tokens.all());
      Value slotOfText = ops.add(ops.range(tokens.textCount()), videoSlots);
      return new Slots(
          blocks, ops.concat(0, video, text), tokens.withText(ops, slotOfVideo, slotOfText));
    }

    private static Value filledUp(Ops ops, Value count, Value start, Value slots, Value none) {
      Value slot = ops.range(slots);
      return ops.where(ops.less(slot, count), ops.add(slot, start), none);
    }

    /** Elements of tokens by slot; empty slots have the given row. */
    Value bySlot(Ops ops, Value ofTokens, Value empty) {
      return ops.gather(ops.concat(0, ofTokens, empty), tokenOf);
    }
  }

  /**
   * What the exact attention of one head says of its blocks.
   *
   * @param lse f32 {@code [S]}
   * @param mass f32 {@code [room,room]}: W of the video blocks
   * @param total f32 scalar: sum of all W, text included
   */
  private record Search(Value lse, Value mass, Value total) {}

  private static Search search(Ops ops, Head head, Slots slots, Value cold) {
    Value noRow = ops.zeros(ops.vector(ops.i64(1), ops.dim(head.q(), 1)));
    Value infinity = ops.f32(Float.POSITIVE_INFINITY);
    Value q = ops.named("queries", slots.bySlot(ops, head.q(), noRow));
    Value k = ops.named("keys", slots.bySlot(ops, head.k(), noRow));
    Value lastLse = ops.unsqueeze(slots.bySlot(ops, head.lse(), ops.unsqueeze(infinity, 0)), 1);
    Value bias =
        ops.unsqueeze(
            slots.bySlot(ops, head.bias(), ops.unsqueeze(ops.f32(Float.NEGATIVE_INFINITY), 0)), 0);
    Value isToken = ops.unsqueeze(ops.less(slots.tokenOf(), slots.blocks().tokens().all()), 1);

    Value size = slots.blocks().size();
    Value length = ops.dim(slots.tokenOf(), 0);
    Value all = ops.div(length, size);
    Value wanted = ops.ceilDiv(length, ops.i64(CHUNK_ROWS));
    Value blocksInChunk = ops.ceilDiv(all, wanted);
    Value rowsInChunk = ops.mul(blocksInChunk, size);
    List<Value> stacked =
        ops.loop(
            "for_each_chunk",
            ops.ceilDiv(all, blocksInChunk),
            List.of(),
            (body, chunk, none) -> {
              Value start = body.mul(chunk, rowsInChunk);
              Value end = body.min(body.add(start, rowsInChunk), length);
              Value scores =
                  body.named(
                      "scores",
                      body.timesTransposedPlus(
                          Ops.callAttribute(SparseOps.SCALE), body.slice(q, start, end), k, bias));
              Value lse =
                  body.ifElse(
                          "own_or_last_lse",
                          cold,
                          own ->
                              List.of(
                                  own.where(
                                      own.slice(isToken, start, end),
                                      lseOfRows(own, scores),
                                      infinity)),
                          last -> List.of(last.slice(lastLse, start, end)))
                      .get(0);
              Value mass = body.exp(body.sub(scores, lse));
              Value columns = body.reshape(mass, body.vector(body.i64(-1), all, size));
              Value ofRows =
                  body.reshape(body.sum(columns, 2), body.vector(body.i64(-1), size, all));
              return Iteration.scan(
                  body.padRows(lse, rowsInChunk), body.padRows(body.sum(ofRows, 1), blocksInChunk));
            });
    Value lse = ops.gather(ops.flatten(stacked.get(0)), slots.slotOf());
    Value mass = ops.named("block_mass", ops.reshape(stacked.get(1), ops.vector(ops.i64(-1), all)));
    Value room = slots.blocks().room();
    Value ofVideo = ops.sliceColumns(ops.slice(mass, ops.i64(0), room), ops.i64(0), room);
    return new Search(lse, ofVideo, ops.sum(ops.flatten(mass), 0));
  }

  /** F32 {@code [rows,1]}: log of the sum of exp of each row; +inf where all are -inf. */
  private static Value lseOfRows(Ops ops, Value scores) {
    Value none = ops.f32(Float.NEGATIVE_INFINITY);
    Value max = ops.unsqueeze(ops.maxOver(scores, 1), 1);
    Value finite = ops.where(ops.greater(max, none), max, ops.f32(0f));
    Value sum = ops.unsqueeze(ops.sum(ops.exp(ops.sub(scores, finite)), 1), 1);
    Value lse = ops.add(finite, ops.log(sum));
    return ops.where(ops.greater(lse, none), lse, ops.f32(Float.POSITIVE_INFINITY));
  }
}
