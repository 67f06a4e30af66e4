package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Node;
import io.sparsedit.compiler.ir.ValueType.DeclaredDim;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A call of {@code Svg2Plan}, the planner of SVG2 (Sparse VideoGen2, arXiv 2505.18875): clusters of
 * queries and keys are the segments, and a query cluster keeps the key clusters that its centroid
 * gives most of its mass to.
 *
 * @param site index of the site
 * @param layout order of the dimensions of q and k
 * @param scale what QK^T is multiplied with
 * @param queryClusters Cq, at least 1
 * @param keyClusters Ck, at least 1
 * @param selection which key clusters a query cluster keeps
 * @param minKept ratio of the key clusters that a query cluster keeps at least
 * @param iterations k-means iterations of a step with warm centroids
 * @param initIterations k-means iterations of a COLD step
 * @param text where text tokens stand
 * @param planState whether the plan is state, so that REUSE_SPARSE is possible
 */
public record Svg2Plan(
    int site,
    Layout layout,
    float scale,
    int queryClusters,
    int keyClusters,
    Selection selection,
    float minKept,
    int iterations,
    int initIterations,
    TextPosition text,
    boolean planState)
    implements Planner {
  /** The operator's name. */
  public static final String OP_TYPE = "Svg2Plan";

  /** INT: number of query clusters. */
  public static final String Q_CLUSTERS = "q_clusters";

  /** INT: number of key clusters. */
  public static final String K_CLUSTERS = "k_clusters";

  /** FLOAT, of {@link Selection.TopP}: mass that a query cluster keeps. */
  public static final String TOP_P = "top_p";

  /** FLOAT, of {@link Selection.Budget}: the part of the (query, key) pairs that a head keeps. */
  public static final String DENSITY = "density";

  /** STRING, of {@link Selection.Budget}: mass or mass-per-token. */
  public static final String RANKING = "ranking";

  /** FLOAT: ratio of the key clusters that a query cluster keeps at least. */
  public static final String MIN_KEPT = "min_kept";

  /** INT: k-means iterations with warm centroids. */
  public static final String ITERATIONS = "iterations";

  /** INT: k-means iterations of a COLD step. */
  public static final String INIT_ITERATIONS = "init_iterations";

  /** STRING: none, first or last. */
  public static final String TEXT_POSITION = "text_position";

  /** State: f32 {@code [B,H,Cq,D]}. */
  public static final String Q_CENTROIDS = "q_centroids";

  /** State: f32 {@code [B,H,Ck,D]}. */
  public static final String K_CENTROIDS = "k_centroids";

  /** Output: {@link #Q_CENTROIDS} for the next step. */
  public static final String NEXT_Q_CENTROIDS = "next_q_centroids";

  /** Output: {@link #K_CENTROIDS} for the next step. */
  public static final String NEXT_K_CENTROIDS = "next_k_centroids";

  public Svg2Plan {
    if (queryClusters < 1 || keyClusters < 1 || iterations < 1 || initIterations < 1) {
      throw new IllegalArgumentException("clusters and iterations are at least 1");
    }
  }

  /** The call that a node is. */
  static Svg2Plan of(Node node, boolean planState) {
    return new Svg2Plan(
        (int) node.intAttribute(SparseOps.SITE, 0),
        Planners.layout(node),
        node.floatAttribute(SparseOps.SCALE, 1),
        (int) node.intAttribute(Q_CLUSTERS, 1),
        (int) node.intAttribute(K_CLUSTERS, 1),
        selectionOf(node),
        node.floatAttribute(MIN_KEPT, 0),
        (int) node.intAttribute(ITERATIONS, 1),
        (int) node.intAttribute(INIT_ITERATIONS, 1),
        Planners.text(node),
        planState);
  }

  private static Selection selectionOf(Node node) {
    if (node.attribute(TOP_P).isPresent()) {
      return new Selection.TopP(node.floatAttribute(TOP_P, 1));
    }
    return new Selection.Budget(
        node.floatAttribute(DENSITY, 1),
        Selection.Ranking.of(node.stringAttribute(RANKING, "")).orElseThrow());
  }

  @Override
  public String opType() {
    return OP_TYPE;
  }

  @Override
  public String overload() {
    return layout.overloadPart()
        + text.overloadPart()
        + (selection instanceof Selection.Budget budget ? "_" + overloadPart(budget) : "")
        + (planState ? "_reuse" : "");
  }

  private static String overloadPart(Selection.Budget budget) {
    return switch (budget.ranking()) {
      case MASS -> "budget";
      case MASS_PER_TOKEN -> "budget_per_token";
    };
  }

  @Override
  public List<String> inputs() {
    List<String> inputs =
        new ArrayList<>(
            List.of(SparseOps.Q, SparseOps.K, SparseOps.GEOMETRY, Q_CENTROIDS, K_CENTROIDS));
    if (planState) {
      PLAN.forEach(tensor -> inputs.add(Planner.last(tensor)));
    }
    inputs.add(SparseOps.ACTION);
    return inputs;
  }

  @Override
  public List<String> outputs() {
    List<String> outputs = new ArrayList<>(PLAN);
    outputs.add(NEXT_Q_CENTROIDS);
    outputs.add(NEXT_K_CENTROIDS);
    return outputs;
  }

  @Override
  public Map<String, Attribute> attributes() {
    Map<String, Attribute> attributes = SparseOp.commonAttributes(site, layout, scale);
    attributes.put(Q_CLUSTERS, new Attribute.IntValue(queryClusters));
    attributes.put(K_CLUSTERS, new Attribute.IntValue(keyClusters));
    if (selection instanceof Selection.TopP mass) {
      attributes.put(TOP_P, new Attribute.FloatValue(mass.topP()));
    } else if (selection instanceof Selection.Budget budget) {
      attributes.put(DENSITY, new Attribute.FloatValue(budget.density()));
      attributes.put(RANKING, new Attribute.StringValue(budget.ranking().label()));
    }
    attributes.put(MIN_KEPT, new Attribute.FloatValue(minKept));
    attributes.put(ITERATIONS, new Attribute.IntValue(iterations));
    attributes.put(INIT_ITERATIONS, new Attribute.IntValue(initIterations));
    attributes.put(TEXT_POSITION, new Attribute.StringValue(text.attributeValue()));
    return attributes;
  }

  @Override
  public List<StateTensor> state(SiteShape shape) {
    List<StateTensor> state = new ArrayList<>();
    state.add(centroids(Q_CENTROIDS, NEXT_Q_CENTROIDS, queryClusters, shape));
    state.add(centroids(K_CENTROIDS, NEXT_K_CENTROIDS, keyClusters, shape));
    if (planState) {
      state.addAll(
          Planner.planState(shape, queryClusters + text.segments(), keyClusters + text.segments()));
    }
    return state;
  }

  @Override
  public Function function(long opset) {
    return Svg2PlanFunction.build(this, opset);
  }

  private static StateTensor centroids(String name, String output, int clusters, SiteShape shape) {
    return StateTensor.of(
        name,
        name,
        output,
        DataType.FLOAT,
        shape,
        List.of(new DeclaredDim.Fixed(clusters), shape.headSize()));
  }
}
