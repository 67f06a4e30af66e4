package io.sparsedit.passes.functions;

import io.sparsedit.compiler.ir.Attribute;
import io.sparsedit.compiler.ir.Function;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A call of {@code BlockSparseAttention}: attention in which each query segment visits the key
 * segments that a plan keeps for it.
 *
 * @param site index of the site
 * @param layout order of the dimensions of q, k, v and o
 * @param scale what QK^T is multiplied with
 * @param keyBias whether the call has the input {@code key_bias}
 * @param compensate whether each skipped key segment is represented by one pseudo-key
 */
public record BlockSparseAttention(
    int site, Layout layout, float scale, boolean keyBias, boolean compensate) implements SparseOp {
  /** The operator's name. */
  public static final String OP_TYPE = "BlockSparseAttention";

  /** INT, 0 or 1: whether skipped key segments are represented by pseudo-keys. */
  public static final String COMPENSATE = "compensate";

  @Override
  public String opType() {
    return OP_TYPE;
  }

  @Override
  public String overload() {
    return layout.overloadPart() + (keyBias ? "_bias" : "") + (compensate ? "_compensate" : "");
  }

  @Override
  public List<String> inputs() {
    List<String> inputs = new ArrayList<>(List.of(SparseOps.Q, SparseOps.K, SparseOps.V));
    inputs.addAll(Planner.PLAN);
    if (keyBias) {
      inputs.add(SparseOps.KEY_BIAS);
    }
    inputs.add(SparseOps.ACTION);
    return inputs;
  }

  @Override
  public List<String> outputs() {
    return List.of(SparseOps.O);
  }

  @Override
  public Map<String, Attribute> attributes() {
    Map<String, Attribute> attributes = SparseOp.commonAttributes(site, layout, scale);
    attributes.put(COMPENSATE, new Attribute.IntValue(compensate ? 1 : 0));
    return attributes;
  }

  @Override
  public Function function(long opset) {
    return BlockSparseAttentionFunction.build(this, opset);
  }
}
