package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.DataType;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Node;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A call of {@code SvgPlan}, the planner of SVG (Sparse VideoGen, arXiv 2502.01776): heads are
 * spatial or temporal; a temporal head takes its tokens patch by patch instead of frame by frame;
 * then every head attends within the same band of blocks.
 *
 * <p>It takes q, k, v, geometry, key_bias (where it has one), the last head classes (where plans
 * are reused) and action, and gives a plan and, where plans are reused, {@link #NEXT_HEAD_CLASSES}.
 * Its query segments are those of {@link VideoBlocks}, {@code Nq = ceil(S / size)} of them and one
 * more with text; {@code Nk = Nq}, or with {@link FrameSink#CORRECTED} {@code Nq + 1}. What must be
 * static is what q's shape is; the geometry may change from step to step, but its product must be
 * the number of video tokens.
 *
 * <table>
 *   <caption>Tensors of the plan and the state</caption>
 *   <tr><td>query_order, key_order</td><td>i32 {@code [B,H,S]}</td></tr>
 *   <tr><td>query_offsets</td><td>i32 {@code [B,H,Nq+1]}</td></tr>
 *   <tr><td>key_offsets</td><td>i32 {@code [B,H,Nk+1]}</td></tr>
 *   <tr><td>keep</td><td>i32 {@code [B,H,Nq,ceil(Nk/32)]}</td></tr>
 *   <tr><td>head_classes</td><td>i32 {@code [B,H]}: 0 spatial, 1 temporal; state where plans are
 *       reused, since all else follows from it</td></tr>
 * </table>
 *
 * @param site index of the site
 * @param layout order of the dimensions of q, k and v
 * @param scale what QK^T is multiplied with
 * @param blockSize tokens of a block, at least 1
 * @param density kept part of the (query, key) pairs that the width of the band follows from, above
 *     0
 * @param budget whether the band is the widest with which band and sink together keep no more than
 *     the density; else its width is by the published formula
 * @param sampledRows rows of each head that its class is told from, at least 1
 * @param profileFrames half width of the bands that tell the classes apart, in frames
 * @param sink the keys that every query attends to beside its band
 * @param text where text tokens stand
 * @param keyBias whether the call has the input {@code key_bias}
 * @param planState whether the plan is state, so that REUSE_SPARSE is possible
 */
public record SvgPlan(
    int site,
    Layout layout,
    float scale,
    int blockSize,
    float density,
    boolean budget,
    int sampledRows,
    float profileFrames,
    FrameSink sink,
    TextPosition text,
    boolean keyBias,
    boolean planState)
    implements Planner {
  /** The operator's name. */
  public static final String OP_TYPE = "SvgPlan";

  /** INT: tokens of a block. */
  public static final String BLOCK_SIZE = "block_size";

  /** FLOAT: density that the width of the band follows from; everything is kept from 1 on. */
  public static final String DENSITY = "density";

  /** INT, 0 or 1: whether the density is a budget. */
  public static final String BUDGET = "budget";

  /** INT: rows of each head that its class is told from. */
  public static final String SAMPLED_ROWS = "sampled_rows";

  /** FLOAT: half width of the bands that tell the classes apart, in frames. */
  public static final String PROFILE_FRAMES = "profile_frames";

  /** STRING: none, published or corrected. */
  public static final String FRAME_SINK = "frame_sink";

  /**
   * INT, 0 or 1: whether {@link #HEAD_CLASSES} is an input and {@link #NEXT_HEAD_CLASSES} an
   * output. A plugin must know its outputs from its attributes.
   */
  public static final String PLAN_STATE = "plan_state";

  /** State: i32 {@code [B,H]}, 0 spatial, 1 temporal. */
  public static final String HEAD_CLASSES = "head_classes";

  /** Output: {@link #HEAD_CLASSES} for the next step. */
  public static final String NEXT_HEAD_CLASSES = "next_head_classes";

  /** Block size of the published code. */
  public static final int PUBLISHED_BLOCK_SIZE = 128;

  /** Sampled rows of the published scripts. */
  public static final int PUBLISHED_SAMPLED_ROWS = 64;

  public SvgPlan {
    if (blockSize < 1 || sampledRows < 1) {
      throw new IllegalArgumentException("block size and sampled rows are at least 1");
    }
    if (!(density > 0) || !(profileFrames > 0)) {
      throw new IllegalArgumentException("density and profile frames are above 0");
    }
  }

  /** Half width of the profile bands in the published code: 1.5 frames with text, 2 without. */
  public static float publishedProfileFrames(TextPosition text) {
    return text == TextPosition.NONE ? 2 : 1.5f;
  }

  /** The sink in the published code: none with text. */
  public static FrameSink publishedSink(TextPosition text) {
    return text == TextPosition.NONE ? FrameSink.PUBLISHED : FrameSink.NONE;
  }

  /** The call that a node is. */
  static SvgPlan of(Node node, boolean keyBias, boolean planState) {
    return new SvgPlan(
        (int) node.intAttribute(SparseOps.SITE, 0),
        Planners.layout(node),
        node.floatAttribute(SparseOps.SCALE, 1),
        (int) node.intAttribute(BLOCK_SIZE, 1),
        node.floatAttribute(DENSITY, 1),
        node.intAttribute(BUDGET, 0) != 0,
        (int) node.intAttribute(SAMPLED_ROWS, 1),
        node.floatAttribute(PROFILE_FRAMES, 1),
        FrameSink.of(node.stringAttribute(FRAME_SINK, "")).orElseThrow(),
        Planners.text(node),
        keyBias,
        planState);
  }

  /** The same call at another site. */
  public SvgPlan atSite(int other) {
    return new SvgPlan(
        other,
        layout,
        scale,
        blockSize,
        density,
        budget,
        sampledRows,
        profileFrames,
        sink,
        text,
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
        + sink.overloadPart()
        + text.overloadPart()
        + (keyBias ? "_bias" : "")
        + (planState ? "_reuse" : "");
  }

  @Override
  public List<String> inputs() {
    List<String> inputs =
        new ArrayList<>(List.of(SparseOps.Q, SparseOps.K, SparseOps.V, SparseOps.GEOMETRY));
    if (keyBias) {
      inputs.add(SparseOps.KEY_BIAS);
    }
    if (planState) {
      inputs.add(HEAD_CLASSES);
    }
    inputs.add(SparseOps.ACTION);
    return inputs;
  }

  @Override
  public List<String> outputs() {
    List<String> outputs = new ArrayList<>(PLAN);
    if (planState) {
      outputs.add(NEXT_HEAD_CLASSES);
    }
    return outputs;
  }

  @Override
  public Map<String, Attribute> attributes() {
    Map<String, Attribute> attributes = SparseOp.commonAttributes(site, layout, scale);
    attributes.put(BLOCK_SIZE, new Attribute.IntValue(blockSize));
    attributes.put(DENSITY, new Attribute.FloatValue(density));
    attributes.put(BUDGET, new Attribute.IntValue(budget ? 1 : 0));
    attributes.put(SAMPLED_ROWS, new Attribute.IntValue(sampledRows));
    attributes.put(PROFILE_FRAMES, new Attribute.FloatValue(profileFrames));
    attributes.put(FRAME_SINK, new Attribute.StringValue(sink.attributeValue()));
    attributes.put(Svg2Plan.TEXT_POSITION, new Attribute.StringValue(text.attributeValue()));
    attributes.put(PLAN_STATE, new Attribute.IntValue(planState ? 1 : 0));
    return attributes;
  }

  @Override
  public List<StateTensor> state(SiteShape shape) {
    return planState
        ? List.of(
            StateTensor.of(
                HEAD_CLASSES, HEAD_CLASSES, NEXT_HEAD_CLASSES, DataType.INT32, shape, List.of()))
        : List.of();
  }

  @Override
  public Function function(long opset) {
    return SvgPlanFunction.build(this, opset);
  }
}
