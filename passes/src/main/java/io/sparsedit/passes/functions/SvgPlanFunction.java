package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.passes.functions.Ops.Iteration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The body of {@code SvgPlan} (Sparse VideoGen, arXiv 2502.01776, section 4, and its published
 * code; deterministic where that is not). Video tokens count from 0, F frames of P tokens each, V =
 * F P; token t is patch {@code t % P} of frame {@code t / P}.
 *
 * <pre>
 * position of token t      spatial  t          temporal  (t % P) F + t / P
 * block of a token         its position / size
 *
 * for each head, on a step that plans (section 4.2, online profiling):
 *   for R evenly spaced queries, token floor((2j+1) V / (2R)):
 *     O  = attention to all keys
 *     Oc = attention to text, to the sink of class c, and to the tokens less than p blocks away by
 *          the positions of class c,  p = max(1, floor(floor(profile_frames P) / size))
 *   class = temporal if sum (Ot - O)^2 + 1e-10 sum O^2 &lt; sum (Os - O)^2, else spatial: the c whose
 *     Oc is nearer to O, where differences that rounding makes do not decide
 * plan of the head: tokens in the order of their position in its class; a query block keeps
 *   the key blocks up to m blocks away and the sink; text keeps and is kept by all
 * </pre>
 *
 * <p>The width of the band (section 4.1, and the published code): with L tokens, T of them text,
 * {@code s = density - 2 T / L} clamped to [0,1] and {@code w = L (1 - sqrt(1 - s))} tokens; {@code
 * m = w / size}, rounded up without text and down with text as the published code does, in f64 and
 * to 1e-4 of a block. A published mask keeps pairs at most (without text) or less than (with text)
 * {@code m size} positions apart: the same m blocks, of which it drops parts that are kept here. At
 * m = 0 a block keeps itself.
 *
 * <p>As a budget, m is the greatest number with which the sink and the band keep at most {@code
 * floor(density V^2)} pairs of video tokens, and at least 0; then density 1 keeps everything too.
 *
 * <p>The sink ({@link FrameSink}): PUBLISHED are the blocks with positions below P. CORRECTED are
 * the tokens below P, as one key segment before the blocks, which have them no more; the band is as
 * if they were there. In the profile, sinks are exact positions and tokens, not blocks.
 *
 * <p>The published code draws the sampled rows at random among the first 10,000 tokens, and in one
 * model hides text from the temporal profile; here they are spread over all video tokens, and text
 * is seen. key_bias holds in all three attentions; where it hides every key, O is 0.
 *
 * <p>A step that does not plan copies the classes through and makes their plan again, which is the
 * same; any class but 1 is spatial. Where plans are not state it keeps everything.
 */
final class SvgPlanFunction {
  /** Decimal fractions of f32 are a little off: widths are right to this part of a block. */
  static final double SLACK = 1e-4;

  /** Outputs that differ by 1e-5 of their norm count as equal. */
  private static final float ROUNDING_OF_SQUARES = 1e-10f;

  private final SvgPlan call;

  private SvgPlanFunction(SvgPlan call) {
    this.call = call;
  }

  static Function build(SvgPlan call, long opset) {
    return Ops.function(
        call,
        opset,
        "SVG: heads are spatial or temporal by how well a band of tokens explains sampled rows;"
            + " blocks in frame-major or token-major order keep a band and the first frame.",
        new SvgPlanFunction(call)::body);
  }

