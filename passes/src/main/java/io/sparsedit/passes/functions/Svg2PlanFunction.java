package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Value;
import io.sparsedit.passes.functions.Ops.Iteration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The body of {@code Svg2Plan} (Sparse VideoGen2, arXiv 2505.18875, section 4, and its published
 * code; deterministic where that is not).
 *
 * <pre>
 * for each head, on a step that plans:
 *   cluster the video queries and the video keys by k-means, from the centroids of the last plan
 *     (COLD: from evenly spaced tokens, with more iterations)
 *   order tokens by cluster: the clusters are the segments
 *   P[i,j] = |K_j| exp(scale qc_i kc_j) / sum over j          mass that cluster i gives cluster j
 *   keep of cluster i = the most massive clusters, up to and including the one whose mass takes the
 *     sum above top_p, and at least floor((min_kept + 1e-6) Ck) clusters
 * </pre>
 *
 * <p>With a budget instead of top_p, clusters are kept in the order of a ranking, up to and
 * including the one that takes the number of kept pairs to the budget or above it:
 *
 * <pre>
 *   mass            of each query cluster by P[i,j]; budget floor((density + 1e-6) tokens) keys
 *   mass-per-token  of the head by P[i,j] / |K_j|; budget floor((density + 1e-6) tokens^2) pairs,
 *                   of which cluster i's takes |Q_i| |K_j|; the max(1, least) most massive key
 *                   clusters of each query cluster come first, equals by i, then by mass
 * </pre>
 *
 * Here at least max(1, floor((min_kept + 1e-6) Ck)) clusters are kept. So a budget is exceeded by
 * less than a cluster a row, unless the least number of clusters exceeds it. A density of 1 or more
 * keeps everything.
 *
 * <p>A k-means iteration assigns each token to the centroid with the least {@code |c|^2 - 2 x c} in
 * f32 (the first of equals) and moves each centroid to the mean of its tokens, summed in f32 in
 * token order; an empty cluster stays where it is. The plan has the assignment of the last
 * iteration, the scores and the next state have the centroids moved after it. Equal masses rank by
 * index. Segments are in order of the cluster's index, tokens in a segment ascending. Text is one
 * segment before or after the clusters, which all visit and which visits all.
 *
 * <p>A step that does not plan copies its state through. Its plan is the one in state; where plans
 * are not state it is a valid plan that keeps everything, all tokens in their natural order in the
 * first segment.
 */
final class Svg2PlanFunction {
  private final Svg2Plan call;

  private Svg2PlanFunction(Svg2Plan call) {
    this.call = call;
  }

  static Function build(Svg2Plan call, long opset) {
    return Ops.function(
        call,
        opset,
        "SVG2: clusters of queries and keys as segments; a query cluster keeps the key clusters"
            + " with the most mass by centroids, up to top_p.",
        new Svg2PlanFunction(call)::body);
  }

  private Map<String, Value> body(Ops ops, Map<String, Value> inputs) {
    Action action = new Action(ops, Ops.lookup(inputs, SparseOps.ACTION));
    List<Value> results =
        ops.ifElse(
            "plan_or_keep",
            action.plans(ops),
            plan -> plan(plan, inputs, action.isCold(plan)),
            keep -> call.planState() ? lastPlan(inputs) : everythingKept(keep, inputs));
    Map<String, Value> outputs = new HashMap<>();
    for (int i = 0; i < results.size(); i++) {
      outputs.put(call.outputs().get(i), results.get(i));
    }
    return outputs;
  }

  // ---- a step that plans ------------------------------------------------------------------------

