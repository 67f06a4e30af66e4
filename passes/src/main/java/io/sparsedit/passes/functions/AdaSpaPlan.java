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
 * A call of {@code AdaSpaPlan}, the planner of AdaSpa (arXiv 2502.21079): blocks of tokens in their
 * natural order are the segments, and a query block keeps the key blocks that its exact attention
 * gives most of its mass to; heads whose mass is concentrated keep fewer, others more.
 *
 * <p>It takes q, k, geometry, key_bias (where it has one), its state and action, and gives a plan
 * and {@link #NEXT_LSE}. Its segments are those of {@link VideoBlocks}: {@code N = ceil(S / size)},
 * one more with text. What must be static is what q's shape is; the geometry may change from step
 * to step.
 *
 * <table>
 *   <caption>Tensors of the plan and the state</caption>
 *   <tr><td>query_order, key_order</td><td>i32 {@code [B,H,0]}: natural order</td></tr>
 *   <tr><td>query_offsets, key_offsets</td><td>i32 {@code [B,H,N+1]}</td></tr>
 *   <tr><td>keep</td><td>i32 {@code [B,H,N,ceil(N/32)]}; state where plans are reused</td></tr>
 *   <tr><td>lse</td><td>f32 {@code [B,H,S]}: of the COLD search, by token; state</td></tr>
 * </table>
 *
 * @param site index of the site
 * @param layout order of the dimensions of q and k
 * @param scale what QK^T is multiplied with
 * @param blockSize tokens of a block, at least 1
 * @param density part of the key blocks that a query block keeps in the mean over heads, above 0
 * @param recallThreshold recall at the mean density above which a head gives up density; a
 *     threshold above 1 gives all heads the same density
 * @param text where text tokens stand
 * @param keyBias whether the call has the input {@code key_bias}
 * @param planState whether the plan is state, so that REUSE_SPARSE is possible
 */
public record AdaSpaPlan(
    int site,
    Layout layout,
    float scale,
    int blockSize,
    float density,
    float recallThreshold,
    TextPosition text,
    boolean keyBias,
    boolean planState)
    implements Planner {
  /** The operator's name. */
  public static final String OP_TYPE = "AdaSpaPlan";

  /** INT: tokens of a block. */
  public static final String BLOCK_SIZE = "block_size";

  /** FLOAT: mean density of the heads; everything is kept from 1 on. */
  public static final String DENSITY = "density";

  /** FLOAT: recall above which a head gives up density. */
  public static final String RECALL_THRESHOLD = "recall_threshold";

  /**
   * INT, 0 or 1: whether the last plan's keep is an input. A plugin must know its inputs from its
   * attributes.
   */
  public static final String PLAN_STATE = "plan_state";

  /** State: f32 {@code [B,H,S]}, the logarithm of each query's softmax denominator. */
  public static final String LSE = "lse";

  /** Output: {@link #LSE} for the next step. */
  public static final String NEXT_LSE = "next_lse";

  /** Block size of the paper. */
  public static final int PUBLISHED_BLOCK_SIZE = 64;

  /** Density of the paper: sparsity .8. */
  public static final float PUBLISHED_DENSITY = .2f;

  /** Recall threshold of the paper. */
  public static final float PUBLISHED_RECALL_THRESHOLD = .8f;

  public AdaSpaPlan {
    if (blockSize < 1) {
      throw new IllegalArgumentException("a block has at least one token");
    }
    if (!(density > 0)) {
      throw new IllegalArgumentException("density is above 0");
    }
  }

  /** The call that a node is. */
  static AdaSpaPlan of(Node node, boolean keyBias, boolean planState) {
    return new AdaSpaPlan(
        (int) node.intAttribute(SparseOps.SITE, 0),
        Planners.layout(node),
        node.floatAttribute(SparseOps.SCALE, 1),
        (int) node.intAttribute(BLOCK_SIZE, 1),
        node.floatAttribute(DENSITY, 1),
        node.floatAttribute(RECALL_THRESHOLD, 1),
        Planners.text(node),
        keyBias,
        planState);
  }

  @Override
  public String opType() {
    return OP_TYPE;
  }

  @Override
  public String overload() {
    return layout.overloadPart()
        + text.overloadPart()
        + (keyBias ? "_bias" : "")
        + (planState ? "_reuse" : "");
  }

  @Override
  public List<String> inputs() {
    List<String> inputs = new ArrayList<>(List.of(SparseOps.Q, SparseOps.K, SparseOps.GEOMETRY));
    if (keyBias) {
      inputs.add(SparseOps.KEY_BIAS);
    }
    inputs.add(LSE);
    if (planState) {
      inputs.add(Planner.last(SparseOps.KEEP));
    }
    inputs.add(SparseOps.ACTION);
    return inputs;
  }

  @Override
  public List<String> outputs() {
    List<String> outputs = new ArrayList<>(PLAN);
    outputs.add(NEXT_LSE);
    return outputs;
  }

  @Override
  public Map<String, Attribute> attributes() {
    Map<String, Attribute> attributes = SparseOp.commonAttributes(site, layout, scale);
    attributes.put(BLOCK_SIZE, new Attribute.IntValue(blockSize));
    attributes.put(DENSITY, new Attribute.FloatValue(density));
    attributes.put(RECALL_THRESHOLD, new Attribute.FloatValue(recallThreshold));
    attributes.put(Svg2Plan.TEXT_POSITION, new Attribute.StringValue(text.attributeValue()));
    attributes.put(PLAN_STATE, new Attribute.IntValue(planState ? 1 : 0));
    return attributes;
  }

  @Override
  public List<StateTensor> state(SiteShape shape) {
    List<StateTensor> state = new ArrayList<>();
    state.add(StateTensor.of(LSE, LSE, NEXT_LSE, DataType.FLOAT, shape, List.of(shape.tokens())));
    if (planState) {
      DeclaredDim segments = VideoBlocks.room(shape.tokens(), blockSize, text.segments());
      state.add(
          StateTensor.of(
              SparseOps.KEEP,
              Planner.last(SparseOps.KEEP),
              SparseOps.KEEP,
              DataType.INT32,
              shape,
              List.of(segments, VideoBlocks.room(segments, 32, 0))));
    }
    return state;
  }

  @Override
  public Function function(long opset) {
    return AdaSpaPlanFunction.build(this, opset);
  }
}
