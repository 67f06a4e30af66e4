package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Function;
import io.sparsedit.compiler.ir.Node;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A call of {@code ReferencePlan}, a planner that other planners are measured against: it keeps the
 * blocks with the most mass of the exact attention, which costs more than it saves, or random ones.
 *
 * <p>Segments are those of {@link VideoBlocks}, as AdaSpa's are. There is no state: every step that
 * is not dense plans.
 *
 * @param site index of the site
 * @param layout order of the dimensions of q and k
 * @param scale what QK^T is multiplied with
 * @param blockSize tokens of a block, at least 1
 * @param density part of the pairs of blocks that is kept, above 0
 * @param choice which pairs are kept
 * @param seed of the random choice
 * @param text where text tokens stand
 * @param keyBias whether the call has the input {@code key_bias}
 */
public record ReferencePlan(
    int site,
    Layout layout,
    float scale,
    int blockSize,
    float density,
    Choice choice,
    int seed,
    TextPosition text,
    boolean keyBias)
    implements Planner {
  /** The operator's name. */
  public static final String OP_TYPE = "ReferencePlan";

  /** STRING: a {@link Choice}'s name. */
  public static final String CHOICE = "choice";

  /** INT: seed of the random choice. */
  public static final String SEED = "seed";

  /** Which pairs of blocks are kept. */
  public enum Choice {
    /**
     * Those with the most mass among all heads of a site: no other choice of as many blocks of this
     * size keeps more of a site's mass.
     */
    MOST_MASS,
    /** Random ones, as many for each query block, the same at every step. */
    RANDOM;

    String overloadPart() {
      return this == MOST_MASS ? "_most_mass" : "_random";
    }
  }

  public ReferencePlan {
    if (blockSize < 1) {
      throw new IllegalArgumentException("a block has at least one token");
    }
    if (!(density > 0)) {
      throw new IllegalArgumentException("density is above 0");
    }
  }

  /** The call that a node is. */
  static ReferencePlan of(Node node, boolean keyBias) {
    return new ReferencePlan(
        (int) node.intAttribute(SparseOps.SITE, 0),
        Planners.layout(node),
        node.floatAttribute(SparseOps.SCALE, 1),
        (int) node.intAttribute(AdaSpaPlan.BLOCK_SIZE, 1),
        node.floatAttribute(AdaSpaPlan.DENSITY, 1),
        Choice.valueOf(node.stringAttribute(CHOICE, Choice.MOST_MASS.name())),
        (int) node.intAttribute(SEED, 0),
        Planners.text(node),
        keyBias);
  }

  /** The search of the exact mass, which AdaSpa's is too. */
  AdaSpaPlan search() {
    return new AdaSpaPlan(site, layout, scale, blockSize, density, 2, text, keyBias, false);
  }

  @Override
  public String opType() {
    return OP_TYPE;
  }

  @Override
  public String overload() {
    return layout.overloadPart()
        + choice.overloadPart()
        + text.overloadPart()
        + (keyBias ? "_bias" : "");
  }

  @Override
  public List<String> inputs() {
    List<String> inputs = new ArrayList<>(List.of(SparseOps.Q, SparseOps.K, SparseOps.GEOMETRY));
    if (keyBias) {
      inputs.add(SparseOps.KEY_BIAS);
    }
    inputs.add(SparseOps.ACTION);
    return inputs;
  }

  @Override
  public List<String> outputs() {
    return PLAN;
  }

  @Override
  public Map<String, Attribute> attributes() {
    Map<String, Attribute> attributes = SparseOp.commonAttributes(site, layout, scale);
    attributes.put(AdaSpaPlan.BLOCK_SIZE, new Attribute.IntValue(blockSize));
    attributes.put(AdaSpaPlan.DENSITY, new Attribute.FloatValue(density));
    attributes.put(CHOICE, new Attribute.StringValue(choice.name()));
    attributes.put(SEED, new Attribute.IntValue(seed));
    attributes.put(Svg2Plan.TEXT_POSITION, new Attribute.StringValue(text.attributeValue()));
    return attributes;
  }

  @Override
  public List<StateTensor> state(SiteShape shape) {
    return List.of();
  }

  @Override
  public Function function(long opset) {
    return ReferencePlanFunction.build(this, opset);
  }
}