  private Map<String, Value> body(Ops ops, Map<String, Value> inputs) {
    Action action = new Action(ops, Ops.lookup(inputs, SparseOps.ACTION));
    Value q = Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, SparseOps.Q));
    Heads heads = new Heads(ops, q);
    Video video = Video.of(ops, call, q, Ops.lookup(inputs, SparseOps.GEOMETRY));
    List<ClassPlan> plans =
        new ArrayList<>(
            List.of(plan(ops, video, video.spatial()), plan(ops, video, video.temporal())));
    Value classes =
        ops.ifElse(
                "classify_or_keep",
                action.plans(ops),
                classify -> List.of(classify(classify, inputs, heads, video)),
                keep -> List.of(lastClasses(keep, inputs, heads)))
            .get(0);
    if (!call.planState()) {
      plans.add(everythingKept(ops, plans.get(0)));
    }
    Map<String, Value> outputs = new HashMap<>();
    for (int i = 0; i < Planner.PLAN.size(); i++) {
      int tensor = i;
      Value[] ofClasses =
          plans.stream()
              .map(plan -> ops.unsqueeze(plan.tensors().get(tensor), 0))
              .toArray(Value[]::new);
      outputs.put(
          Planner.PLAN.get(i),
          heads.join(ops, ops.gather(ops.concat(0, ofClasses), ops.i64(classes))));
    }
    outputs.put(SvgPlan.NEXT_HEAD_CLASSES, heads.join(ops, classes));
    return outputs;
  }

  /** I32 {@code [B H]}: 0 or 1; where plans are not state 2, the plan that keeps everything. */
  private Value lastClasses(Ops ops, Map<String, Value> inputs, Heads heads) {
    if (!call.planState()) {
      return ops.i32(ops.filled(2, ops.asVector(heads.count())));
    }
    Value last = heads.split(ops, Ops.lookup(inputs, SvgPlan.HEAD_CLASSES));
    return ops.i32(ops.equal(last, ops.i32(1)));
  }

  // ---- plans ------------------------------------------------------------------------------------

  /**
   * The video tokens of a site.
   *
   * @param blocks their blocks
   * @param frames F
   * @param perFrame P
   * @param sink the sink of the call
   */
  private record Video(VideoBlocks blocks, Value frames, Value perFrame, FrameSink sink) {
    static Video of(Ops ops, SvgPlan call, Value bhsd, Value geometry) {
      VideoTokens tokens = VideoTokens.of(ops, call.text(), bhsd, geometry);
      VideoBlocks blocks = VideoBlocks.of(ops, tokens, ops.intAttribute(SvgPlan.BLOCK_SIZE));
      return new Video(
          blocks,
          ops.named("frames", VideoTokens.frames(ops, geometry)),
          ops.named("tokens_per_frame", VideoTokens.perFrame(ops, geometry)),
          call.sink());
    }

    Value count() {
      return blocks.tokens().count();
    }

    HeadClass spatial() {
      return (ops, tokens, inverse) -> tokens;
    }

    HeadClass temporal() {
      return (ops, tokens, inverse) -> {
        Value fast = inverse ? frames : perFrame;
        Value slow = inverse ? perFrame : frames;
        return ops.add(ops.mul(ops.mod(tokens, fast), slow), ops.div(tokens, fast));
      };
    }
  }

  /** The order of tokens in a class of heads; video tokens and positions count from 0. */
  @FunctionalInterface
  private interface HeadClass {
    /** Positions of tokens; with {@code inverse} tokens of positions. */
    Value map(Ops ops, Value numbers, boolean inverse);
  }

  /** The tensors of {@link Planner#PLAN} of one head. */
  private record ClassPlan(List<Value> tensors) {}

  private ClassPlan plan(Ops ops, Video video, HeadClass headClass) {
    VideoBlocks blocks = video.blocks();
    VideoTokens tokens = blocks.tokens();
    Value order = headClass.map(ops, ops.range(video.count()), true);
    Value sizes = blocks.sizes(ops);
    Value keyOrder = order;
    Value keySizes = sizes;
    if (call.sink() == FrameSink.CORRECTED) {
      Value later = ops.not(ops.less(order, video.perFrame()));
      keyOrder = ops.concat(0, ops.range(video.perFrame()), ops.compress(order, later));
      Value laterPositions = ops.compress(ops.range(video.count()), later);
      keySizes = ops.histogram(ops.div(laterPositions, blocks.size()), blocks.room());
    }
    Value kept = keepBand(ops, video, sizes, keySizes);
    if (call.sink() == FrameSink.CORRECTED) {
      Value column = ops.unsqueeze(ops.i64(blocks.exist(ops)), 1);
      kept = ops.concat(1, column, kept);
      keySizes = ops.concat(0, ops.asVector(video.perFrame()), keySizes);
    }
    return new ClassPlan(
        List.of(
            tokens.order(ops, order),
            tokens.order(ops, keyOrder),
            tokens.offsets(ops, sizes),
            tokens.offsets(ops, keySizes),
            PlanParts.packKeep(ops, tokens.keepWithText(ops, kept))));
  }

  private ClassPlan everythingKept(Ops ops, ClassPlan spatial) {
    List<Value> tensors = new ArrayList<>(spatial.tensors().subList(0, 4));
    Value querySegments = ops.sub(ops.dim(tensors.get(2), 0), ops.i64(1));
    Value keySegments = ops.sub(ops.dim(tensors.get(3), 0), ops.i64(1));
    tensors.add(PlanParts.packKeep(ops, ops.filled(1, ops.vector(querySegments, keySegments))));
    return new ClassPlan(tensors);
  }

  /**
   * Band and published sink.
   *
   * @param sizes i64 {@code [room]}: tokens of the query blocks
   * @param keySizes i64 {@code [room]}: tokens of the key blocks
   * @return i64 {@code [room,room]}, 0 or 1
   */
  private Value keepBand(Ops ops, Video video, Value sizes, Value keySizes) {
    VideoBlocks blocks = video.blocks();
    Value index = ops.range(blocks.room());
    Value distance = ops.op("Abs", ops.sub(ops.unsqueeze(index, 1), ops.unsqueeze(index, 0)));
    Value exist = blocks.exist(ops);
    Value real = ops.and(ops.unsqueeze(exist, 1), ops.unsqueeze(exist, 0));
    Value always =
        call.sink() == FrameSink.PUBLISHED
            ? ops.less(ops.mul(index, blocks.size()), video.perFrame())
            : ops.bool(ops.filled(0, ops.asVector(blocks.room())));
    Value width =
        ops.ifElse(
                "budget_or_published",
                ops.equal(ops.intAttribute(SvgPlan.BUDGET), ops.i64(0)),
                published -> List.of(publishedWidth(published, blocks)),
                budget -> List.of(budgetWidth(budget, video, distance, sizes, keySizes, always)))
            .get(0);
    Value near = ops.lessOrEqual(distance, ops.named("band_blocks", width));
    return ops.i64(ops.and(real, ops.or(near, ops.unsqueeze(always, 0))));
  }

  /** M by the published formula. */
  private Value publishedWidth(Ops ops, VideoBlocks blocks) {
    VideoTokens tokens = blocks.tokens();
    Value all = ops.f64(tokens.all());
    Value one = ops.f64(1);
    Value strips = ops.div(ops.mul(ops.f64(2), ops.f64(tokens.textCount())), all);
    Value share = ops.sub(ops.f64(ops.floatAttribute(SvgPlan.DENSITY)), strips);
    Value rest = ops.min(ops.max(ops.sub(one, share), ops.f64(0)), one);
    Value width = ops.mul(all, ops.sub(one, ops.sqrt(rest)));
    Value exact = ops.div(width, ops.f64(blocks.size()));
    double rounding = call.text() == TextPosition.NONE ? 1 - SLACK : SLACK;
    return ops.i64(ops.floor(ops.add(exact, ops.f64(rounding))));
  }

  /** The greatest m whose pairs are in the budget. */
  private Value budgetWidth(
      Ops ops, Video video, Value distance, Value sizes, Value keySizes, Value always) {
    Value count = video.count();
    Value room = video.blocks().room();
    Value pairs = ops.mul(ops.unsqueeze(sizes, 1), ops.unsqueeze(keySizes, 0));
    Value inBand = ops.where(ops.unsqueeze(always, 0), ops.i64(0), pairs);
    Value byDistance =
        ops.scatterAdd(
            ops.filled(0, ops.asVector(room)), ops.flatten(distance), ops.flatten(inBand));
    Value ofBlocks = ops.sum(ops.where(always, keySizes, ops.i64(0)), 0);
    Value sink =
        call.sink() == FrameSink.CORRECTED ? ops.add(ofBlocks, video.perFrame()) : ofBlocks;
    Value kept = ops.add(ops.cumSum(byDistance, 0), ops.mul(sink, count));
    Value all = ops.f64(ops.mul(count, count));
    Value limit = ops.i64(ops.floor(ops.mul(all, ops.f64(ops.floatAttribute(SvgPlan.DENSITY)))));
    Value fitting = ops.sum(ops.i64(ops.lessOrEqual(kept, limit)), 0);
    return ops.max(ops.sub(fitting, ops.i64(1)), ops.i64(0));
  }

  // ---- classes ----------------------------------------------------------------------------------

  /** I32 {@code [B H]}: 0 spatial, 1 temporal. */
  private Value classify(Ops ops, Map<String, Value> inputs, Heads heads, Video video) {
    Value queries = split(ops, heads, inputs, SparseOps.Q);
    Value keys = split(ops, heads, inputs, SparseOps.K);
    Value values = split(ops, heads, inputs, SparseOps.V);
    Optional<Value> biases =
        Optional.ofNullable(inputs.get(SparseOps.KEY_BIAS)).map(b -> ops.squeeze(b, 1, 2));
    VideoTokens tokens = video.blocks().tokens();
    // Token floor((j + 1/2) V / R).
    Value rows = ops.intAttribute(SvgPlan.SAMPLED_ROWS);
    Value odd = ops.add(ops.mul(ops.range(rows), ops.i64(2)), ops.i64(1));
    Value sampled = ops.div(ops.mul(odd, video.count()), ops.mul(rows, ops.i64(2)));
    Value spatial = ops.named("spatial_profile", profile(ops, video, video.spatial(), sampled));
    Value temporal = ops.named("temporal_profile", profile(ops, video, video.temporal(), sampled));
    return ops.loop(
            "classify_each_head",
            heads.count(),
            List.of(),
            (body, head, none) -> {
              Value q = body.gather(queries, head);
              Value sampledQ = body.f32(body.gather(q, body.add(sampled, tokens.start())));
              Value k = body.f32(body.gather(keys, head));
              Value v = body.f32(body.gather(values, head));
              Value products =
                  body.timesTransposed(Ops.callAttribute(SparseOps.SCALE), sampledQ, k);
              Value scores =
                  biases
                      .map(
                          b ->
                              body.add(
                                  products,
                                  body.unsqueeze(body.gather(b, heads.batchOf(body, head)), 0)))
                      .orElse(products);
              Value o = attend(body, scores, v);
              Value spatialError = error(body, attend(body, body.add(scores, spatial), v), o);
              Value temporalError = error(body, attend(body, body.add(scores, temporal), v), o);
              Value rounding =
                  body.mul(
                      body.sum(body.flatten(body.mul(o, o)), 0), body.f32(ROUNDING_OF_SQUARES));
              return Iteration.scan(
                  body.i32(body.less(body.add(temporalError, rounding), spatialError)));
            })
        .get(0);
  }

  private Value split(Ops ops, Heads heads, Map<String, Value> inputs, String name) {
    return heads.split(ops, Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, name)));
  }

  /**
   * What a class lets the sampled rows see, as a bias.
   *
   * @param sampled i64 {@code [R]}: video tokens
   * @return f32 {@code [R,S]}: 0 or -inf
   */
  private Value profile(Ops ops, Video video, HeadClass headClass, Value sampled) {
    VideoBlocks blocks = video.blocks();
    VideoTokens tokens = blocks.tokens();
    Value frames = ops.add(ops.f64(ops.floatAttribute(SvgPlan.PROFILE_FRAMES)), ops.f64(1e-6));
    Value width = ops.i64(ops.floor(ops.mul(frames, ops.f64(video.perFrame()))));
    Value reach = ops.max(ops.div(width, blocks.size()), ops.i64(1));
    Value token = ops.range(video.count());
    Value position = headClass.map(ops, token, false);
    Value block = ops.div(position, blocks.size());
    Value ofSampled = ops.div(headClass.map(ops, sampled, false), blocks.size());
    Value distance = ops.op("Abs", ops.sub(ops.unsqueeze(ofSampled, 1), ops.unsqueeze(block, 0)));
    Value near = ops.less(distance, reach);
    Value seen =
        switch (call.sink()) {
          case NONE -> near;
          case PUBLISHED -> ops.or(near, ops.unsqueeze(ops.less(position, video.perFrame()), 0));
          case CORRECTED -> ops.or(near, ops.unsqueeze(ops.less(token, video.perFrame()), 0));
        };
    Value bias = ops.where(seen, ops.f32(0f), ops.f32(Float.NEGATIVE_INFINITY));
    Value text = ops.zeros(ops.vector(ops.dim(sampled, 0), tokens.textCount()));
    return switch (call.text()) {
      case NONE -> bias;
      case FIRST -> ops.concat(1, text, bias);
      case LAST -> ops.concat(1, bias, text);
    };
  }

  /** {@code softmax(scores) v}; 0 where all scores are -inf. */
  private static Value attend(Ops ops, Value scores, Value v) {
    Value max = ops.unsqueeze(ops.maxOver(scores, 1), 1);
    Value finite = ops.where(ops.greater(max, ops.f32(Float.NEGATIVE_INFINITY)), max, ops.f32(0f));
    Value mass = ops.exp(ops.sub(scores, finite));
    Value sum = ops.unsqueeze(ops.sum(mass, 1), 1);
    Value divisor = ops.where(ops.greater(sum, ops.f32(0f)), sum, ops.f32(1f));
    return ops.div(ops.matMul(mass, v), divisor);
  }

  private static Value error(Ops ops, Value a, Value b) {
    Value difference = ops.sub(a, b);
    return ops.sum(ops.flatten(ops.mul(difference, difference)), 0);
  }
}