  private List<Value> plan(Ops ops, Map<String, Value> inputs, Value cold) {
    Value q = Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, SparseOps.Q));
    Value k = Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, SparseOps.K));
    Heads heads = new Heads(ops, q);
    VideoTokens tokens =
        VideoTokens.of(ops, call.text(), q, Ops.lookup(inputs, SparseOps.GEOMETRY));
    Value iterations =
        ops.named(
            "kmeans_iterations",
            ops.where(
                cold,
                ops.intAttribute(Svg2Plan.INIT_ITERATIONS),
                ops.intAttribute(Svg2Plan.ITERATIONS)));
    Side querySide =
        new Side(
            "queries",
            heads.split(ops, q),
            heads.split(ops, Ops.lookup(inputs, Svg2Plan.Q_CENTROIDS)),
            ops.intAttribute(Svg2Plan.Q_CLUSTERS));
    Side keySide =
        new Side(
            "keys",
            heads.split(ops, k),
            heads.split(ops, Ops.lookup(inputs, Svg2Plan.K_CENTROIDS)),
            ops.intAttribute(Svg2Plan.K_CLUSTERS));
    return ops
        .loop(
            "for_each_head",
            heads.count(),
            List.of(),
            (body, head, none) -> {
              Clusters queries = cluster(body, querySide, head, tokens, cold, iterations);
              Clusters keys = cluster(body, keySide, head, tokens, cold, iterations);
              Value keep = tokens.keepWithText(body, keep(body, queries, keys));
              return Iteration.scan(
                  tokens.order(body, stableOrder(body, queries.labels())),
                  tokens.order(body, stableOrder(body, keys.labels())),
                  tokens.offsets(body, queries.sizes()),
                  tokens.offsets(body, keys.sizes()),
                  PlanParts.packKeep(body, keep),
                  queries.centroids(),
                  keys.centroids());
            })
        .stream()
        .map(ofHeads -> heads.join(ops, ofHeads))
        .toList();
  }

  /**
   * Queries or keys, all heads.
   *
   * @param name queries or keys
   * @param matrices {@code [B H,S,D]}
   * @param centroids f32 {@code [B H,C,D]}: of the last plan
   * @param clusters C
   */
  private record Side(String name, Value matrices, Value centroids, Value clusters) {}

  /**
   * The clusters of one head's queries or keys.
   *
   * @param labels i64 {@code [tokens]}: the cluster of each video token
   * @param sizes i64 {@code [C]}
   * @param centroids f32 {@code [C,D]}
   */
  private record Clusters(Value labels, Value sizes, Value centroids) {}

  private static Clusters cluster(
      Ops ops, Side side, Value head, VideoTokens tokens, Value cold, Value iterations) {
    Value all = ops.gather(side.matrices(), head);
    Value x = ops.named("tokens", ops.f32(ops.slice(all, tokens.start(), tokens.end())));
    Value length = ops.dim(x, 0);
    Value clusters = side.clusters();

    // Token floor((j + 1/2) tokens / C) = floor((2 j + 1) tokens / (2 C)).
    Value odd = ops.add(ops.mul(ops.range(clusters), ops.i64(2)), ops.i64(1));
    Value spaced = ops.div(ops.mul(odd, length), ops.mul(clusters, ops.i64(2)));
    Value first = ops.where(cold, ops.gather(x, spaced), ops.gather(side.centroids(), head));

    Value columns = ops.shape(x);
    List<Value> result =
        ops.loop(
            "kmeans_of_" + side.name(),
            iterations,
            List.of(first, ops.filled(0, ops.vector(length)), ops.filled(0, ops.vector(clusters))),
            (body, iteration, carried) -> {
              Value c = carried.get(0);
              Value squares = body.unsqueeze(body.sum(body.mul(c, c), 1), 0);
              Value labels =
                  body.named(
                      "labels", body.argMinRows(body.timesTransposedPlus(-2f, x, c, squares)));
              Value sizes = body.named("sizes", body.histogram(labels, clusters));
              Value sums =
                  body.scatterAdd(
                      body.zeros(body.shape(c)),
                      body.expand(body.unsqueeze(labels, 1), columns),
                      x);
              Value divisors = body.f32(body.max(sizes, body.i64(1)));
              Value means = body.div(sums, body.unsqueeze(divisors, 1));
              Value filled = body.unsqueeze(body.greater(sizes, body.i64(0)), 1);
              return Iteration.carry(
                  body.named("centroids", body.where(filled, means, c)), labels, sizes);
            });
    return new Clusters(result.get(1), result.get(2), result.get(0));
  }

  /** The tokens by label, those of one label ascending. */
  private static Value stableOrder(Ops ops, Value labels) {
    Value length = ops.dim(labels, 0);
    // Keys that differ make the order independent of how a sort treats equals.
    Value sortKeys = ops.add(ops.mul(labels, length), ops.range(length));
    return ops.sort(sortKeys, length, false).indices();
  }

  /** I64 {@code [Cq,Ck]}, 0 or 1: which key clusters a query cluster visits. */
  private Value keep(Ops ops, Clusters queries, Clusters keys) {
    Value scores =
        ops.timesTransposed(
            Ops.callAttribute(SparseOps.SCALE), queries.centroids(), keys.centroids());
    // The logarithm of |K_j| exp(S_ij) ranks as it does, without its underflow; -inf if empty.
    Value logMass = ops.add(scores, ops.log(ops.f32(keys.sizes())));
    Value clusters = ops.dim(logMass, 1);
    Ops.Sorted ranked = ops.sort(logMass, clusters, true);
    Ranked order =
        new Ranked(
            ranked.elements(),
            ops.named("ranked_sizes", ops.gather(keys.sizes(), ranked.indices())),
            queries.sizes(),
            clusters);
    Value keepRanked =
        call.selection() instanceof Selection.Budget budget
            ? switch (budget.ranking()) {
              case MASS -> withinBudgetOfRow(ops, order);
              case MASS_PER_TOKEN -> withinBudgetOfHead(ops, order);
            }
            : withinMass(ops, order);
    return PlanParts.unrank(ops, keepRanked, ranked.indices());
  }

  /**
   * The key clusters of each query cluster, most massive first.
   *
   * @param logMass f32 {@code [Cq,Ck]}: logarithm of the mass, up to a constant of the row
   * @param keySizes i64 {@code [Cq,Ck]}
   * @param querySizes i64 {@code [Cq]}
   * @param clusters Ck
   */
  private record Ranked(Value logMass, Value keySizes, Value querySizes, Value clusters) {}

  /**
   * Bool {@code [Cq,Ck]}, by rank: the clusters up to the one that takes their mass above top_p.
   */
  private static Value withinMass(Ops ops, Ranked ranked) {
    Value mass = ops.named("mass", ops.softmaxRows(ranked.logMass()));
    Value massBefore = ops.cumSumBefore(mass, 1);
    Value topP = ops.floatAttribute(Svg2Plan.TOP_P);
    // Rounding may take the sum of all masses above 1.
    Value limit = ops.where(ops.less(topP, ops.f32(1f)), topP, ops.f32(Float.POSITIVE_INFINITY));
    Value amongLeast = ops.less(ops.range(ranked.clusters()), leastKept(ops, ranked.clusters()));
    return ops.or(ops.lessOrEqual(massBefore, limit), amongLeast);
  }

  /** Bool {@code [Cq,Ck]}, by rank: the clusters up to the one that fills the row's budget. */
  private static Value withinBudgetOfRow(Ops ops, Ranked ranked) {
    Value keysBefore = ops.cumSumBefore(ranked.keySizes(), 1);
    Value tokens = ops.sum(ranked.querySizes(), 0);
    return ops.or(ops.less(keysBefore, budget(ops, tokens)), amongLeastAndFirst(ops, ranked));
  }

  /** Bool {@code [Cq,Ck]}, by rank: the pairs up to the one that fills the head's budget. */
  private static Value withinBudgetOfHead(Ops ops, Ranked ranked) {
    Value minusInfinity = ops.f32(Float.NEGATIVE_INFINITY);
    Value top = ops.unsqueeze(ops.maxOver(ranked.logMass(), 1), 1);
    Value sum = ops.unsqueeze(ops.sum(ops.exp(ops.sub(ranked.logMass(), top)), 1), 1);
    Value logShare = ops.sub(ranked.logMass(), ops.add(top, ops.log(sum)));
    Value sizes = ops.f32(ops.max(ranked.keySizes(), ops.i64(1)));
    Value perToken = ops.named("log_mass_per_token", ops.sub(logShare, ops.log(sizes)));
    Value first = amongLeastAndFirst(ops, ranked);
    Value rank =
        ops.where(
            first,
            ops.f32(Float.POSITIVE_INFINITY),
            ops.where(ops.greater(ranked.keySizes(), ops.i64(0)), perToken, minusInfinity));
    Value flat = ops.flatten(rank);
    Ops.Sorted sorted = ops.sort(flat, ops.dim(flat, 0), true);

    Value pairs = ops.mul(ranked.keySizes(), ops.unsqueeze(ranked.querySizes(), 1));
    Value sortedPairs = ops.gather(ops.flatten(pairs), sorted.indices());
    Value pairsBefore = ops.cumSumBefore(sortedPairs, 0);
    Value tokens = ops.sum(ranked.querySizes(), 0);
    Value within = ops.less(pairsBefore, budget(ops, ops.mul(tokens, tokens)));
    Value keep = ops.scatter(0, ops.filled(0, ops.shape(flat)), sorted.indices(), ops.i64(within));
    return ops.or(ops.bool(ops.reshape(keep, ops.shape(pairs))), first);
  }

  /** floor((density + 1e-6) whole) in f64; without bound from a density of 1 on. */
  private static Value budget(Ops ops, Value whole) {
    Value density = ops.floatAttribute(Svg2Plan.DENSITY);
    Value share = ops.add(ops.f64(density), ops.f64(1e-6));
    Value part = ops.i64(ops.floor(ops.mul(share, ops.f64(whole))));
    return ops.where(ops.less(density, ops.f32(1f)), part, ops.i64(Long.MAX_VALUE));
  }

  /** Bool {@code [Cq,Ck]}, by rank: the least number of clusters, and at least one. */
  private static Value amongLeastAndFirst(Ops ops, Ranked ranked) {
    Value least = ops.max(leastKept(ops, ranked.clusters()), ops.i64(1));
    return ops.expand(ops.less(ops.range(ranked.clusters()), least), ops.shape(ranked.keySizes()));
  }

  /** floor((min_kept + 1e-6) Ck) in f64: a ratio such as .29 is a little less than that in f32. */
  private static Value leastKept(Ops ops, Value clusters) {
    Value ratio = ops.cast(ops.floatAttribute(Svg2Plan.MIN_KEPT), DataType.DOUBLE);
    Value product = ops.mul(ops.add(ratio, ops.f64(1e-6)), ops.cast(clusters, DataType.DOUBLE));
    return ops.i64(ops.floor(product));
  }

  // ---- a step that does not plan ----------------------------------------------------------------

  private static List<Value> lastPlan(Map<String, Value> inputs) {
    List<Value> results = new ArrayList<>();
    Planner.PLAN.forEach(tensor -> results.add(Ops.lookup(inputs, Planner.last(tensor))));
    results.addAll(lastCentroids(inputs));
    return results;
  }

  private static List<Value> lastCentroids(Map<String, Value> inputs) {
    return List.of(
        Ops.lookup(inputs, Svg2Plan.Q_CENTROIDS), Ops.lookup(inputs, Svg2Plan.K_CENTROIDS));
  }

  private List<Value> everythingKept(Ops ops, Map<String, Value> inputs) {
    Value q = Heads.bhsd(ops, call.layout(), Ops.lookup(inputs, SparseOps.Q));
    Heads heads = new Heads(ops, q);
    Value length = ops.dim(q, 2);
    Value text = ops.i64(call.text().segments());
    Value querySegments = ops.add(ops.intAttribute(Svg2Plan.Q_CLUSTERS), text);
    Value keySegments = ops.add(ops.intAttribute(Svg2Plan.K_CLUSTERS), text);
    Value order = ops.i32(ops.range(length));
    Value all = ops.filled(1, ops.vector(querySegments, keySegments));
    List<Value> results = new ArrayList<>();
    for (Value ofHead :
        List.of(
            order,
            order,
            allInFirst(ops, querySegments, length),
            allInFirst(ops, keySegments, length),
            PlanParts.packKeep(ops, all))) {
      results.add(heads.repeat(ops, ofHead));
    }
    results.addAll(lastCentroids(inputs));
    return results;
  }

  /** I32 {@code [segments+1]}: 0, then the length throughout. */
  private static Value allInFirst(Ops ops, Value segments, Value length) {
    return ops.i32(ops.concat(0, ops.i64s(0), ops.expand(length, ops.vector(segments))));
  }
}
